"""An entry of the demotion ledger that lasts as long as a block of code, and as the program."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure


class Demotion:
    """Made by :meth:`carptwist.api.CarpClient.demote`.

    ``async with`` waits until the daemon has it, and at the end until it is taken back; ``with`` waits for neither.
    """

    def __init__(self, value: int, owner: str, reason: str, end: Callable[[Demotion], Deferred[None]]) -> None:
        self.value = value
        self.owner = owner
        self.reason = reason
        self._end = end
        self._result: int | Failure | None = None
        self._waiting: list[Deferred[int]] = []

    @property
    def is_awaited(self) -> bool:
        """Whether somebody will hear of a refusal."""
        return bool(self._waiting)

    def in_force(self) -> Deferred[int]:
        """Fires with the host's demotion once the entry is there; fails with RefusedError if it is refused."""
        if isinstance(self._result, Failure):
            return fail(self._result)
        if self._result is not None:
            return succeed(self._result)
        waiting: Deferred[int] = Deferred(lambda waiting: self._waiting.remove(waiting))
        self._waiting.append(waiting)
        return waiting

    def end(self) -> Deferred[None]:
        """Take it back; fires when that is done. Does nothing the second time."""
        return self._end(self)

    # What became of it

    def made(self, total: int) -> None:
        """The daemon has it."""
        self._settle(total)

    def refused(self, failure: Failure) -> None:
        """The daemon does not want it."""
        self._settle(failure)

    def _settle(self, result: int | Failure) -> None:
        self._result = result
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(result)

    # Contexts

    def __enter__(self) -> Demotion:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    async def __aenter__(self) -> Demotion:
        try:
            await self.in_force()
        except BaseException:
            self.end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()
