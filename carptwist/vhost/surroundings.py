"""What sees everything that a node cannot work out by itself, and may answer in its place.

::

    outside --command--> Node, Roster, VirtualHost --asks--> memory, authority, rules
                 |                                              |
                 +------------------ ISurroundings ------------------+

A flight recorder writes down what it sees here; when its record is replayed, another one answers from the record.
Without either, :data:`ORDINARY` is there, and everything is what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from carptwist.election.machine import Machine
from carptwist.election.memory import Room
from carptwist.election.replay import Replay
from carptwist.interfaces import IAuthority, ISurroundings

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Surrounded(Protocol):
    """Whatever can be told to do something from outside."""

    @property
    def surroundings(self) -> ISurroundings: ...


Subject = TypeVar("Subject", bound=Surrounded)


@implementer(ISurroundings)
class Ordinary:
    """Writes nothing down."""

    machine = Machine

    def command(
        self,
        subject: object,
        name: str,
        arguments: tuple[Any, ...],
        named: Mapping[str, Any],
        work: Callable[[], Result],
    ) -> Result:
        return work()

    def outside(self, work: Callable[[], Any]) -> Deferred[None]:
        return maybeDeferred(work).addCallback(lambda _: None)

    def memory(self, room: Room) -> Replay:
        return Replay(room)

    def authority(self, interface: str, authority: IAuthority) -> IAuthority:
        return authority

    def aside(self, clock: Any) -> Any:
        return clock


ORDINARY = Ordinary()


def commanded(
    method: Callable[Concatenate[Subject, Arguments], Result],
) -> Callable[Concatenate[Subject, Arguments], Result]:
    """For a method by which others tell a node to do something: its surroundings hear of it.

    A Deferred that it returns fires when all that was to be done at that moment is done.
    """

    @wraps(method)
    def told(self: Subject, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        result: Result = self.surroundings.command(
            self, method.__name__, arguments, named, lambda: method(self, *arguments, **named)
        )
        return result

    return cast("Callable[Concatenate[Subject, Arguments], Result]", told)
