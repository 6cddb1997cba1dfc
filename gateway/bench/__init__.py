"""``shuniu bench``: the product measured beside a minimal pipeline of the same parts, in the same run."""
