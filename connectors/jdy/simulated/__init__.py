"""Pieces of the simulated Kingdee Star."""
