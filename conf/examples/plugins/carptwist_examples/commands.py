"""A plane that leaves the holding of addresses to two commands, such as a cloud's own tool that moves an address:

    plane = plugin
    plugin = commands
    argument = /usr/local/sbin/address up
               /usr/local/sbin/address down

The first is run when this host becomes MASTER, the second when it is MASTER no more, at the start and at the end; the
addresses are their further words. No shell reads them.
"""

import shlex
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.utils import getProcessOutputAndValue
from zope.interface import implementer

from carptwist.api import PlaneError, VirtualHostConfig
from carptwist.interfaces import IPlane


@implementer(IPlane)
class CommandPlane:
    """Both commands must be able to be run again and again."""

    link_address = b""  # whatever the commands do, no MAC of ours is to be announced
    answers = False
    ending = ()  # nothing that rtnetlink(7) could take away in our place

    def __init__(self, config: VirtualHostConfig, reactor: Any, damaged: Callable[[str], object]) -> None:
        if len(config.argument) != 2:
            raise PlaneError("argument: two lines are needed: the command that holds, and the one that lets go")
        self._up, self._down = (shlex.split(line) for line in config.argument)
        self._reactor = reactor
        self._config = config
        self._held = False

    def adopt(self, config: VirtualHostConfig) -> None:
        self._config = config

    def prepare(self) -> Deferred[None]:
        # Whatever a former run has left; but what is held stays so, with the addresses that are there now.
        return self._run(self._up if self._held else self._down)

    def hold(self) -> Deferred[None]:
        self._held = True
        return self._run(self._up)

    def refresh(self, seconds: int, until: float) -> None:
        pass  # they do not expire

    def release(self) -> Deferred[None]:
        self._held = False
        return self._run(self._down)

    def withdraw(self) -> Deferred[None]:
        if not self._held:
            return succeed(None)
        return self.release()

    def _run(self, words: list[str]) -> Deferred[None]:
        program, *arguments = words
        arguments += [str(address) for address in self._config.addresses]

        def ended(outcome: tuple[bytes, bytes, int]) -> None:
            output, errors, code = outcome
            if code:
                told = (errors or output).decode(errors="replace").strip()
                raise PlaneError(f"{program} {' '.join(arguments)}: exit code {code}: {told}")

        running = getProcessOutputAndValue(program, arguments, env=None, reactor=self._reactor)
        done: Deferred[None] = running.addCallback(ended)
        return done
