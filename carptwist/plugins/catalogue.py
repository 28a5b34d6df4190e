"""The plug-ins of this Python, by the kind of section that may have them, and by name; and why one is of no use.

::

    [hook pager]            twisted/plugins/*.py of all that is installed
    plugin = pager   --->   IHookPlugin of that name: exactly one, complete, and importable

Nothing is looked for unless a configuration names a plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from twisted.plugin import getCache, getPlugins
from twisted.python.modules import getModule
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from carptwist.config.discretion import nearest
from carptwist.interfaces import IDemotionPlugin, IHookPlugin, ILinkPlugin, IPlanePlugin

#: The kinds of sections -> what their plug-ins provide.
INTERFACES: Final[Mapping[str, Any]] = MappingProxyType(
    {"vhid": IPlanePlugin, "link": ILinkPlugin, "hook": IHookPlugin, "check": IDemotionPlugin}
)

PACKAGE: Final = "twisted.plugins"


class PluginError(Exception):
    """There is no such plug-in, or it is of no use; the text says why, and the remedy."""


class Catalogue:
    """Finds plug-ins.

    :param installed: gives all plug-ins that provide an interface.
    :param broken: gives a text for each file that should have some and cannot be imported.
    """

    def __init__(
        self,
        installed: Callable[[Any], Iterable[Any]] = getPlugins,
        broken: Callable[[], Iterable[str]] = lambda: broken_files(),
    ) -> None:
        self._installed = installed
        self._broken = broken

    def fault(self, kind: str, name: str) -> str | None:
        """Why a section of a kind, such as ``hook``, cannot have the plug-in of a name; None: it can."""
        try:
            self.find(kind, name)
        except PluginError as error:
            return str(error)
        return None

    def find(self, kind: str, name: str) -> Any:
        """The plug-in of a name that a section of a kind may have, loaded.

        :raises PluginError: there is none, or more than one, or it lacks something, or cannot be imported.
        """
        interface = INTERFACES[kind]
        there = list(self._installed(interface))
        found = [each for each in there if getattr(each, "name", None) == name]
        if not found:
            raise PluginError(self._missing(kind, name, there))
        if len(found) > 1:
            places = " and ".join(sorted(_place(each) for each in found))
            raise PluginError(f"there are several of that name, {places}: remove all but one")
        (plugin,) = found
        lacks = lacking(interface, plugin)
        if lacks is not None:
            raise PluginError(f"{_place(plugin)} {lacks}: its author is to mend it")
        try:
            plugin.load()
        except Exception as error:
            raise PluginError(
                f"{_place(plugin)} cannot be loaded: {type(error).__name__}: {error}: install what it needs"
            ) from None
        return plugin

    def _missing(self, kind: str, name: str, there: Iterable[Any]) -> str:
        names = sorted({str(getattr(each, "name", "?")) for each in there})
        elsewhere = [other for other in INTERFACES if other != kind and self._has(other, name)]
        broken = list(self._broken())
        if elsewhere:
            return f"that plug-in is for [{elsewhere[0]}] sections"
        text = f"no such plug-in is installed for [{kind}] sections"
        meant = nearest(name, names)
        if meant is not None:
            text += f": did you mean {meant}?"
        elif names:
            text += f": there are {', '.join(names)}"
        else:
            text += ", nor any other"
        return "; ".join([text, *broken])

    def _has(self, kind: str, name: str) -> bool:
        return any(getattr(each, "name", None) == name for each in self._installed(INTERFACES[kind]))


#: What is installed beside carptwist.
INSTALLED: Final = Catalogue()


def lacking(interface: Any, thing: object) -> str | None:
    """What a thing of a plug-in lacks of an interface, as words that follow its name; None: nothing."""
    try:
        verifyObject(interface, thing)
    except Invalid as error:
        why = " ".join(str(error).split())
        return f"is no complete {interface.__name__}: {why.rstrip('.')}"
    return None


def broken_files() -> list[str]:
    """The files of plug-ins that cannot be imported, each with why."""
    import twisted.plugins

    good = set(getCache(twisted.plugins))
    found = []
    for module in getModule(PACKAGE).iterModules():
        if module.name.rpartition(".")[2] in good:
            continue
        try:
            module.load()
        except Exception as error:
            found.append(f"{module.filePath.path} cannot be imported: {type(error).__name__}: {error}")
    return found


def _place(plugin: Any) -> str:
    maker = getattr(plugin, "maker", None)
    return str(maker) if isinstance(maker, str) else f"{type(plugin).__module__}.{type(plugin).__qualname__}"
