"""The parts of the Youzan simulator: the shop's state, its calls, and its tokens."""
