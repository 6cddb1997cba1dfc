"""邮件 E-mail by SMTP: a target for messages, over TLS, STARTTLS or in the open."""
