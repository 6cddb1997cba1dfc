"""Ingress: verify, write once, answer in the sender's dialect, go."""
