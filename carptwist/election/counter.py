"""The 64-bit counter of an advertisement, as the kernels run it.

Until a node has heard another, every advertisement bears a fresh random number; from then on the
counter is shared by both sides: one more than the last one sent or heard. IPv4 and IPv6
advertisements count separately, so that a dual-stack MASTER adds two per interval.

No kernel minds a counter that it has heard before, and none is offended by a random one. Whoever refuses replays
minds: so a counter that is known to have been used is passed over for a random one. And whoever becomes MASTER goes on
from a random one: others that have heard the same last advertisement may become MASTER at the same time, and each would
refuse what bears the counter that it has just used itself.
"""

from __future__ import annotations

from collections.abc import Callable

_MODULUS = 1 << 64


class Counter:
    """The counter of one vhid. ``draw`` gives a random number below 2**64."""

    __slots__ = ("_anew", "_draw", "_last", "_reserved")

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self._last: int | None = None
        self._anew = False
        self._reserved: dict[int, int] = {}

    def next(self, used: Callable[[int], bool] = lambda counter: False) -> int:
        """The counter of the advertisement that is about to leave: none that was ``used`` before."""
        anew, self._anew = self._anew, False
        if self._last is None:
            return self._draw()
        following = (self._last + 1) % _MODULUS
        self._last = self._draw() if anew or used(following) else following
        return self._last

    def heard(self, counter: int) -> None:
        """A valid advertisement bore this counter."""
        self._last = counter

    def renew(self) -> None:
        """Go on from a random number: what would have come next may have been used by somebody else."""
        self._last = self._draw()

    def reserve(self, family: int) -> int:
        """A counter for a frame that will be sent later or never: one that nobody has seen, whatever is sent before.
        The same each time, until :meth:`begin`."""
        if family not in self._reserved:
            self._reserved[family] = self._draw()
        return self._reserved[family]

    def begin(self) -> None:
        """Its node has become MASTER: what was reserved may have been sent by now, and what would come next may be what
        another one, which has become MASTER as well, sends next."""
        self._reserved.clear()
        self._anew = True
