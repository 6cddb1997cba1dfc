"""The parts of the Pinduoduo simulator: the shop's state, its gateway calls, and the message channel."""
