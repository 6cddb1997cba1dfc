"""The heart: decide, then do. Here connectors (how to call) and mappings (what it means) meet."""
