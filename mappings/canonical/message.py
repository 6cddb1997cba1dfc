"""Message 消息 and approval 审批: what goes to people, and what people decide."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from mappings.canonical.base import Canonical, Id, Moment, Part


class Message(Canonical):
    """A message to people. ``recipients`` are ids in the target system's own space."""

    recipients: list[str] = Field(default_factory=list)
    title: str | None = None
    text: str
    format: str = "text"
    url: str | None = None
    mentions: list[str] = Field(default_factory=list)
    data: dict[str, Any] = Field(default_factory=dict)


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class ApprovalField(Part):
    key: str
    label: str | None = None
    value: str | None = None


class Approval(Canonical):
    status: ApprovalStatus
    title: str | None = None
    template: str | None = None
    applicant: Id | None = None
    finished_at: Moment | None = None
    fields: list[ApprovalField] = Field(default_factory=list)
    url: str | None = None
