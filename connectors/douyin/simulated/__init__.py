"""What the simulated shop is made of."""
