"""参考 CRM: a small CRM with an ordinary REST API, the pattern for connecting one's own."""
