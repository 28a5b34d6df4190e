"""How a MASTER holds its addresses on this host."""


class PlaneError(Exception):
    """What could not be done on this host, and the remedy."""
