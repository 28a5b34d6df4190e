"""A service's place among others, with types: programs that are checked by ``mypy --strict`` may call these."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IServiceCollection, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.components import Componentized


class Child(Service):
    """Base of the services that are public."""

    def setName(self, name: str) -> None:
        """Be found by this name among the children of a parent.

        :raises RuntimeError: it has a parent already.
        """
        super().setName(name)  # type: ignore[no-untyped-call]

    def setServiceParent(self, parent: IServiceCollection | Componentized) -> None:
        """Start and stop with a parent from now on: an ``Application`` or a ``MultiService``. If that runs, this is
        started now.

        :raises RuntimeError: the parent has another child of this name.
        """
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]

    def disownServiceParent(self) -> Deferred[Any]:
        """Leave the parent. Fires when this has stopped, if it ran."""
        return maybeDeferred(super().disownServiceParent)
