"""The parts of the simulated DingTalk: its corp and its pushes. Only simulator.py starts them."""
