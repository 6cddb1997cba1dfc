"""Connectors that a site declares itself: written by hand, or drafted from an OpenAPI document or a curl command."""
