"""Which privileges the daemon needs, and which it has: capabilities(7)."""

from __future__ import annotations

from pathlib import Path

from carptwist.config.schema import Configuration, PlaneKind

_CAP_NET_ADMIN = 12
_CAP_NET_RAW = 13


class MissingPrivilegeError(Exception):
    """This process may not do what a service needs; the text says what, and the remedy."""


def missing_privileges(configuration: Configuration, effective: int | None = None) -> str | None:
    """One line that names what is missing and the remedy, or None where all is there.

    :param effective: the capabilities that there are, as bits; None: those of this process.
    """
    needed = {"CAP_NET_RAW": _CAP_NET_RAW}
    # What a plug-in needs is its own affair: it says so when it lacks it.
    if any(vhid.plane not in (PlaneKind.NONE, PlaneKind.PLUGIN) for vhid in configuration.vhids):
        needed["CAP_NET_ADMIN"] = _CAP_NET_ADMIN
    if effective is None:
        effective = _effective_capabilities()
    missing = [name for name, bit in needed.items() if not effective >> bit & 1]
    if not missing:
        return None
    return f"this needs {' and '.join(missing)}: run it as root, or give the service these capabilities"


def may_change_host() -> bool:
    """Whether this process has CAP_NET_ADMIN."""
    return bool(_effective_capabilities() >> _CAP_NET_ADMIN & 1)


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
