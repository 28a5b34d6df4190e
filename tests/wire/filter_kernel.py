"""Run in a network namespace of its own: which frames does the kernel let through which filter?

Reads from stdin a JSON object {"programs": {name: hex}, "frames": [hex]}; sends every frame into one end of a veth
pair, and prints which of them a packet socket with each program receives at the other: {name: [hex]}.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from pyroute2 import IPRoute

from carptwist.links.packet import attach_filter

ETH_P_ALL = 0x0003
#: The last frame sent: of a type that is nobody's, so that nothing else on the link is taken for it.
END = bytes.fromhex("02000000000202000000000188b5") + bytes(46)


def packet_socket(interface: str, program: bytes | None = None) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    if program is not None:
        attach_filter(made, program)
    made.bind((interface, ETH_P_ALL))
    return made


def main() -> None:
    asked = json.load(sys.stdin)
    with IPRoute() as kernel:
        kernel.link("add", ifname="left", kind="veth", peer={"ifname": "right"})
        for name in ("left", "right"):
            kernel.link("set", index=kernel.link_lookup(ifname=name)[0], state="up")
    listeners = {name: packet_socket("right", bytes.fromhex(program)) for name, program in asked["programs"].items()}
    everything = packet_socket("right")
    sender = packet_socket("left", bytes.fromhex("0600000000000000"))
    for frame in asked["frames"]:
        sender.send(bytes.fromhex(frame))
    sender.send(END)
    # A socket that takes everything shows that the kernel is through with all of them.
    give_up = time.monotonic() + 30
    while everything.recv(2048) != END:
        select.select([everything], [], [], max(0.0, give_up - time.monotonic()))
    heard: dict[str, list[str]] = {}
    for name, listener in listeners.items():
        listener.setblocking(False)
        heard[name] = []
        try:
            while True:
                heard[name].append(listener.recv(2048).hex())
        except BlockingIOError:
            pass
    json.dump(heard, sys.stdout)


if __name__ == "__main__":
    main()
