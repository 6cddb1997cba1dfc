"""A pretend Kingdee site: the forms, the books and the desk behind the simulator. Never used in production."""
