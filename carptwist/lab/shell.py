"""The prompt of ``carptwist lab``: run things in the hosts, pull cables, plug them in again."""

from __future__ import annotations

import cmd
import contextlib
import shlex
import subprocess
import sys
from pathlib import Path

from carptwist.lab.host import Host
from carptwist.lab.lan import Partition
from carptwist.lab.namespaces import LabError
from carptwist.lab.relay import Relay
from carptwist.lab.scene import Scene

_PARTITIONS = {"": Partition.BOTH, "both": Partition.BOTH, "deaf": Partition.DEAF, "mute": Partition.MUTE}


class Shell(cmd.Cmd):
    """Reads commands from stdin, be it a terminal or a pipe."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._scene = scene
        self._relay = Relay(sys.stdout)
        self._failed = False
        self._interactive = sys.stdin.isatty()
        self.use_rawinput = self._interactive
        self.prompt = "lab> " if self._interactive else ""

    def talk(self) -> int:
        """Read until ``quit`` or the end of the input. The exit code: 0 if every command did what it should."""
        if self._interactive:
            print("A LAN of", self._names(), "and a client. `help` tells what you can do with it.")
        with self._relay:
            self._talk()
        return 1 if self._failed and not self._interactive else 0

    def _talk(self) -> None:
        while True:
            try:
                self.cmdloop()
                return
            except KeyboardInterrupt:
                if not self._interactive:
                    raise
                print()

    def onecmd(self, line: str) -> bool:
        try:
            return bool(super().onecmd(line))
        except (LabError, ValueError) as error:
            self._failed = True
            print(error, file=sys.stderr)
            return False

    def default(self, line: str) -> None:
        raise LabError(f"{line.split()[0]}: no such command: hosts, run, client, cut, heal, isolate, quit")

    def emptyline(self) -> bool:
        return False

    def do_hosts(self, line: str) -> None:
        """hosts: show the hosts, their addresses, and how they are connected"""
        for host in [*self._scene.hosts.values(), self._scene.client]:
            port = self._scene.lan.ports[host.name]
            if port.is_cut:
                state = "cut"
            elif port.partition is Partition.NOTHING:
                state = "connected"
            else:
                state = "isolated" if port.partition is Partition.BOTH else port.partition.value
            own = [str(address) for address in sorted(host.addresses(), key=lambda each: (each.version, int(each)))]
            print(f"{host.name:<8} {state:<10} {' '.join(each for each in own if each not in ('127.0.0.1', '::1'))}")

    def do_run(self, line: str) -> None:
        """run HOST COMMAND ...: run a command in a host; with & at the end, in the background"""
        name, _, command = line.partition(" ")
        self._run(self._host(name), command)

    def do_client(self, line: str) -> None:
        """client COMMAND ...: run a command in the client; with & at the end, in the background"""
        self._run(self._scene.client, line)

    def do_cut(self, line: str) -> None:
        """cut HOST: pull the cable; the host's interface loses its link"""
        self._scene.lan.cut(self._host(line))

    def do_heal(self, line: str) -> None:
        """heal HOST: plug the cable in again, and end an isolation"""
        self._scene.lan.heal(self._host(line))

    def do_isolate(self, line: str) -> None:
        """isolate HOST [both|deaf|mute]: drop frames silently, though the link stays up; deaf: only those to the
        host; mute: only those from it"""
        name, _, how = line.partition(" ")
        if how.strip() not in _PARTITIONS:
            raise LabError(f"isolate: {how.strip()}: must be both, deaf or mute")
        self._scene.lan.isolate(self._host(name), _PARTITIONS[how.strip()])

    def do_quit(self, line: str) -> bool:
        """quit: end everything that runs, and remove the lab"""
        return True

    def do_EOF(self, line: str) -> bool:
        return True

    def _run(self, host: Host, command: str) -> None:
        words = shlex.split(command)
        if not words:
            raise LabError("what is to be run?")
        here = Path.cwd()
        if words[-1] == "&":
            self._relay.start(host, words[:-1], directory=here)
            return
        # A command in the foreground has the terminal to itself; but a script's next lines are not its input.
        stdin = None if self._interactive else subprocess.DEVNULL
        child = host.run(words, own_session=False, directory=here, stdin=stdin)
        while child.running:
            with contextlib.suppress(KeyboardInterrupt):
                child.wait_for_ever()
        if child.process.returncode != 0:
            raise LabError(f"{words[0]} ended with {child.process.returncode}")

    def _host(self, name: str) -> Host:
        found = {**self._scene.hosts, "client": self._scene.client}.get(name.strip())
        if found is None:
            raise LabError(f"{name.strip() or 'which host'}: no such host: {self._names()} or client")
        return found

    def _names(self) -> str:
        return ", ".join(self._scene.hosts)
