"""Two services in one process: run as a program, ``two_services.py``, in a host of a lab, and told what to do by lines.

``start NAME CONFIGURATION`` starts another service from a file, ``stop NAME`` stops it, ``reload NAME`` reads its file
again. Each is answered with a line: ``started NAME``, ``failed NAME: why``, ``stopped NAME``, ``reloaded NAME: what was
done``. The end of the input ends the program, all services in good order.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.protocols.basic import LineReceiver

from carptwist.api import CarpService, configuration_of_file, run_on_monotonic_time


class Orders(LineReceiver):
    """What is read from the standard input."""

    delimiter = b"\n"

    def __init__(self, reactor: Any, program: MultiService) -> None:
        self._reactor = reactor
        self._program = program
        self.ended: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        word, name, *rest = line.decode().split()
        ensureDeferred(getattr(self, word)(name, *rest))

    def connectionLost(self, reason: object = None) -> None:
        self.ended.callback(None)

    async def start(self, name: str, path: str) -> None:
        service = CarpService(configuration_of_file(path), reactor=self._reactor, path=path)
        service.setName(name)
        service.setServiceParent(self._program)
        if await service.when_started():
            print(f"started {name}", flush=True)
        else:
            await service.disownServiceParent()
            print(f"failed {name}: {service.trouble}", flush=True)

    async def stop(self, name: str) -> None:
        await self._program.getServiceNamed(name).disownServiceParent()
        print(f"stopped {name}", flush=True)

    async def reload(self, name: str) -> None:
        service: Any = self._program.getServiceNamed(name)
        outcomes = await service.reload()
        print(f"reloaded {name}: {'; '.join(outcome.text for outcome in outcomes)}", flush=True)


async def main(reactor: Any) -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    run_on_monotonic_time(reactor)
    program = MultiService()
    program.startService()
    orders = Orders(reactor, program)
    StandardIO(orders, reactor=reactor)
    await orders.ended
    await program.stopService()


if __name__ == "__main__":
    react(main, [])
