"""Pieces of the simulated Jushuitan tenant."""
