"""The recipes of docs/webhooks.md, against a server that looks closely, and the function there that verifies."""

from __future__ import annotations

import ast
import hmac
import json
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from carptwist.config.reactions import Hidden, WebhookConfig
from carptwist.config.reader import read
from carptwist.hooks.notice import signature
from carptwist.hooks.script import Change
from carptwist.hooks.webhooks import Webhooks
from carptwist.http.names import Names
from carptwist.http.posting import Posting

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
VHID = "[vhid 9@em9]\naddress = 192.0.2.1/24\npass = mekmitasdigoat\n"
STATES = ("BACKUP", "MASTER", "BACKUP", "INIT")


def recipes() -> list[WebhookConfig]:
    """All webhooks of the page that are configured as a whole."""
    found: list[WebhookConfig] = []
    for block in re.findall(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        found += read(block + VHID, "docs/webhooks.md", lambda path: "mekmitasdigoat").configuration.webhooks
    return found


def genuine() -> Callable[[bytes, str, str], bool]:
    """The function that the page gives to whoever has a server."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(ast.parse(code), "docs/webhooks.md", "exec"), names)
    return names["genuine"]  # type: ignore[no-any-return]


class GenuineTests(SynchronousTestCase):
    def test_what_is_signed_and_nothing_else(self) -> None:
        """Another body, another secret, another header is not."""
        body = json.dumps({"text": "b: 1@em0 \u2192 MASTER"}, ensure_ascii=False).encode()
        header = signature("mekmitasdigoat", body)
        self.assertTrue(genuine()(body, header, "mekmitasdigoat"))
        for wrong in (
            (body + b" ", header, "mekmitasdigoat"),
            (body, header, "mekmitasdigoaT"),
            (body, header[:-1], "mekmitasdigoat"),
            (body, hmac.new(b"mekmitasdigoat", body, "sha256").hexdigest(), "mekmitasdigoat"),
        ):
            self.assertFalse(genuine()(*wrong))


class _Provider(Resource):
    """A server that takes everything, and keeps it."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, dict[str, str], bytes]] = []
        self.enough: tuple[int, Deferred[None]] | None = None

    def render_POST(self, request: Any) -> bytes:
        headers = {
            name.decode().lower(): values[0].decode() for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.heard.append((request.uri.decode(), headers, request.content.read()))
        if self.enough is not None and len(self.heard) == self.enough[0]:
            self.enough[1].callback(None)
        request.setResponseCode(201)
        return b""


class RecipeTests(TestCase):
    """What a host that becomes BACKUP, MASTER, BACKUP and INIT says to whom."""

    timeout = 60

    def setUp(self) -> None:
        self.provider = _Provider()
        self.port = reactor.listenTCP(0, Site(self.provider), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(self.port.stopListening)

    @inlineCallbacks
    def told(
        self, config: WebhookConfig, calls: int
    ) -> Generator[Deferred[Any], Any, list[tuple[str, dict[str, str], bytes]]]:
        """What the provider hears, at the path of the recipe's own address."""
        address = urlsplit(config.url.text)
        here = f"http://127.0.0.1:{self.port.getHost().port}{address.path}"
        moved = WebhookConfig(**{**vars(config), "url": Hidden(here)})
        webhooks = Webhooks(
            [moved],
            reactor,  # type: ignore[arg-type]
            poster=lambda config: Posting(reactor, Names(reactor), config),
            host="a",
            now=lambda: "2026-11-21T12:00:00.000+00:00",
            demotion=lambda: 0,
            draw=lambda: 0.5,
        )
        self.provider.heard.clear()
        enough: Deferred[None] = Deferred()
        self.provider.enough = (calls, enough)
        previous = "INIT"
        for state in STATES:
            webhooks.changed(Change("1", "eth0", previous, state, "because"))
            webhooks.demoted(1, 1, "because")
            previous = state
            if state == "MASTER" and config.latest:
                yield enough  # it must have been said before it is not so any more
        yield enough
        yield webhooks.finish()
        self.assertEqual(len(self.provider.heard), calls)
        return self.provider.heard

    @inlineCallbacks
    def test_a_chat_channel(self) -> Generator[Deferred[Any], Any, None]:
        """One object with a text for people, for each MASTER and INIT."""
        (config,) = (each for each in recipes() if each.name == "chat")
        heard = yield self.told(config, 2)
        for (uri, headers, body), state in zip(heard, ("MASTER", "INIT"), strict=True):
            self.assertEqual((uri, headers["content-type"]), ("/services/T000/B000/XXXX", "application/json"))
            said = json.loads(body)
            self.assertEqual(list(said), ["text"])
            self.assertIn(f"-> {state} (because)", said["text"])

    @inlineCallbacks
    def test_a_floating_address(self) -> Generator[Deferred[Any], Any, None]:
        """One call for the MASTER, with the token, whose number of the server is a number."""
        hetzner, digitalocean = (each for each in recipes() if each.name == "floating-ip")
        for config, path, wanted in (
            (hetzner, "/v1/floating_ips/4711/actions/assign", {"server": 42}),
            (digitalocean, "/v2/reserved_ips/203.0.113.10/actions", {"type": "assign", "droplet_id": 42}),
        ):
            ((uri, headers, body),) = yield self.told(config, 1)
            self.assertEqual((uri, headers["authorization"]), (path, "Bearer TOKEN"))
            self.assertEqual(json.loads(body), wanted)

    @inlineCallbacks
    def test_the_first_one_is_signed(self) -> Generator[Deferred[Any], Any, None]:
        """As the page's own function wants it, with all the page's keys, in order."""
        (config,) = (each for each in recipes() if each.name == "ops")
        heard = yield self.told(config, 2 * len(STATES))
        keys = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)))
        for number, (_, headers, body) in enumerate(heard, 1):
            self.assertTrue(genuine()(body, headers["x-carptwist-signature"], "mekmitasdigoat"))
            self.assertEqual(sorted(json.loads(body)), sorted(keys))
            self.assertEqual(json.loads(body)["sequence"], number)
