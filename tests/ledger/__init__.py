"""The ledger and what moves it, on both databases."""
