"""淘宝/天猫 Taobao Open Platform: signed calls, the TMC message channel, and a simulator of both."""
