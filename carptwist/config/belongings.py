"""What of a host a configuration takes for itself: two that run there at the same time must have nothing in common.

Each thing is a text, as an operator would call it: ``1@em0``, ``192.0.2.1``, ``fe80::1%em0``, ``state_dir PATH``.
"""

from __future__ import annotations

from carptwist.config.schema import Configuration, VirtualHostConfig


def of_vhid(config: VirtualHostConfig) -> frozenset[str]:
    """A virtual host: its number on its interface, and its addresses."""
    link = f"%{config.interface}"
    texts = (f"{each.ip}{link if each.version == 6 and each.ip.is_link_local else ''}" for each in config.addresses)
    return frozenset((config.name, *texts))


def of_configuration(configuration: Configuration) -> frozenset[str]:
    """What a configuration has besides its virtual hosts: where it keeps what it knows, and its sockets."""
    sockets = {configuration.control.unix, *(sync.unix for sync in configuration.syncs)}
    if configuration.devd is not None:
        sockets.add(configuration.devd.unix)
    return frozenset((f"state_dir {configuration.knobs.state_dir}", *(f"socket {path}" for path in sockets)))
