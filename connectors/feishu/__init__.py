"""Feishu 飞书 (Lark): bot messages, approvals, events by HTTP push or by a long connection."""
