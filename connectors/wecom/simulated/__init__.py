"""The parts of the simulated WeCom: its corp, customers, messages and callbacks. Only simulator.py starts them."""
