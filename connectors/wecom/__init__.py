"""企业微信 WeCom: application messages, external contacts, encrypted callbacks, and a simulator of them."""
