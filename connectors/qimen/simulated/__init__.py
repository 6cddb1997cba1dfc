"""The parts of the Qimen simulator."""
