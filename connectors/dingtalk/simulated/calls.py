"""Which path of the simulated platform is which call."""

from __future__ import annotations

LEGACY = {
    "/topapi/message/corpconversation/asyncsend_v2": ("corp", "notice"),
    "/topapi/message/corpconversation/getsendresult": ("corp", "notice_result"),
    "/topapi/message/corpconversation/recall": ("corp", "notice_recall"),
    "/topapi/v2/user/get": ("book", "user"),
    "/topapi/v2/user/getbymobile": ("book", "by_mobile"),
    "/topapi/user/getbyunionid": ("book", "by_unionid"),
    "/topapi/v2/user/list": ("book", "users"),
    "/topapi/v2/department/listsub": ("book", "departments"),
    "/topapi/extcontact/create": ("book", "contact_create"),
    "/topapi/extcontact/update": ("book", "contact_update"),
    "/topapi/extcontact/get": ("book", "contact_get"),
    "/topapi/extcontact/delete": ("book", "contact_delete"),
    "/topapi/extcontact/list": ("book", "contact_list"),
}
"""Calls of the legacy host (token in the query, always 200): path -> part of the simulator and its call."""

NEW = {
    ("POST", "/v1.0/robot/oToMessages/batchSend"): ("corp", "direct"),
    ("POST", "/v1.0/robot/groupMessages/send"): ("corp", "group"),
    ("POST", "/v1.0/workflow/processInstances"): ("approvals", "start"),
    ("GET", "/v1.0/workflow/processInstances"): ("approvals", "detail"),
    ("POST", "/v1.0/workflow/processInstances/terminate"): ("approvals", "terminate"),
    ("POST", "/v1.0/workflow/processInstances/execute"): ("approvals", "execute"),
    ("GET", "/v1.0/workflow/forms/schemas/processCodes"): ("approvals", "template"),
    ("POST", "/v1.0/crm/personalCustomers"): ("office", "create"),
    ("PUT", "/v1.0/crm/personalCustomers"): ("office", "update"),
    ("GET", "/v1.0/crm/personalCustomers"): ("office", "search"),
    ("POST", "/v1.0/crm/personalCustomers/batchQuery"): ("office", "batch"),
    ("POST", "/v1.0/todo/users/{union_id}/tasks"): ("office", "todo"),
    ("POST", "/v1.0/workflow/processes/instanceIds/query"): ("approvals", "ids"),
}
"""Calls of the new host (token in a header, the HTTP status says failure)."""
