"""What a file in twisted/plugins says of a plug-in: what it is called, and what makes its parts.

::

    # twisted/plugins/shop_carp.py
    from carptwist.plugins.declaration import HookPlugin

    pager = HookPlugin("pager", "shop.pager.Pager")

``shop.pager.Pager(config, reactor)`` is imported and called when a configuration wants it, and not before: these files
are read by every program that uses Twisted's plug-ins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer

from carptwist.interfaces import (
    IDemotionPlugin,
    IDemotionSource,
    IHook,
    IHookPlugin,
    ILink,
    ILinkPlugin,
    IPlane,
    IPlanePlugin,
)

if TYPE_CHECKING:
    from carptwist.config.health import CheckConfig
    from carptwist.config.reactions import HookConfig
    from carptwist.config.schema import LinkConfig, VirtualHostConfig


class _Declared:
    """Has a name, and imports what it makes its parts with when it is needed.

    :param name: what configurations call it.
    :param maker: the whole name of a class or function, with its module.
    """

    def __init__(self, name: str, maker: str) -> None:
        self.name = name
        self.maker = maker

    def load(self) -> None:
        self._make()

    def _make(self) -> Any:
        return namedAny(self.maker)


@implementer(IPlugin, IPlanePlugin)
class PlanePlugin(_Declared):
    """A kind of plane, of which ``maker(config, reactor, damaged)`` makes one: see
    :class:`carptwist.interfaces.IPlanePlugin`.

    :param name: what configurations call it, as in ``plane = plugin``, ``plugin = NAME`` of a ``[vhid]`` section.
    :param maker: the whole name of a class or function, such as ``shop.cloud.CloudPlane``. It is imported when it is
        needed; a configuration that needs one that cannot be imported is refused.
    """

    def plane(self, config: VirtualHostConfig, reactor: Any, damaged: Callable[[str], object]) -> IPlane:
        made: IPlane = self._make()(config, reactor, damaged)
        return made


@implementer(IPlugin, ILinkPlugin)
class LinkPlugin(_Declared):
    """A kind of link, of which ``maker(config, reactor)`` makes one: see :class:`carptwist.interfaces.ILinkPlugin`.

    :param name: what configurations call it, as in ``plugin = NAME`` of a ``[link]`` section.
    :param maker: as for :class:`PlanePlugin`.
    """

    def link(self, config: LinkConfig, reactor: Any) -> ILink:
        made: ILink = self._make()(config, reactor)
        return made


@implementer(IPlugin, IHookPlugin)
class HookPlugin(_Declared):
    """A kind of hook, of which ``maker(config, reactor)`` makes one: see :class:`carptwist.interfaces.IHookPlugin`.

    :param name: what configurations call it, as in ``plugin = NAME`` of a ``[hook]`` section.
    :param maker: as for :class:`PlanePlugin`.
    """

    def hook(self, config: HookConfig, reactor: Any) -> IHook:
        made: IHook = self._make()(config, reactor)
        return made


@implementer(IPlugin, IDemotionPlugin)
class DemotionPlugin(_Declared):
    """A kind of demotion source, of which ``maker(config, reactor)`` makes one: see
    :class:`carptwist.interfaces.IDemotionPlugin`.

    :param name: what configurations call it, as in ``plugin = NAME`` of a ``[check]`` section.
    :param maker: as for :class:`PlanePlugin`.
    """

    def source(self, config: CheckConfig, reactor: Any) -> IDemotionSource:
        made: IDemotionSource = self._make()(config, reactor)
        return made
