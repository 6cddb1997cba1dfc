"""奇门 Qimen: the XML standard between ERP and warehouse, through the gateway or directly, in both roles."""
