"""The parts of the Taobao simulator: the shop's state, its gateway calls, and the TMC channel."""
