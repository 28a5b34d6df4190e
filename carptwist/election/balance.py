"""Which vhid answers for an address that several carry: the ARP balancing of carp(4) of 2005.

::

    running vhids, ascending     1    2    7
    their index                  0    1    2
    the asker                    192.0.2.22 = 3221226006;  3221226006 mod 3 = 0  ->  vhid 1

Every host computes the same, so that whoever is MASTER of the vhid answers, and all others stay silent. The
asker's address is a number in network order here, so that hosts of either byte order choose alike. A probe, whose
sender is 0.0.0.0 or ::, chooses the first one.
"""

from __future__ import annotations

from collections.abc import Iterable


def chosen(running: Iterable[int], asker: bytes) -> int | None:
    """The vhid that answers an asker.

    :param running: the numbers of the vhids with the address that take part in elections, in any order.
    :param asker: its packed address, 4 or 16 octets.
    :return: None if none runs.
    """
    vhids = sorted(running)
    if not vhids:
        return None
    return vhids[int.from_bytes(asker, "big") % len(vhids)]
