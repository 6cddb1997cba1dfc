"""The parts of the file share simulator."""
