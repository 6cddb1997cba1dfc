"""The parts of the simulated Shopify store. Only simulator.py starts them."""
