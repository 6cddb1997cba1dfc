"""The front door and the fuse box; imported by nobody."""

__version__ = "0.1.0"
