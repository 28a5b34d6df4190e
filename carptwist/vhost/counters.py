"""``net.inet.carp.stats``: what was received, sent and refused, under the kernels' names."""

from __future__ import annotations

#: The causes of a refusal, as users read them in ``netstat -s -p carp``; the last two are ours.
CAUSES = (
    "badif",
    "badttl",
    "hdrops",
    "badsum",
    "badver",
    "badlen",
    "badauth",
    "badvhid",
    "nomem",
    "replay",
    "vrrp",
)


class Counters:
    """Plain integers, counted up where things happen."""

    def __init__(self) -> None:
        self.ipackets = 0
        self.ipackets6 = 0
        self.opackets = 0
        self.opackets6 = 0
        self.late = 0  # how often timers came so late that it mattered
        self.most_late = 0.0  # by how many seconds at most
        self.refused = dict.fromkeys(CAUSES, 0)

    def as_dict(self) -> dict[str, int]:
        """All of them, in the order of the surface's ``stats``."""
        return {
            "ipackets": self.ipackets,
            "ipackets6": self.ipackets6,
            "opackets": self.opackets,
            "opackets6": self.opackets6,
            **self.refused,
        }
