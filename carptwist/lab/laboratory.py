"""The whole of a lab: its LANs, its hosts, and a directory for what they write."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from carptwist.lab.host import Host
from carptwist.lab.lan import Lan
from carptwist.lab.namespaces import LabError, enter


class Lab:
    """Makes LANs and hosts, and takes all of them away on leaving the ``with`` block.

    :raises LabError: if none can be made here; the text says why, and what to do.
    """

    def __init__(self) -> None:
        enter()
        self.directory = Path(tempfile.mkdtemp(prefix="carptwist-lab-"))
        self.hosts: dict[str, Host] = {}
        self.lans: list[Lan] = []

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def lan(self, name: str = "lan") -> Lan:
        """A new switch without ports."""
        lan = Lan(name)
        self.lans.append(lan)
        return lan

    def host(self, name: str) -> Host:
        """A new host without interfaces. Hosts are numbered from 1 in the order in which they are made."""
        if name in self.hosts:
            raise LabError(f"there is a host {name} already")
        host = Host(name, len(self.hosts) + 1, self.directory / name)
        self.hosts[name] = host
        return host

    def survivors(self) -> list[str]:
        """What still runs in the hosts, as ``host: command``."""
        return [
            f"{host.name}: {' '.join(child.argv)}"
            for host in self.hosts.values()
            for child in host.children
            if child.running
        ]

    def close(self) -> None:
        """Kill what still runs, and remove everything. A second call does nothing."""
        for host in self.hosts.values():
            host.close()
        for lan in self.lans:
            lan.close()
        self.hosts.clear()
        self.lans.clear()
        shutil.rmtree(self.directory, ignore_errors=True)
