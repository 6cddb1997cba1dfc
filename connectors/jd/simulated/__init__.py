"""The parts of the JD simulator: the shop's state, its gateway calls, the authorisation server and the queue."""
