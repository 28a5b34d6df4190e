"""Two routers with NAT between a LAN of clients and one of servers, and conntrackd on a cable between them.

::

    client --[ em0: 192.0.2.0/24, shared .1 ]--- a ---[ em1: 198.51.100.0/24, shared .1 ]-- server
                                            |    | em2
                                            +--- b ---+

Everything on them is what ``conf/examples/conntrackd`` has: the configurations of carptwist and conntrackd, the script
that connects the two, the rules of nftables, the sysctls. Only the paths in them are those of the lab, and the buffers
of conntrackd's socket are the kernel's own: root of a user namespace may not make them larger.

The clients' LAN is the scene's own, with its prober and its watcher; its client's way to everywhere is the shared
address.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from importlib import resources
from typing import Any

from pyroute2 import NFCTSocket

from carptwist.lab.children import Child
from carptwist.lab.host import Host
from carptwist.lab.lan import Lan
from carptwist.lab.namespaces import LabError
from carptwist.lab.scene import Scene
from carptwist.lab.transfer import Transfer

#: The shared addresses of the clients' and the servers' LAN.
INSIDE, OUTSIDE = "192.0.2.1", "198.51.100.1"
SERVER = "198.51.100.254"

#: What the scene of routers shares on its own LAN.
SHARED = {INSIDE: 1}

_BOTH, _NEITHER = ("MASTER", "MASTER"), ("BACKUP", "BACKUP")

#: The programs, and the packages of Debian that have them.
_PROGRAMS = {"conntrackd": "conntrackd", "nft": "nftables"}

_FILES = ("carptwist-conntrackd.sh", "nat.nft", "sysctl.conf")

#: Where the files of the example say that things are; in the lab all of it is in the host's own directory.
_PLACES = re.compile(r"/(etc/carptwist|etc/conntrackd|run/carptwist|var/run|var/lock|var/log)/")


class Routers:
    """The two routers a and b of a scene with ``shared=SHARED``.

    :param synchronised: False for routers without conntrackd, to see what it is good for.
    :raises LabError: a program is missing, or something cannot be set up.
    """

    def __init__(self, scene: Scene, *, synchronised: bool = True) -> None:
        require_programs()
        self.scene = scene
        self.synchronised = synchronised
        self.server: Host = scene.lab.host("server")
        self.conntrackds: dict[str, Child] = {}
        self._outside: Lan = scene.lab.lan("servers")
        self._between: Lan = scene.lab.lan("cable")
        self._outside.connect(self.server, "em0", [f"{SERVER}/24"])
        for number, name in enumerate("ab", 2):
            self._prepare(scene.hosts[name], number)
        route = scene.client.namespace.route
        route.route("add", dst="default", gateway=INSIDE)

    def _prepare(self, host: Host, number: int) -> None:
        self._outside.connect(host, "em1", [f"198.51.100.{number}/24"])
        self._between.connect(host, "em2", [f"203.0.113.{number}/24"])
        for name in _FILES:
            path = host.directory / name
            path.write_text(self._placed(_example(name), host))
            path.chmod(0o755)
        text = re.sub(r"\n\s*(Snd|Rcv)SocketBuffer .*", "", _example(f"conntrackd-{host.name}.conf"))
        (host.directory / "conntrackd.conf").write_text(self._placed(text, host))
        _run(host, "nft", "-f", "nat.nft")  # before the sysctls: it is what brings connection tracking in
        for name, value in re.findall(r"^net\.(\S+) = (\S+)$", _example("sysctl.conf"), re.MULTILINE):
            host.namespace.sysctl(name, value)

    @staticmethod
    def _placed(text: str, host: Host) -> str:
        return _PLACES.sub(lambda _: f"{host.directory}/", text)

    def start(self, name: str) -> None:
        """Start conntrackd and the daemon of a router."""
        if self.synchronised:
            self.start_conntrackd(name)
        self._start_daemon(name)

    def start_conntrackd(self, name: str) -> None:
        """Start conntrackd alone, as after booting: nothing is left of a former one."""
        host = self.scene.hosts[name]
        for left_behind in ("conntrack.lock", "conntrackd.ctl"):  # /var/lock and /run are empty then
            (host.directory / left_behind).unlink(missing_ok=True)
        self.conntrackds[name] = host.run(
            [program("conntrackd"), "-C", "conntrackd.conf"], log="conntrackd.out", env=_environment()
        )
        self.conntrackds[name].expect("initialization completed")

    def _start_daemon(self, name: str) -> None:
        host = self.scene.hosts[name]
        text = self._placed(_example(f"{name}.ini"), host)
        if not self.synchronised:
            text = text.split("# Both vhids move together")[0]
        self.scene.daemon(name, text)

    def die(self, name: str) -> None:
        """A router loses its power: all its links at once, and everything that ran on it or was in its kernel."""
        host = self.scene.hosts[name]
        self.scene.daemons[name].kill_with_guard()
        for lan in (self.scene.lan, self._outside, self._between):
            lan.cut(host)
        if self.synchronised:
            self.conntrackds[name].kill()
        with host.namespace, NFCTSocket() as table:
            table.flush()

    def boot(self, name: str, *, conntrackd: bool = True) -> None:
        """A router that died comes back, with or without conntrackd."""
        host = self.scene.hosts[name]
        self._between.heal(host)
        if conntrackd and self.synchronised:
            self.start_conntrackd(name)
        self._start_daemon(name)
        # This host's kernel has lived on, and still has what the killed daemon has left.
        self.scene.wait(
            lambda: host.interfaces(only_up=True) == ["lo", "em0", "em1", "em2"],
            f"{name} has cleaned up after its predecessor",
        )
        for lan in (self.scene.lan, self._outside):
            lan.heal(host)

    def states(self, name: str) -> tuple[str | None, str | None]:
        """What both vhids of a router are, by its log."""
        return self.scene.logged_state(name, 1), self.scene.logged_state(name, 2)

    def await_master(self, name: str, limit: float = 60.0) -> None:
        """Wait until a router has both shared addresses and the other one, where its daemon runs, has neither."""
        daemons = self.scene.daemons

        def so() -> bool:
            return self.states(name) == _BOTH and all(
                self.states(other) == _NEITHER for other in daemons if other != name and daemons[other].running
            )

        self.scene.wait(so, f"{name} is MASTER of both, and nobody else is of any", limit)

    def connections(self, name: str) -> int:
        """How many TCP connections the kernel of a router knows of."""
        with self.scene.hosts[name].namespace, NFCTSocket() as table:
            return sum(_protocol(entry) == socket.IPPROTO_TCP for entry in table.dump())

    def known(self, name: str) -> int:
        """How many connections the conntrackd of a router knows from the other one."""
        with tempfile.TemporaryFile() as output:
            words = [program("conntrackd"), "-C", "conntrackd.conf", "-s", "cache"]
            self.scene.hosts[name].run(words, stdout=output, env=_environment()).wait()
            output.seek(0)
            found = re.search(rb"^cache:external.*?(\d+)$", output.read(), re.MULTILINE)
        return int(found[1]) if found is not None else 0

    def transfer(self) -> Transfer:
        """A connection from the client through the master to the server, begun now."""
        return Transfer(self.server, self.scene.client, SERVER, seen_as=OUTSIDE)


def _protocol(entry: Any) -> int | None:
    number: int | None = entry.get_nested("CTA_TUPLE_ORIG", "CTA_TUPLE_PROTO", "CTA_PROTO_NUM")
    return number


def require_programs(path: str | None = None) -> None:
    """Look for what routers need, by default where such programs are.

    :raises LabError: something is not installed; the text says which package has it.
    """
    missing = {name: package for name, package in _PROGRAMS.items() if shutil.which(name, path=path or _path()) is None}
    if missing:
        raise LabError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"apt-get install {' '.join(missing.values())}"
        )


def program(name: str) -> str:
    """Where a program is, also where PATH is that of a user without privilege."""
    return shutil.which(name, path=_path()) or name


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _environment() -> dict[str, str]:
    return {"PATH": _path()}


def _example(name: str) -> str:
    return resources.files("carptwist.lab").joinpath("conntrackd", name).read_text()


def _run(host: Host, *words: str) -> None:
    child = host.run([program(words[0]), *words[1:]], log="setup.log", env=_environment())
    if child.wait() != 0:
        raise LabError(f"{' '.join(words)} in {host.name}: {child.text().strip()}")
