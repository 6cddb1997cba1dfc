"""A great sale rehearsed: a burst of orders against simulators, and a report of what came of it."""
