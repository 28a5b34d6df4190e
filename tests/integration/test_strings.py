"""``carp:VHID@IF:INNER`` as a string."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from carptwist.api import CarpServerEndpoint
from carptwist.integration.strings import CarpServerParser


class StringTests(SynchronousTestCase):
    """What is made of it."""

    def parse(self, text: str) -> Any:
        endpoint = serverFromString(MemoryReactorClock(), text)  # type: ignore[no-untyped-call]
        self.assertIsInstance(endpoint, CarpServerEndpoint)
        return endpoint

    def test_twisted_finds_the_plugin(self) -> None:
        """By its prefix; and it is one."""
        found = [
            plugin
            for plugin in getPlugins(IStreamServerEndpointStringParser)  # type: ignore[no-untyped-call]
            if plugin.prefix == "carp"
        ]
        self.assertEqual([type(plugin) for plugin in found], [CarpServerParser])
        verifyObject(IStreamServerEndpointStringParser, found[0])

    def test_the_inner_endpoint_quoted_and_plain(self) -> None:
        """Is the same, with its own options."""
        for text in (
            r"carp:1@em0:tcp\:80\:interface=192.0.2.1\:backlog=7",
            r"carp:1@em0:tcp\:80\:interface\=192.0.2.1\:backlog\=7",
            "carp:1@em0:tcp:80:interface=192.0.2.1:backlog=7",
        ):
            for more in ("", ":drain=5"):
                inner = self.parse(text + more)._inner
                self.assertEqual((inner._port, inner._interface, inner._backlog), (80, "192.0.2.1", 7), text)

    def test_an_address_with_colons(self) -> None:
        """Is quoted once within the inner string, and each of these once more; or once in all where that is plain."""
        for text in (
            r"carp:1@em0:tcp6\:80\:interface=2001\\\:db8\\\:\\\:1",
            r"carp:1@em0:tcp6:80:interface=2001\:db8\:\:1",
        ):
            self.assertEqual(self.parse(text)._inner._interface, "2001:db8::1", text)

    def test_inner_endpoints_without_options(self) -> None:
        """And with a path."""
        self.assertEqual(self.parse(r"carp:1@em0:tcp\:80")._inner._port, 80)
        self.assertEqual(self.parse(r"carp:255@bond0.100:unix\:/run/shop.sock")._inner._address, "/run/shop.sock")

    def test_options(self) -> None:
        """Those of the endpoint itself."""
        endpoint = self.parse(r"carp:1@em0:tcp\:80:control=/run/other.sock:drain=5:settle=0.5:always=yes")
        self.assertEqual(endpoint._control._endpoint._path, "/run/other.sock")
        self.assertEqual((endpoint._drain_seconds, endpoint._settle_seconds), (5.0, 0.5))
        self.assertTrue(endpoint._always)
        self.assertFalse(self.parse(r"carp:1@em0:tcp\:80:always=no")._always)

    def test_what_is_wrong_is_told(self) -> None:
        """At once, in words."""
        for text, words in {
            "carp": "VHID@INTERFACE",
            "carp:em0:tcp:80": "'em0' names no virtual host: write VHID@INTERFACE, as 1@em0",
            "carp:0@em0:tcp:80": "'0@em0': the vhid must be 1 to 255",
            "carp:256@em0:tcp:80": "'256@em0': the vhid must be 1 to 255",
            "carp:1@:tcp:80": "VHID@INTERFACE",
            r"carp:1@em0:tcp\:80:control=": "control",
            r"carp:1@em0:tcp\:80:control=nosuch\:1": "nosuch",
            r"carp:1@em0:tcp\:http2": "http2",
            "carp:1@em0": "the inner endpoint is missing",
            r"carp:1@em0:tcp\:80:interface=192.0.2.1": r"within the inner endpoint each colon is written \:",
            r"carp:1@em0:tcp\:80:drian=5": "drian: no such option",
            r"carp:1@em0:tcp\:80:drain=long": "drain=long: must be 0 to 60 seconds",
            r"carp:1@em0:tcp\:80:drain=61": "drain=61: must be 0 to 60 seconds",
            r"carp:1@em0:tcp\:80:settle=nan": "settle=nan: must be 0 to 60 seconds",
            r"carp:1@em0:tcp\:80:always=maybe": "always=maybe: must be yes or no",
            r"carp:1@em0:nosuch\:80": "nosuch",
        }.items():
            error = self.assertRaises(ValueError, self.parse, text)
            self.assertIn(words, str(error), text)
