"""What never having two owners costs: ``python -m tests.benches.guard``.

The guard's memory, beside a daemon's Python of the same version; what each advertisement costs the daemon's reactor for
telling the guard and for having addresses refreshed; what the refreshing costs its thread; and how long a guard takes
from the daemon's death to the last bow-out.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import ip_interface
from pathlib import Path

from carptwist.config.schema import VirtualHostConfig
from carptwist.guard import process
from carptwist.lab.host import Host
from carptwist.lab.laboratory import Lab
from carptwist.planes.device import MacvlanDevice
from carptwist.planes.kernel import Kernel
from carptwist.planes.messages import remove_group
from carptwist.planes.sysctls import Sysctls
from carptwist.planes.upkeep import Upkeep, datagrams
from carptwist.wire.carp import virtual_mac

ROUNDS = 200
#: Of devices, those of this daemon.
GROUP = 4242


class Guard:
    """A guard of a host, run as the daemon runs it."""

    def __init__(self, host: Host) -> None:
        self.daemon, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with host.namespace, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-E", process.__file__, "/dev/null"],
                stdin=theirs.fileno(),
                stderr=subprocess.DEVNULL,
            )
        assert self.daemon.recv(100) == process.HELLO
        (sweep,) = datagrams([remove_group(GROUP)])
        self.daemon.send(process.SWEEP + sweep)

    def entrust(self, serial: int, device: MacvlanDevice, interface: int) -> None:
        frames = [b"\xff" * 6 + b"\2\0\0\0\0\7" + b"\x88\xb5" + bytes(56)]
        header = process.WILL_HEADER.pack(serial, process.boottime() + 600, interface, len(frames))
        self.daemon.send(process.WILL + header + process.pack([str(serial).encode(), *frames, *device.ending]))
        self.daemon.send(process.RENEW + process.RENEWAL.pack(serial, process.boottime() + 600))

    def settle(self) -> None:
        self.daemon.send(process.PING)
        assert self.daemon.recv(100) == process.PONG

    def memory(self) -> int:
        """Its share of what is in memory, in KiB."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in rollup if line.startswith("Pss:")).split()[1])

    def death(self) -> float:
        """The daemon dies: milliseconds until all is done."""
        began = time.perf_counter()
        self.daemon.close()
        self.process.wait()
        return (time.perf_counter() - began) * 1000


def microseconds(step: Callable[[], object]) -> float:
    """The median of many times."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        step()
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def main() -> None:
    with Lab() as lab:
        host = lab.host("host")
        lab.lan().connect(host, addresses=["192.0.2.7/24", "2001:db8:2::7/64"])
        index = host.index("em0")
        with host.namespace:
            kernel, settings, upkeep = Kernel(), Sysctls(lab.directory / "state"), Upkeep(time.monotonic)
            upkeep.start()
            mouth = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK)

            def held(vhid: int, *addresses: str, group: int = GROUP) -> MacvlanDevice:
                config = VirtualHostConfig(vhid, "em0", tuple(ip_interface(text) for text in addresses))
                device = MacvlanDevice(config, virtual_mac(vhid), settings, upkeep.term(), group)
                device.prepare(kernel, config)
                device.hold(kernel)
                return device

            guard = Guard(host)
            renewal = process.RENEW + process.RENEWAL.pack(1, process.boottime() + 600)
            print(f"guard without wills: {guard.memory()} KiB PSS")
            one = held(1, "192.0.2.1/24", "2001:db8:2::1/64")
            guard.entrust(1, one, index)
            guard.settle()
            print(f"guard with one will: {guard.memory()} KiB PSS")

            def renew() -> None:
                guard.daemon.send(renewal)
                time.sleep(0.001)  # as in a daemon, the guard has time to take it

            idle = microseconds(lambda: time.sleep(0.001))
            print(f"one renewal, daemon's side: {microseconds(renew) - idle:.0f} us")
            four = [f"192.0.2.{number}/24" for number in range(100, 200)]
            six = [f"2001:db8:2::{number:x}/64" for number in range(0x100, 0x164)]
            many = held(2, *four, *six, group=0)
            for what, device in (("2 addresses", one), ("200 addresses", many)):
                term = device.term
                thread = microseconds(lambda term=term: term.refresh_now(mouth, 60, 1e12))  # type: ignore[misc]
                reactor = microseconds(lambda term=term: term.refresh(60, 0))  # type: ignore[misc]
                print(f"refreshing {what}: reactor {reactor:.1f} us, thread {thread:.0f} us")
            print(f"from the daemon's death to the end of all, 1 vhid: {guard.death():.0f} ms")
            for count in (2, 3, 10, 50, 250):
                guard = Guard(host)
                for vhid in range(3, 3 + count):
                    guard.entrust(vhid, held(vhid, f"10.1.0.{vhid}/24"), index)
                guard.settle()
                print(f"guard with {count} wills: {guard.memory()} KiB PSS")
                print(f"from the daemon's death to the end of all, {count} vhids: {guard.death():.0f} ms")
            still = [name for name in host.interfaces(only_up=True) if name.startswith(f"carp{index}-")]
            assert still == [f"carp{index}-2"], still  # the one that no guard was told of
            upkeep.stop()
            mouth.close()
            kernel.close()


if __name__ == "__main__":
    main()
