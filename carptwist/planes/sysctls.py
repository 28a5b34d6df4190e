"""Per-interface settings of the kernel: what was set is put back.

::

    acquire(2, em0, 1@em0, ...)  write the journal, then the settings
    release(1@em0)               the last user of device 2: the settings as they were, then the journal without it
    recover()                    at start: what the journal says that a dead predecessor had not put back

Settings belong to a device, not to a name: they go with one that is renamed, and another one that has got the name
since has settings of its own. So devices are known by their index, and by the name that goes with it just then.

The journal names this boot and, by its file name, this network namespace: what another one wrote is not ours to put
back. It is replaced atomically, and always before a setting is changed. Where several services of one process run, each
with a directory of its own, every one of them has the whole journal: whichever is started first puts everything back.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import RLock
from typing import Any, NamedTuple

from carptwist.planes import PlaneError

_CONF = Path("/proc/sys/net")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# asm-generic/socket.h
_SO_NETNS_COOKIE = 71

#: Loose reverse path filtering: any route back will do. 1 would drop what comes in for a shared address.
_LOOSE = 2


def read(family: str, interface: str, name: str) -> int | None:
    """``net.FAMILY.conf.INTERFACE.NAME``, or None where the kernel has no such setting."""
    try:
        return int((_CONF / family / "conf" / interface / name).read_text())
    except (OSError, ValueError):
        return None


def has_ipv6() -> bool:
    """Whether the kernel has IPv6 at all; where it is merely disabled on devices, it has."""
    return (_CONF / "ipv6").is_dir()


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
    """The settings of the interfaces on which vhids run. Any thread may use it.

    :param state_dirs: where the journal is; made if they are not there. Daemons in several network namespaces may share
        one: each has a journal of its own.
    """

    def __init__(self, *state_dirs: Path) -> None:
        self._state_dirs = list(state_dirs)
        self._users: dict[int, set[str]] = {}  # index of an interface -> who uses it
        self._interfaces: dict[int, _Changed] = {}
        self._lock = RLock()

    def join(self, state_dir: Path) -> None:
        """Write the journal there as well from now on. What a predecessor has written there :meth:`recover` reads."""
        with self._lock:
            self._state_dirs.append(state_dir)

    def leave(self, state_dir: Path) -> None:
        """Leave no journal there: whoever needs one has it elsewhere. The last one stays while something is changed:
        what could not be put back is for the next daemon."""
        with self._lock:
            if state_dir not in self._state_dirs:
                return
            self._state_dirs.remove(state_dir)
            if self._state_dirs or not any(changed.settings for changed in self._interfaces.values()):
                with contextlib.suppress(OSError):
                    _journal(state_dir).unlink(missing_ok=True)

    def acquire(self, index: int, interface: str, user: str, wanted: Mapping[str, int]) -> None:
        """Give settings of an interface the wanted values, for as long as it has users. Repeated, it mends what
        somebody else has changed since; on another interface than before it releases the former one.

        :param index: the interface; ``interface`` is its name now.
        :raises PlaneError: a setting or the journal cannot be written.
        """
        with self._lock:
            self._release(user, [number for number in self._users if number != index])
            self._users.setdefault(index, set()).add(user)
            changes = self._interfaces.setdefault(index, _Changed(interface, {})).settings
            for name, value in wanted.items():
                now = read("ipv4", interface, name)
                if now is None or now == value:
                    continue
                if name not in changes:
                    changes[name] = _Change(now, value)
                    try:
                        self._save()
                    except PlaneError:
                        del changes[name]
                        raise
                write("ipv4", interface, name, value)

    def release(self, user: str) -> None:
        """The user is done; with the last one the settings are put back, whatever the interface is called by now."""
        with self._lock:
            self._release(user, list(self._users))

    def _release(self, user: str, indexes: Iterable[int]) -> None:
        for index in indexes:
            users = self._users[index]
            if user not in users:
                continue
            users.remove(user)
            if users:
                continue
            del self._users[index]
            changed = self._interfaces.pop(index)
            if changed.settings:
                _put_back(index, changed.settings)
                self._save()

    def recover(self) -> list[str]:
        """Put back what a predecessor that died had changed here; gives the names of the interfaces. What has users by
        now stays as it is until the last one is done. Journals of former boots go."""
        boot = _boot()
        recovered: set[str] = set()
        with self._lock:
            for state_dir in self._state_dirs:
                for index, changed in _load(_journal(state_dir), boot).items():
                    if index not in self._users:
                        _put_back(index, changed.settings)
                        recovered.add(changed.name)
                    elif index in self._interfaces:
                        for name, change in changed.settings.items():
                            self._interfaces[index].settings.setdefault(name, change)
                for path in state_dir.glob("sysctls-*.json"):
                    if path == _journal(state_dir) or not _of_boot(path, boot):
                        path.unlink(missing_ok=True)
            if self._interfaces:
                self._save()
        return sorted(recovered)

    def _save(self) -> None:
        interfaces = {index: changed for index, changed in self._interfaces.items() if changed.settings}
        text = json.dumps({"boot": _boot(), "interfaces": interfaces}) if interfaces else ""
        troubles = [trouble for state_dir in self._state_dirs if (trouble := _write_journal(state_dir, text))]
        # One that is written says it all: a service does not fail for another one's directory.
        if troubles and len(troubles) == len(self._state_dirs):
            raise PlaneError(f"{troubles[0]}: state_dir must be a directory that this process may write to")


def _journal(state_dir: Path) -> Path:
    return state_dir / f"sysctls-{namespace()}.json"


def _write_journal(state_dir: Path, text: str) -> str | None:
    """Have a journal with this text there, and none without text; gives why that cannot be."""
    journal = _journal(state_dir)
    try:
        if not text:
            journal.unlink(missing_ok=True)
            return None
        state_dir.mkdir(parents=True, exist_ok=True)
        draft = journal.with_suffix(".new")
        draft.write_text(text)
        draft.replace(journal)
    except OSError as error:
        return f"cannot write {journal}: {error.strerror}"
    return None


def _load(journal: Path, boot: str) -> dict[int, _Changed]:
    try:
        told: dict[str, Any] = json.loads(journal.read_text())
        if told["boot"] != boot:
            return {}
        return {
            int(index): _Changed(
                str(name),
                {str(setting): _Change(int(was), int(became)) for setting, (was, became) in settings.items()},
            )
            for index, (name, settings) in told["interfaces"].items()
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}  # none, or one that is not ours: nothing was changed on its account


class _Change(NamedTuple):
    """A setting that was changed, from what and to what."""

    was: int
    became: int


class _Changed(NamedTuple):
    """An interface, by the name that it had first, and what was done to its settings."""

    name: str
    settings: dict[str, _Change]


def _put_back(index: int, changes: Mapping[str, _Change]) -> None:
    try:
        interface = socket.if_indextoname(index)
    except OSError:
        return  # it has gone, and its settings with it
    for name, change in changes.items():
        # Unless somebody else has decided otherwise meanwhile.
        if read("ipv4", interface, name) == change.became:
            write("ipv4", interface, name, change.was)


def _boot() -> str:
    return _BOOT_ID.read_text().strip()


def _of_boot(path: Path, boot: str) -> bool:
    try:
        return bool(json.loads(path.read_text())["boot"] == boot)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def namespace() -> str:
    """This network namespace, among all that there have been since the host was started: elsewhere the same names mean
    other interfaces. The number of its file is used again once it has gone; the cookie (Linux 5.14) never is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as anybody:
        try:
            (cookie,) = struct.unpack("=Q", anybody.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8))
        except OSError:
            cookie = 0
    return f"{os.stat('/proc/thread-self/ns/net').st_ino}-{cookie}"


def for_macvlans(interface: str) -> dict[str, int]:
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


def for_addresses() -> dict[str, int]:
    """What an interface must be set to that has our addresses beside others'."""
    # Or with one of ours all go that came to the same prefix after it, whoever put them there.
    return {"promote_secondaries": 1}
