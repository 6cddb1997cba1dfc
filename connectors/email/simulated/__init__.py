"""The parts of the mail simulator."""
