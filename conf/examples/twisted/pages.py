"""A web server that hands over before it stops: ``python pages.py ENDPOINT [CONTROL]``, on each host.

For example ``python pages.py 'carp:1@em0:tcp\\:80\\:interface=192.0.2.1'``. On SIGTERM it demotes its host first,
and so gives the address to another one (where ``preempt = yes``), and ends when that has it, or after 10 s. The
demotion ends with the program. A request takes 30 ms here.
"""

import socket
import sys
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import deferLater, react
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from carptwist.api import State, connect

VHID = "1@em0"


class Who(Resource):
    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    def render_GET(self, request: Request) -> int:
        page = sys.argv[-1].encode()
        request.setHeader(b"content-length", str(len(page)).encode())
        answering = deferLater(self._reactor, 0.03, request.write, page)
        answering.addCallback(lambda _: request.finish())
        request.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addErrback(lambda _: None)
        return NOT_DONE_YET


async def serve(reactor: Any) -> None:
    client = connect(reactor, sys.argv[2])
    port = await serverFromString(reactor, sys.argv[1]).listen(Site(Who(reactor)))

    async def hand_over() -> None:
        if not client.is_connected:
            return  # without a daemon there is nothing to hand over
        async with client.demote(240, f"pages on {socket.gethostname()}", "is about to stop"):
            with suppress(TimeoutError):  # nobody else is there
                await client.when(VHID, State.BACKUP).addTimeout(10, reactor)
            await port.stopListening()
        await client.close()

    reactor.addSystemEventTrigger("before", "shutdown", lambda: Deferred.fromCoroutine(hand_over()))
    await Deferred()


react(lambda reactor: Deferred.fromCoroutine(serve(reactor)))
