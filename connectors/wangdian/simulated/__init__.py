"""The parts of the Wangdiantong simulator: the tenant's books, and the two doors to them."""
