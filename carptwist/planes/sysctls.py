"""Per-interface settings of the kernel: what was set is put back.

::

    acquire(em0)   first vhid on em0: write the journal, then the settings
    release(em0)   last vhid on em0: the settings as they were, then the journal without em0
    recover()      at start: what the journal says that a dead predecessor had not put back

The journal holds the id of this boot and of this network namespace: what another one wrote is not
ours to put back. It is replaced atomically, and always before a setting is changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carptwist.planes import PlaneError

_CONF = Path("/proc/sys/net")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: Loose reverse path filtering: any route back will do. 1 would drop what comes in for a shared address.
_LOOSE = 2


def read(family: str, interface: str, name: str) -> int | None:
    """``net.FAMILY.conf.INTERFACE.NAME``, or None where the kernel has no such setting."""
    try:
        return int((_CONF / family / "conf" / interface / name).read_text())
    except (OSError, ValueError):
        return None


def write(family: str, interface: str, name: str, value: int) -> None:
    """Set one.

    :raises PlaneError: the kernel does not let us, or has no such setting.
    """
    path = _CONF / family / "conf" / interface / name
    try:
        path.write_text(str(value))
    except OSError as error:
        raise PlaneError(f"cannot set {path} to {value}: {error.strerror}") from None


class Sysctls:
    """The settings of the interfaces on which vhids run.

    :param state_dir: where the journal is; made if it is not there.
    """

    def __init__(self, state_dir: Path) -> None:
        self._journal_path = state_dir / "sysctls.json"
        self._users: dict[str, int] = {}
        self._before: dict[str, dict[str, int]] = {}  # interface -> setting -> what it was

    def acquire(self, interface: str) -> None:
        """Make an interface fit for being a macvlan's parent.

        :raises PlaneError: a setting or the journal cannot be written.
        """
        self._users[interface] = self._users.get(interface, 0) + 1
        before = self._before.setdefault(interface, {})
        for name, value in _wanted(interface).items():
            was = read("ipv4", interface, name)
            if was == value:
                continue
            if was is not None and name not in before:
                before[name] = was
                self._save()
            write("ipv4", interface, name, value)

    def release(self, interface: str) -> None:
        """Undo one :meth:`acquire`; the last one puts the settings back."""
        users = self._users.get(interface, 0) - 1
        if users > 0:
            self._users[interface] = users
            return
        self._users.pop(interface, None)
        self._put_back(interface, self._before.pop(interface, {}))
        self._save()

    def recover(self) -> list[str]:
        """Put back what a predecessor that died had changed; gives the interfaces."""
        journal = self._load()
        for interface, before in journal.items():
            self._put_back(interface, before)
        if journal:
            self._save()
        return sorted(journal)

    def _put_back(self, interface: str, before: Mapping[str, int]) -> None:
        for name, value in before.items():
            if read("ipv4", interface, name) is not None:  # the interface is still there
                write("ipv4", interface, name, value)

    # The journal

    def _save(self) -> None:
        interfaces = {interface: before for interface, before in self._before.items() if before}
        try:
            if not interfaces:
                self._journal_path.unlink(missing_ok=True)
                return
            self._journal_path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._journal_path.with_suffix(".new")
            draft.write_text(json.dumps({**_identity(), "interfaces": interfaces}))
            draft.replace(self._journal_path)
        except OSError as error:
            raise PlaneError(
                f"cannot write {self._journal_path}: {error.strerror}: state_dir must be a directory that this "
                "process may write to"
            ) from None

    def _load(self) -> dict[str, dict[str, int]]:
        try:
            journal: dict[str, Any] = json.loads(self._journal_path.read_text())
            interfaces: dict[str, dict[str, int]] = journal.pop("interfaces")
        except (OSError, ValueError, KeyError, AttributeError):
            return {}  # none, or one that was never finished: nothing was changed on its account
        return interfaces if journal == _identity() else {}


def _identity() -> dict[str, str]:
    """This boot, this network namespace: elsewhere the same names mean other interfaces."""
    namespace = os.stat("/proc/thread-self/ns/net")
    return {"boot": _BOOT_ID.read_text().strip(), "namespace": f"{namespace.st_dev}:{namespace.st_ino}"}


def _wanted(interface: str) -> dict[str, int]:
    """What a macvlan's parent must be set to. The kernel goes by the larger one of this value and that for all."""
    wanted = {
        # Not to answer for addresses of the macvlan with the parent's own MAC.
        "arp_ignore": max(1, read("ipv4", interface, "arp_ignore") or 0),
        # Not to ask with the shared address as the sender: the answerers would learn the wrong MAC for it.
        "arp_announce": 2,
    }
    if max(read("ipv4", interface, "rp_filter") or 0, read("ipv4", "all", "rp_filter") or 0) == 1:
        wanted["rp_filter"] = _LOOSE
    return wanted
