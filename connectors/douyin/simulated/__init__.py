"""What the simulated shop is made of: its gate and tokens, its orders, its after-sales, its calls."""
