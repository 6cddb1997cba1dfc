"""The ledger (truth), the steps that work it off, and arq (only a bell)."""
