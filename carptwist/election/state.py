"""The three states of a vhid."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """INIT: not taking part. BACKUP: listening. MASTER: holding the addresses and advertising."""

    INIT = "INIT"
    BACKUP = "BACKUP"
    MASTER = "MASTER"
