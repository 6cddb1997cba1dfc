"""Trying the hub out: the demo, the journey and what both and the bench stand on. Never part of production."""
