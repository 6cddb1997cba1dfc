"""快手小店 Kuaishou Shop: signed calls, encrypted pushes, single-use refresh tokens, and a simulator of all."""
