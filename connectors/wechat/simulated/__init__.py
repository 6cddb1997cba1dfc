"""The parts of the simulated WeChat: tokens, shop, payments, followers, pushes. Only simulator.py starts them."""
