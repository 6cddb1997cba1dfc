"""Pieces of the simulated Yonyou tenant."""
