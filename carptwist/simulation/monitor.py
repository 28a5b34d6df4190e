"""The interfaces of a host that is not there."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from zope.interface import implementer

from carptwist.interfaces import ILinkMonitor, LinkState


@implementer(ILinkMonitor)
class MemoryLinkMonitor:
    """Its interfaces are what it was told last: :meth:`change` and :meth:`remove` are all that happens to them."""

    _log = Logger()

    def __init__(self, *links: LinkState) -> None:
        self._links = {link.name: link for link in links}
        self._watchers: dict[str, list[Callable[[LinkState], object]]] = {}
        self._route_watchers: list[Callable[[], object]] = []

    # What happens

    def change(self, link: LinkState) -> None:
        """An interface is like this now. One with index 0 is none."""
        if link == self.state(link.name):
            return
        if link.exists:
            self._links[link.name] = link
        else:
            del self._links[link.name]
        for changed in tuple(self._watchers.get(link.name, ())):
            try:
                changed(link)
            except Exception:
                self._log.failure("carp: a watcher of {name} failed", name=link.name)

    def remove(self, name: str) -> None:
        """An interface has gone."""
        self.change(LinkState(name))

    def change_routes(self) -> None:
        """Some route has changed."""
        for changed in tuple(self._route_watchers):
            try:
                changed()
            except Exception:
                self._log.failure("carp: a watcher of routes failed")

    @property
    def watched(self) -> list[str]:
        """What somebody still wants to hear of."""
        return [name for name, watchers in self._watchers.items() if watchers] + ["routes"] * len(self._route_watchers)

    # ILinkMonitor

    def state(self, name: str) -> LinkState:
        return self._links.get(name, LinkState(name))

    def names(self) -> list[str]:
        return [link.name for link in sorted(self._links.values(), key=lambda link: link.index)]

    def watch(self, name: str, changed: Callable[[LinkState], object]) -> Callable[[], None]:
        watchers = self._watchers.setdefault(name, [])
        watchers.append(changed)
        return lambda: watchers.remove(changed)

    def watch_routes(self, changed: Callable[[], object]) -> Callable[[], None]:
        self._route_watchers.append(changed)
        return lambda: self._route_watchers.remove(changed)
