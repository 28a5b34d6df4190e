"""A part that a plug-in makes when it is first needed, and again after that has failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python.failure import Failure

from carptwist.plugins.accounts import Account
from carptwist.plugins.catalogue import lacking


class UnmadeError(Exception):
    """The plug-in has not made the part; the text, for the operator, says why. It is counted and logged already."""


class Made:
    """One part.

    :param make: has the plug-in make it.
    :param interface: what it must provide.
    :param expected: the exceptions by which a plug-in says in good order that it cannot: they are raised as they are,
        and are nobody's bug.
    """

    def __init__(
        self, make: Callable[[], Any], interface: Any, account: Account, expected: tuple[type[Exception], ...] = ()
    ) -> None:
        self._make = make
        self._interface = interface
        self._account = account
        self._expected = expected
        self.part: Any = None

    def get(self) -> Any:
        """The part.

        :raises UnmadeError: there is none, and it cannot be made now.
        """
        if self.part is None:
            try:
                part = self._make()
            except self._expected:
                raise
            except Exception:
                raise UnmadeError(self._account.failed(Failure(), "being made")) from None
            what = lacking(self._interface, part)
            if what is not None:
                raise UnmadeError(self._account.lacks(what))
            self.part = part
        return self.part
