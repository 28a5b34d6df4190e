"""What the steps of a macvlan plane cost: ``python -m tests.benches.planes``.

Measured on the kernel's thread, without the reactor: what a takeover adds to it is in :mod:`tests.benches.takeover`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from ipaddress import ip_interface

from carptwist.config.schema import VirtualHostConfig
from carptwist.lab.laboratory import Lab
from carptwist.planes.device import MacvlanDevice
from carptwist.planes.kernel import Kernel
from carptwist.planes.sysctls import Sysctls
from carptwist.planes.upkeep import Upkeep
from carptwist.wire.carp import virtual_mac

ROUNDS = 9
MANY = 255


def milliseconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    with Lab() as lab:
        host = lab.host("host")
        lab.lan().connect(host, addresses=["192.0.2.7/24", "2001:db8:2::7/64"])
        host.namespace.route.route("add", dst="default", gateway="192.0.2.254")
        with host.namespace:
            kernel, settings = Kernel(), Sysctls(lab.directory / "state")

            def device(vhid: int, *addresses: str) -> MacvlanDevice:
                config = VirtualHostConfig(vhid, "em0", tuple(ip_interface(text) for text in addresses))
                return MacvlanDevice(config, virtual_mac(vhid), settings, Upkeep(time.monotonic).term())

            four = [f"192.0.2.{number}/24" for number in range(100, 200)]
            six = [f"2001:db8:2::{number:x}/64" for number in range(0x100, 0x164)]
            spread = [f"10.0.{number}.1/24" for number in range(100)]
            print(f"{'':42}{'prepare':>9}{'hold: first':>13}{'later':>8}{'release':>9}{'withdraw':>10}  ms")
            for what, addresses in (
                ("1 IPv4 address", four[:1]),
                ("1 IPv4, 1 IPv6 address", four[:1] + six[:1]),
                ("200 addresses in 2 prefixes", four + six),
                ("200 addresses in 101 prefixes", spread + six),
            ):
                one = device(1, *addresses)
                prepare = milliseconds(lambda one=one: one.prepare(kernel))  # type: ignore[misc]
                first = milliseconds(lambda one=one: one.hold(kernel))  # type: ignore[misc]
                holds, releases = [], [milliseconds(lambda one=one: one.release(kernel))]  # type: ignore[misc]
                for _ in range(ROUNDS):
                    holds.append(milliseconds(lambda one=one: one.hold(kernel)))  # type: ignore[misc]
                    releases.append(milliseconds(lambda one=one: one.release(kernel)))  # type: ignore[misc]
                withdraw = milliseconds(lambda one=one: one.withdraw(kernel))  # type: ignore[misc]
                later, release = statistics.median(holds), statistics.median(releases)
                print(f"{what:42}{prepare:9.1f}{first:13.1f}{later:8.1f}{release:9.1f}{withdraw:10.1f}")
            all_of_them = [device(vhid, f"10.1.0.{vhid}/24", f"2001:db8:3::{vhid:x}/64") for vhid in range(1, MANY + 1)]
            figures = [
                milliseconds(lambda step=step: [step(one) for one in all_of_them])  # type: ignore[misc]
                for step in (
                    lambda one: one.prepare(kernel),
                    lambda one: one.hold(kernel),
                    lambda one: one.hold(kernel),
                    lambda one: one.release(kernel),
                    lambda one: one.withdraw(kernel),
                )
            ]
            what = f"{MANY} vhids with 2 addresses, all of them"
            print(f"{what:42}{figures[0]:9.0f}{figures[1]:13.0f}{figures[2]:8.0f}{figures[3]:9.0f}{figures[4]:10.0f}")
            kernel.close()


if __name__ == "__main__":
    main()
