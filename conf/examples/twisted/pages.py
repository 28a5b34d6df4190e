"""A web server that can be stopped and started anew while another host serves: ``python pages.py ENDPOINT``.

For example ``python pages.py 'carp:1@em0:tcp\\:80\\:interface=192.0.2.1:drain=2'``, on each host; the control
socket may follow, and what the pages say. On SIGTERM::

    this host   no new requests | those under way are answered | addresses go, farewell | ends
    another                                                    | takes over at once     | answers new ones

The host stays demoted for a minute, or until the server is back, so that it does not take the addresses again while
nothing serves at them. ``/who`` is answered after 30 ms here, ``/slow`` after a second.
"""

import socket
import sys
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectionClosed
from twisted.internet.task import deferLater, react
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from carptwist.api import RefusedError, connect

VHID = "1@em0"
OWNER = "pages"
ABSENCE_SECONDS = 60.0
LONGEST_HANDOVER_SECONDS = 5.0


class Page(Resource):
    """Says who answers, after a while."""

    isLeaf = True

    def __init__(self, reactor: Any, name: str, seconds: float) -> None:
        super().__init__()
        self._reactor = reactor
        self._page = name.encode()
        self._seconds = seconds

    def render_GET(self, request: Request) -> int:
        print(f"{request.path.decode()} is asked for", flush=True)
        request.setHeader(b"content-length", str(len(self._page)).encode())
        answering = deferLater(self._reactor, self._seconds, request.write, self._page)
        answering.addCallback(lambda _: request.finish())
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(lambda _: None)
        return NOT_DONE_YET


async def serve(
    reactor: Any, listen: str, control: str = "/run/carptwist/control.sock", name: str = socket.gethostname()
) -> None:
    pages = Resource()
    pages.putChild(b"who", Page(reactor, name, 0.03))
    pages.putChild(b"slow", Page(reactor, name, 1.0))
    client = connect(reactor, control)
    port: Any = await serverFromString(reactor, listen).listen(Site(pages))

    async def give_away() -> None:
        daemon = await client.connection()
        # BACKUP first: a master that is demoted is preempted in the middle of its answers.
        asked = daemon.state(VHID, "BACKUP")
        await daemon.demote(240, OWNER, "the server is being updated", ABSENCE_SECONDS)
        await asked
        await port.when_shut()

    async def leave() -> None:
        if port.is_listening:
            with suppress(TimeoutError, RefusedError, ConnectionClosed):
                await Deferred.fromCoroutine(give_away()).addTimeout(LONGEST_HANDOVER_SECONDS, reactor)
        await port.stopListening()
        await client.close()

    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(leave()))
    with suppress(RefusedError, ConnectionClosed, CancelledError):  # there is no such entry, or it ends by itself
        await (await client.connection()).undemote(OWNER)
    await Deferred()


react(lambda reactor, *words: Deferred.fromCoroutine(serve(reactor, *words)), sys.argv[1:])
