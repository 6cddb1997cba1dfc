"""Weibo (微博) fans service: followers and private messages."""
