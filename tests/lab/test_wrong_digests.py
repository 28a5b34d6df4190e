"""Mistakes that people make on the other host, through real sockets: ``carpctl explain`` names each of them.

::

    stranger (the client's host)                                  a, MASTER of vhid 1
      signs as 192.0.2.101 with the phrase of 2@em0   -------->     refused: "it signs with the pass phrase of 2@em0"
      signs as 192.0.2.102 with 19 of 20 characters   -------->     refused: "its pass phrase is cut to 19 ..."
      ...

What is signed here is put together by hand, from what the specification says.
"""

from __future__ import annotations

import hmac
import json
import socket
from ipaddress import ip_address

from carptwist.lab.scene import Scene
from carptwist.wire.advertisement import frame4
from carptwist.wire.carp import Advertisement, virtual_mac
from tests.lab.support import SceneTestCase
from tests.lab.test_carpctl import carpctl

#: Twenty characters, the most that there can be, and another one that is accepted as well.
LONG, ROTATED, OF_TWO = b"mekmitasdigoat-20-ch", b"the-second-phrase", b"of-the-other-vhid"
#: As they stand in the configuration, which is not their order by number.
FOUR = ("192.0.2.10", "192.0.2.1")
SIX = ("2001:db8::1", "fe80::1", "fe80::2")
CONFIGURATION = f"""
[carp]
log = 2
[vhid 1@em0]
address = 192.0.2.10/24
          192.0.2.1/24
          2001:db8::1/64
          fe80::1/64
          fe80::2/64
pass = {LONG.decode()}
       {ROTATED.decode()}
plane = none
[vhid 2@em0]
address = 192.0.2.20/24
pass = {OF_TWO.decode()}
plane = none
"""
SORTED = ("192.0.2.1", "192.0.2.10", *SIX)

CUT = "its pass phrase is cut to 19 characters, as ifconfig(8) does"
#: The number of a sender, with which phrase it signs which addresses in this order, and what is said of it.
MISTAKES = (
    (101, OF_TWO, SORTED, "it signs with the pass phrase of 2@em0"),
    (102, LONG[:19], SORTED, CUT),
    (103, LONG, ("192.0.2.1", *SIX), "it signs without 192.0.2.10"),
    (104, ROTATED, ("192.0.2.1", *SIX), "it signs without 192.0.2.10"),
    (105, LONG, ("192.0.2.1", "192.0.2.2", "192.0.2.10", *SIX), "it signs with 192.0.2.2 as well"),
    (106, LONG, ("192.0.2.1", "192.0.2.10", "192.0.2.106", *SIX), "it signs with 192.0.2.106 as well"),
    (107, LONG, SORTED[:3], "it signs without link-local addresses, as OpenBSD does"),
    (108, LONG, (*FOUR, *SIX), "it signs its addresses unsorted, as kernels of 2005 did"),
    (109, LONG, ("192.0.2.1",), "it signs 192.0.2.1 alone, as ucarp does"),
    (110, LONG[:19], SORTED[1:], f"{CUT} and it signs without 192.0.2.1"),
    (111, b"nobody-knows", SORTED, "its pass phrase differs, or more than one of its addresses does"),
)


def frame(number: int, phrase: bytes, addresses: tuple[str, ...]) -> bytes:
    """An advertisement of 192.0.2.NUMBER for vhid 1 that takes nothing away from anybody."""
    counter = 0x5EED000000000000 + number
    message = b"\x02\x01\x01" + b"".join(ip_address(each).packed for each in addresses) + counter.to_bytes(8, "big")
    said = Advertisement(1, 254, 1, 0, counter, hmac.digest(phrase.ljust(20, b"\0"), message, "sha1"))
    return frame4(
        said,
        source_mac=virtual_mac(1),
        source=ip_address(f"192.0.2.{number}").packed,
        destination=ip_address("224.0.0.18").packed,
        destination_mac=bytes.fromhex("01005e000012"),
        dscp=56,
    )


class WrongDigestTests(SceneTestCase):
    """A MASTER, and a stranger who makes every known mistake once."""

    def test_each_mistake_is_named(self) -> None:
        """By ``explain``, with who makes it; a vhid's second phrase is none; and nobody is told a phrase."""
        scene = self.scene(1, shared={}, pinged=[])
        daemon = scene.daemon("a", CONFIGURATION)
        daemon.expect("1@em0: BACKUP -> MASTER")
        self.say(scene, frame(100, ROTATED, SORTED), *(frame(*mistake[:3]) for mistake in MISTAKES))
        scene.wait(lambda: daemon.status()["stats"]["badauth"] == len(MISTAKES), "all of them were heard")
        vhid = daemon.status()["vhids"][0]
        self.assertEqual([(peer["source"], peer["phrase"]) for peer in vhid["peers"]], [("192.0.2.100", 2)])
        code, told, _ = carpctl(scene, "explain", "--json", "1@em0")
        self.assertEqual(code, 0)
        sentences = next(part["sentences"] for part in json.loads(told)["parts"] if part["title"] == "refused")
        expected = {f"Likeliest: 192.0.2.{number}: {text}." for number, _, _, text in MISTAKES}
        self.assertEqual({each for each in sentences if each.startswith("Likeliest")}, expected)
        # Of a crowd the log diagnoses the first, which is enough to begin with.
        self.assertIn("carp: 1@em0: bad digest from 192.0.2.101: it signs with the pass phrase of 2@em0", daemon.text())
        for phrase in (LONG[:19], ROTATED, OF_TWO):
            self.assertNotIn(phrase.decode(), told + daemon.text())

    def say(self, scene: Scene, *frames: bytes) -> None:
        with scene.client.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as port:
            with scene.client.namespace:
                port.bind(("em0", 0))
            for each in frames:
                port.send(each)
