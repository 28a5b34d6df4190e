"""The string form of the endpoint: ``carp:VHID@IF:INNER``, with ``control=``, ``drain=``, ``settle=``, ``always=``.

INNER is a server endpoint string of its own. Where it is quoted, as everything within an endpoint string can be, its
options are its own whatever their names; unquoted it works as long as no names are the same::

    carp:1@em0:tcp\\:80\\:interface=192.0.2.1:drain=5
    carp:1@em0:tcp:80:interface=192.0.2.1:drain=5

Twisted's plugin system finds it. Every Twisted program imports this module when it looks for an endpoint, so that all
else is imported when it is used."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer

_WORDS = {"yes": True, "no": False}


@implementer(IPlugin, IStreamServerEndpointStringParser)
class CarpServerParser:
    """Makes a :class:`carptwist.api.CarpServerEndpoint` of a string."""

    prefix = "carp"

    def parseStreamServer(self, reactor: Any, *args: Any, **kwargs: Any) -> IStreamServerEndpoint:
        from carptwist.integration.client import canonical
        from carptwist.integration.endpoint import CarpServerEndpoint

        try:
            vhid = canonical(args[0] if args else "")
        except ValueError as error:
            raise ValueError(f"carp: {error}, then an endpoint") from None
        options = _Options(kwargs)
        settings: dict[str, Any] = {}
        if (control := options.take("control")) is not None:
            settings["control"] = control
        for name in ("drain", "settle"):
            if (text := options.take(name)) is not None:
                settings[f"{name}_seconds"] = _seconds(name, text)
        if (text := options.take("always")) is not None:
            if text not in _WORDS:
                raise ValueError(f"carp: always={text}: must be yes or no")
            settings["always"] = _WORDS[text]
        inner = serverFromString(reactor, _inner(args[1:], options.left))
        return CarpServerEndpoint(reactor, vhid, inner, **settings)


class _Options:
    def __init__(self, given: dict[str, str]) -> None:
        self.left = dict(given)

    def take(self, name: str) -> str | None:
        return self.left.pop(name, None)


def _inner(args: tuple[str, ...], options: dict[str, str]) -> str:
    """The inner string, as it was before Twisted took it apart."""
    # Quoted colons leave it in one piece; the first "=" within it, which need not be quoted, cuts it in two.
    pieces = [*args, *(f"{name}={value}" for name, value in options.items() if ":" in name)]
    if len(pieces) == 1 and ":" in pieces[0]:
        others = sorted(name for name in options if ":" not in name)
        if others:
            raise ValueError(
                f"carp: {', '.join(others)}: no such option: there are control, drain, settle and always"
                " (within the inner endpoint each colon is written \\:)"
            )
        return pieces[0]
    if not args:
        raise ValueError("carp: the inner endpoint is missing: carp:VHID@INTERFACE:INNER")
    named = (f"{quoteStringArgument(name)}={quoteStringArgument(value)}" for name, value in options.items())
    return ":".join([*map(quoteStringArgument, args), *named])


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 60:
        raise ValueError(f"carp: {name}={text}: must be 0 to 60 seconds")
    return seconds
