"""How a MASTER holds its addresses on this host.

Rules that all planes keep: what belongs to somebody else is never touched; what was changed is put back;
and what a dead predecessor left behind can be told from everything else, by name, alias and netlink
protocol number.
"""


class PlaneError(Exception):
    """What could not be done on this host, and the remedy."""
