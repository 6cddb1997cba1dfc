"""The ledger 台账: SQL and nothing else. It calls nobody and knows no vendor."""
