"""WeChat: Official Accounts, Mini Programs and Channels shops; connector.yaml is the connector."""
