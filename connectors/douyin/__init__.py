"""抖店 Douyin Shop: signed calls, tokens of both kinds of application, proven pushes, and a simulator of all."""
