"""Who signs and verifies for the vhids of one interface: on the way of a frame nobody else knows pass phrases."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from carptwist.config.schema import Dialect, VirtualHostConfig
from carptwist.interfaces import IAuthority
from carptwist.wire.authentication import Authenticator


def authenticators(
    config: VirtualHostConfig, make: Callable[..., Authenticator] = Authenticator
) -> tuple[Authenticator, ...]:
    """One for each pass phrase of a vhid; the first one signs."""
    addresses = [address.ip for address in config.addresses]
    phrases = [phrase.octets for phrase in config.phrases] or [b""]
    # OpenBSD leaves link-local addresses out when it signs, and believes both.
    link_local = (False, True) if config.dialect is Dialect.OPENBSD else (True,)
    return tuple(
        make(phrase, config.vhid, addresses, link_local=included) for included in link_local for phrase in phrases
    )


Prepare = Callable[[VirtualHostConfig], tuple[Authenticator, ...]]


@implementer(IAuthority)
class Authority:
    """Has the keys of a vhid prepared when they are first asked for, and again when it is configured otherwise."""

    def __init__(self, prepare: Prepare = authenticators) -> None:
        self._prepare = prepare
        self._authenticators: dict[int, tuple[VirtualHostConfig, tuple[Authenticator, ...]]] = {}

    def phrase_of(self, config: VirtualHostConfig, counter: int, digest: bytes) -> int | None:
        known = self._authenticators.get(config.vhid)
        authenticators = known[1] if known is not None and known[0] is config else self._authenticators_of(config)
        for number, authenticator in enumerate(authenticators):
            if authenticator.verify(counter, digest):
                return number and number % len(config.phrases)
        return None

    def sign(self, config: VirtualHostConfig, counter: int) -> bytes:
        return self._authenticators_of(config)[0].sign(counter)

    def _authenticators_of(self, config: VirtualHostConfig) -> tuple[Authenticator, ...]:
        known = self._authenticators.get(config.vhid)
        if known is not None and known[0] is config:
            return known[1]
        made = self._prepare(config)
        self._authenticators[config.vhid] = (config, made)
        return made
