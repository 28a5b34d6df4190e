"""Requests to real servers on this host, good ones and bad ones."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor, ssl
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from carptwist.http.client import Client, RequestError
from carptwist.http.connection import LONGEST_BODY, LONGEST_HEAD
from carptwist.http.names import Names
from tests.http.certificates import self_signed

#: What TLS begins with.
TLS_HANDSHAKE = b"\x16\x03"


class Server(Protocol):
    """Answers a request with octets, whatever it was; then it closes, hangs, or floods."""

    def __init__(self, factory: Servers) -> None:
        self._factory = factory
        self._heard = b""

    def connectionMade(self) -> None:
        self._factory.open.append(self)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if b"\r\n\r\n" not in self._heard and not self._heard.startswith(TLS_HANDSHAKE):
            return
        self._factory.requests.append(self._heard)
        assert self.transport is not None
        self.transport.write(self._factory.answer)
        if self._factory.flood:
            self.transport.registerProducer(self, False)  # type: ignore[attr-defined]
        elif not self._factory.hang:
            self.transport.loseConnection()

    def resumeProducing(self) -> None:
        assert self.transport is not None
        self.transport.write(self._factory.flood)
        self._factory.flooded += len(self._factory.flood)

    def stopProducing(self) -> None:
        pass

    def connectionLost(self, reason: Any = None) -> None:
        self._factory.open.remove(self)


class Servers(Factory):
    noisy = False

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\n\r\nall is well"
        self.hang = False
        self.flood = b""
        self.flooded = 0
        self.requests: list[bytes] = []
        self.open: list[Server] = []

    def buildProtocol(self, addr: Any) -> Server:
        return Server(self)


class ServerCase(TestCase):
    """A server, and a client of it."""

    timeout = 60

    def setUp(self) -> None:
        self.servers = Servers()
        self.names = Names(reactor)
        self.client = Client(reactor, self.names)
        self.port = reactor.listenTCP(0, self.servers, interface="127.0.0.1")
        self.addCleanup(self.close)

    @inlineCallbacks
    def close(self) -> Any:
        yield self.port.stopListening()
        yield self.until(lambda: not self.servers.open)

    @inlineCallbacks
    def until(self, condition: Callable[[], bool]) -> Any:
        while not condition():
            yield deferLater(reactor, 0.01)

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port.getHost().port}/healthz?a=b"

    @inlineCallbacks
    def refused(self, asking: Deferred[Any]) -> Any:
        """Why there was no answer."""
        error = yield self.assertFailure(asking, RequestError)
        return str(error)


class AnswerTests(ServerCase):
    """What a server says."""

    @inlineCallbacks
    def test_status_and_body(self) -> Any:
        """A GET, and the body if it is wanted."""
        answer = yield self.client.get(self.url(), body=True)
        self.assertEqual(answer, (200, b"all is well"))
        head, _, _ = self.servers.requests[0].partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        self.assertEqual(lines[0], b"GET /healthz?a=b HTTP/1.1")
        self.assertIn(b"Connection: close", lines)
        self.assertIn(b"Accept-Encoding: identity", lines)
        self.servers.answer = b"HTTP/1.1 503 Nope\r\nContent-Length: 0\r\n\r\n"
        answer = yield self.client.get(self.url())
        self.assertEqual(answer, (503, b""))

    @inlineCallbacks
    def test_a_post(self) -> Any:
        """With its octets and headers."""
        answer = yield self.client.post(self.url(), b'{"a": 1}', {"Content-Type": "application/json", "X-Sign": "yes"})
        self.assertEqual(answer.status, 200)
        head, _, body = self.servers.requests[0].partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"POST "))
        self.assertIn(b"X-Sign: yes", head.split(b"\r\n"))
        self.assertEqual(body, b'{"a": 1}')

    @inlineCallbacks
    def test_the_status_does_not_wait_for_a_body_that_nobody_wants(self) -> Any:
        """It is known when the head is."""
        self.servers.hang = True
        self.servers.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun"
        answer = yield self.client.get(self.url())
        self.assertEqual(answer.status, 200)

    @inlineCallbacks
    def test_a_redirect_is_followed_for_whoever_wants_it(self) -> Any:
        """And is an answer to the others."""
        self.servers.answer = f"HTTP/1.1 302 Found\r\nLocation: {self.url()}\r\nContent-Length: 0\r\n\r\n".encode()
        answer = yield self.client.get(self.url())
        self.assertEqual((answer.status, len(self.servers.requests)), (302, 1))
        why = yield self.refused(self.client.get(self.url(), redirects=True))
        self.assertIn("redirect", why.lower())
        self.assertGreater(len(self.servers.requests), 3)

    @inlineCallbacks
    def test_no_cookie_is_kept(self) -> Any:
        """Each request is like the first."""
        self.servers.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        yield self.client.get(self.url())
        yield self.client.get(self.url())
        self.assertNotIn(b"Cookie", self.servers.requests[1])

    @inlineCallbacks
    def test_no_proxy_is_taken_from_the_environment(self) -> Any:
        """Checks look at what they are told to look at."""
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            self.patch_environment(name, "http://127.0.0.1:1")
        answer = yield self.client.get(self.url())
        self.assertEqual(answer.status, 200)

    def patch_environment(self, name: str, value: str) -> None:
        import os

        self.addCleanup(os.environ.pop, name, None)
        os.environ[name] = value


class NameTests(ServerCase):
    """Names instead of addresses."""

    @inlineCallbacks
    def test_the_addresses_are_tried_one_after_the_other(self) -> Any:
        """A server need not listen on the first of them."""
        client = Client(reactor, Names(reactor, lambda host: ["::1", "127.0.0.2", "127.0.0.1"]))
        answer = yield client.get(self.url("host.example"))
        self.assertEqual(answer.status, 200)
        self.assertIn(b"Host: host.example:", self.servers.requests[0])

    @inlineCallbacks
    def test_a_name_that_nobody_knows(self) -> Any:
        """Is no answer, with what the system says of it."""

        def ask(host: str) -> list[str]:
            raise OSError(-2, "Name or service not known")

        why = yield self.refused(Client(reactor, Names(reactor, ask)).get("http://nowhere.example/"))
        self.assertIn("Name or service not known", why)


class HarmTests(ServerCase):
    """What a server does to those who ask."""

    @inlineCallbacks
    def test_nobody_listens(self) -> Any:
        """Is told as such."""
        url = self.url()
        yield self.port.stopListening()
        why = yield self.refused(self.client.get(url))
        self.assertIn("refused", why)

    @inlineCallbacks
    def test_no_http(self) -> Any:
        """Is no answer."""
        self.servers.answer = b"220 mail.example ESMTP\r\n"
        yield self.refused(self.client.get(self.url()))

    @inlineCallbacks
    def test_nothing(self) -> Any:
        """Is no answer either."""
        self.servers.answer = b""
        yield self.refused(self.client.get(self.url()))

    @inlineCallbacks
    def test_a_hanging_server_is_let_go_of(self) -> Any:
        """Cancelling leaves no connection, in whatever part of the answer."""
        for answer in (b"", b"HTTP/1.1 200 OK\r\nX:", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nb"):
            self.servers.answer, self.servers.hang = answer, True
            asked = len(self.servers.requests)
            asking = self.client.get(self.url(), body=True)
            yield self.until(lambda asked=asked: len(self.servers.requests) > asked)  # type: ignore[misc]
            yield deferLater(reactor, 0.05)
            asking.cancel()
            yield self.assertFailure(asking, CancelledError)
            yield self.until(lambda: not self.servers.open)

    @inlineCallbacks
    def test_a_flood_of_body_is_cut(self) -> Any:
        """What was read so far is the answer, and the connection ends."""
        self.servers.flood = 2**16 * b"x"
        answer = yield self.client.get(self.url(), body=True)
        self.assertEqual(answer, (200, b"all is well" + (LONGEST_BODY - 11) * b"x"))
        yield self.until(lambda: not self.servers.open)

    @inlineCallbacks
    def test_a_flood_of_headers_is_cut(self) -> Any:
        """It is no answer."""
        self.servers.answer, self.servers.flood = b"HTTP/1.1 200 OK\r\n", 1000 * b"a: b\r\n"
        yield self.refused(self.client.get(self.url()))
        yield self.until(lambda: not self.servers.open)
        self.assertLess(self.servers.flooded, 100 * LONGEST_HEAD)

    @inlineCallbacks
    def test_a_flood_of_interim_answers_is_cut(self) -> Any:
        """There may be any number of them before an answer."""
        self.servers.answer, self.servers.flood = b"", 1000 * b"HTTP/1.1 100 Continue\r\n\r\n"
        yield self.refused(self.client.get(self.url()))
        yield self.until(lambda: not self.servers.open)

    @inlineCallbacks
    def test_what_is_compressed_stays_so(self) -> Any:
        """It was not asked for, and may unpack to a gigabyte."""
        packed = gzip.compress(2**24 * b"\0")
        self.servers.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed
        answer = yield self.client.get(self.url(), body=True)
        self.assertEqual(answer.body, packed)


class TlsTests(ServerCase):
    """Certificates."""

    def listen(self, *hosts: str) -> str:
        """Speak TLS with a certificate for some hosts; its authority, as PEM text."""
        pair = self_signed(*hosts)
        private = ssl.PrivateCertificate.loadPEM(pair.certificate + pair.key)
        self.addCleanup(self.port.stopListening)
        self.port = reactor.listenSSL(0, self.servers, private.options(), interface="127.0.0.1")
        return pair.certificate

    @inlineCallbacks
    def test_a_certificate_of_a_known_authority_is_believed(self) -> Any:
        """For a name and for an address."""
        authority = self.listen("host.example", "127.0.0.1")
        client = Client(reactor, Names(reactor, lambda host: ["127.0.0.1"]), f"chatter\n{authority}")
        answer = yield client.get(self.url("host.example", "https"), body=True)
        self.assertEqual(answer, (200, b"all is well"))
        answer = yield client.get(self.url("127.0.0.1", "https"))
        self.assertEqual(answer.status, 200)

    @inlineCallbacks
    def test_one_of_an_unknown_authority_is_not(self) -> Any:
        """No request leaves."""
        self.listen("127.0.0.1")
        why = yield self.refused(self.client.get(self.url("127.0.0.1", "https")))
        self.assertIn("certificate verify failed", why)
        why = yield self.refused(self.client.post(self.url("127.0.0.1", "https"), b"octets", {}))
        self.assertIn("certificate verify failed", why)
        self.assertEqual(self.servers.requests, [])

    @inlineCallbacks
    def test_one_for_another_name_is_not(self) -> Any:
        """Whoever has signed it."""
        authority = self.listen("other.example")
        client = Client(reactor, Names(reactor, lambda host: ["127.0.0.1"]), authority)
        why = yield self.refused(client.get(self.url("host.example", "https")))
        self.assertEqual(why, "the certificate is for another name")
        self.assertEqual(self.servers.requests, [])

    @inlineCallbacks
    def test_a_flood_over_tls_is_cut(self) -> Any:
        """The other end is not waited for."""
        authority = self.listen("127.0.0.1")
        self.servers.flood = 2**16 * b"x"
        answer = yield Client(reactor, self.names, authority).get(self.url("127.0.0.1", "https"), body=True)
        self.assertEqual(len(answer.body), LONGEST_BODY)
        yield self.until(lambda: not self.servers.open)

    @inlineCallbacks
    def test_no_tls_where_tls_is_expected(self) -> Any:
        """Is no answer."""
        yield self.refused(self.client.get(self.url("127.0.0.1", "https")))


class AuthorityTests(SynchronousTestCase):
    """Texts that are to be believed in."""

    def test_what_cannot_be_read_is_refused(self) -> None:
        """With the reason."""
        for text in ("", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            with self.assertRaises(ValueError):
                Client(reactor, Names(reactor), text)


class LazinessTests(SynchronousTestCase):
    """What it costs those who do not use it."""

    def test_a_daemon_without_it_does_not_load_it(self) -> None:
        """Neither treq nor Twisted's HTTP client."""
        import subprocess
        import sys

        told = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys, carptwist.tap; print([m for m in ('treq', 'twisted.web.client') if m in sys.modules])",
            ],
            capture_output=True,
            check=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.assertEqual(told.stdout, "[]\n")
