"""Simulators: stateful stand-ins for real systems, with faults on demand and a journal of every effect.

Never imported by production code. Start reading at ``engine.py``.
"""
