"""钉钉 DingTalk: group robots, work notifications, approvals, encrypted callbacks, and a simulator of them."""
