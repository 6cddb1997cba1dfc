"""短信网关 SMS: any gateway with an HTTP interface, by a template that the admin fills in."""
