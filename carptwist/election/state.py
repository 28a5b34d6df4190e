"""The three states of a vhid."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """INIT: not taking part. BACKUP: listening. MASTER: holding the addresses and advertising.

    :cvar INIT: does not take part
    :cvar BACKUP: listens
    :cvar MASTER: holds the addresses, and advertises
    """

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
