"""HTTP requests by treq, each on a connection of its own that is gone afterwards.

::

    Client.get, Client.post --> treq --> Agent --> TLS, verified --> NamedEndpoint --> server
                                                      Bounded on top of it

Rules that this file keeps:

- A certificate is verified, always: against the host's authorities, or those that were given.
- Neither proxies nor anything else is taken from the environment. A redirect is followed only for whoever wants it.
- No compressed answer is asked for, or unpacked: a few octets could become a gigabyte.
- Whatever the server does, an answer costs a bounded amount of memory. Nothing is left of what is cancelled.

This is the one module that imports treq and TLS. Import it where something is to be asked of a server, and not before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet import ssl
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HostnameCachingHTTPSPolicy,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
)
from twisted.web.error import InfiniteRedirection, RedirectWithNoLocation, SchemeNotSupported
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from carptwist import __version__
from carptwist.http.connection import LONGEST_BODY, Bounded, BoundedEndpoint, NamedEndpoint
from carptwist.http.names import Names

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
#: Servers whose TLS settings are kept: making them means to read all authorities of the host.
_MOST_REMEMBERED = 1000


class Answer(NamedTuple):
    """What a server has answered; ``body`` the first octets of it, if they were wanted."""

    status: int
    body: bytes


class RequestError(Exception):
    """There is no answer. Its text says why, in a few words."""


class Client:
    """Asks servers.

    :param authorities: certificates, as PEM text, to believe in the place of those of the host.
    :raises ValueError: they cannot be read.
    """

    def __init__(self, reactor: Any, names: Names, authorities: str | None = None) -> None:
        self._reactor = reactor
        self._names = names
        policy = BrowserLikePolicyForHTTPS() if authorities is None else BrowserLikePolicyForHTTPS(_trust(authorities))
        self._policy = HostnameCachingHTTPSPolicy(policy, cacheSize=_MOST_REMEMBERED)

    def get(self, url: str, *, body: bool = False, redirects: bool = False) -> Deferred[Answer]:
        """Ask for what is there. Fails with :class:`RequestError`.

        :param body: whether to wait for the body, :data:`LONGEST_BODY` octets at most.
        """
        return self._ask("GET", url, None, {}, body=body, redirects=redirects)

    def post(self, url: str, data: bytes, headers: Mapping[str, str]) -> Deferred[Answer]:
        """Send something there. Fails with :class:`RequestError`."""
        return self._ask("POST", url, data, headers, body=False, redirects=False)

    @inlineCallbacks
    def _ask(
        self, method: str, url: str, data: bytes | None, headers: Mapping[str, str], *, body: bool, redirects: bool
    ) -> Generator[Deferred[Any], Any, Answer]:
        connections: list[Bounded] = []
        agent = Agent.usingEndpointFactory(
            self._reactor, _Endpoints(self._reactor, self._names, self._policy, connections)
        )
        # Each request with a client of its own, so that no cookie is kept.
        asking = HTTPClient(_Plain(agent)).request(
            method,
            url,
            data=data,
            headers={"User-Agent": f"carptwist/{__version__}", **headers},
            allow_redirects=redirects,
            unbuffered=True,
            reactor=self._reactor,
        )
        try:
            response = yield asking
            beginning = b""
            if body:
                beginning = yield _beginning(response)
        except _FAILURES as error:
            _end(connections, Bounded.abort)
            cause = _cause(error)
            raise (cause if isinstance(cause, CancelledError) else RequestError(_why(cause))) from None
        except CancelledError:
            _end(connections, Bounded.abort)
            raise
        _end(connections, Bounded.leave)
        return Answer(response.code, beginning)


def _end(connections: list[Bounded], how: Callable[[Bounded], object]) -> None:
    for connection in connections:
        how(connection)


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """Where the requests of one asking go; every connection is put into ``connections``."""

    def __init__(self, reactor: Any, names: Names, policy: Any, connections: list[Bounded]) -> None:
        self._reactor = reactor
        self._names = names
        self._policy = policy
        self._connections = connections

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        host = uri.host.decode("ascii")
        endpoint: IStreamClientEndpoint = NamedEndpoint(self._reactor, self._names, host, uri.port)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self._policy.creatorForNetloc(uri.host, uri.port), endpoint)
        elif uri.scheme != b"http":
            raise SchemeNotSupported(f"{uri.scheme.decode(errors='replace')} is not spoken here")
        return BoundedEndpoint(self._reactor, endpoint, self._connections.append)


@implementer(IAgent)
class _Plain:
    """An agent that neither asks for compressed answers nor passes them on as such."""

    def __init__(self, agent: IAgent) -> None:
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: IBodyProducer | None = None
    ) -> Deferred[IResponse]:
        plain = headers.copy() if headers is not None else Headers()
        plain.setRawHeaders(b"Accept-Encoding", [b"identity"])

        def unmarked(response: IResponse) -> IResponse:
            response.headers.removeHeader(b"Content-Encoding")
            return response

        asking: Deferred[IResponse] = self._agent.request(method, uri, plain, bodyProducer)
        return asking.addCallback(unmarked)


class _Beginning(Protocol):
    """Collects what a body begins with."""

    def __init__(self) -> None:
        self.finished: Deferred[bytes] = Deferred()
        self._octets = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._octets += data
        if len(self._octets) >= LONGEST_BODY:
            self._finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reason.check(ResponseDone, PotentialDataLoss):
            self._finish()
        elif not self.finished.called:
            self.finished.errback(reason)

    def _finish(self) -> None:
        if not self.finished.called:
            self.finished.callback(bytes(self._octets[:LONGEST_BODY]))


def _beginning(response: Any) -> Deferred[bytes]:
    beginning = _Beginning()
    response.deliverBody(beginning)
    return beginning.finished


def _trust(authorities: str) -> Any:
    texts = _CERTIFICATE.findall(authorities)
    if not texts:
        raise ValueError("there is no certificate in PEM form")
    try:
        return ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(text) for text in texts])
    except Exception as error:
        raise ValueError(f"there is a certificate that cannot be read: {error}") from None


#: What may become of a request without anybody's having made a mistake here.
_FAILURES = (
    ResponseFailed,
    RequestTransmissionFailed,
    ConnectError,
    ConnectionClosed,
    OSError,
    SSL.Error,
    SchemeNotSupported,
    InfiniteRedirection,
    RedirectWithNoLocation,
)


def _cause(error: BaseException) -> BaseException:
    """What Twisted has collected, unpacked down to the first cause."""
    while reasons := getattr(error, "reasons", None):
        error = reasons[0].value
    return error


def _why(error: BaseException) -> str:
    """Why there is no answer."""
    if isinstance(error, VerificationError):
        return "the certificate is for another name"
    if isinstance(error, SSL.Error):
        said = error.args[0] if error.args else ()
        return f"TLS: {', '.join(entry[2] for entry in said if len(entry) > 2) or 'the connection was closed'}"
    return str(error).rstrip(".") or type(error).__name__
