"""By what our own things on a host are known, to us and to whoever finds them there.

=========  =====================================================================================
device     named ``carpP-V`` (parent's index, vhid), a macvlan, alias ``carptwist V@PARENT``
address    protocol 112 (IFA_PROTO, where the kernel has it: Linux 5.18)
rule       priority 11200, protocol 112, looks up a table of ours
table      112,000,000 + 256 x parent's index + vhid; 2,112,000,000 + ... for balanced addresses
route      protocol 112
=========  =====================================================================================
"""

from __future__ import annotations

import re

#: The number of CARP and VRRP among the IP protocols; below 128 it means nothing to the kernel as a routing protocol.
PROTOCOL = 112
RULE_PRIORITY = 11200
#: Worse than what any routing daemon or DHCP client sets by itself, so that other routes to a prefix always win.
ROUTE_METRIC = 11200

_FIRST_TABLE = 112_000_000
_LAST_TABLE = 0xFFFF_FFFF
_FOR_BALANCED = 2_000_000_000
_DEVICE = re.compile(r"carp[0-9]+-[0-9]+")
_ALIAS = "carptwist "


def device_name(parent_index: int, vhid: int) -> str:
    """At most 15 characters as long as there were fewer than 10,000,000 devices since the host was started."""
    return f"carp{parent_index}-{vhid}"


def device_alias(name: str) -> str:
    """``name``: VHID@INTERFACE."""
    return f"{_ALIAS}{name}"


def is_our_device(name: str, kind: str | None, alias: str | None) -> bool:
    """All three must agree: a name alone proves nothing."""
    return kind == "macvlan" and _DEVICE.fullmatch(name) is not None and (alias or "").startswith(_ALIAS)


def table(parent_index: int, vhid: int) -> int:
    """The routing table of a vhid's macvlan."""
    return _FIRST_TABLE + 256 * parent_index + vhid


def balanced_table(parent_index: int, vhid: int) -> int:
    """The table that those of its addresses ask which other vhids hold as well."""
    return table(parent_index, vhid) + _FOR_BALANCED


def is_our_rule(protocol: int | None, priority: int | None, looks_up: int | None) -> bool:
    """A rule of ours, whichever daemon made it."""
    return protocol == PROTOCOL and priority == RULE_PRIORITY and _FIRST_TABLE <= (looks_up or 0) <= _LAST_TABLE


def is_our_route(table: int, metric: int) -> bool:
    """Of the routes of protocol 112 ours are all in our own tables, and in others those with a metric of ours."""
    return _FIRST_TABLE <= table <= _LAST_TABLE or ROUTE_METRIC < metric <= ROUTE_METRIC + 255
