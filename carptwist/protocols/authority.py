"""Who signs and verifies for the vhids of one interface: on the way of a frame nobody else knows pass phrases."""

from __future__ import annotations

from zope.interface import implementer

from carptwist.config.schema import Dialect, VirtualHostConfig
from carptwist.interfaces import IAuthority
from carptwist.wire.authentication import Authenticator


@implementer(IAuthority)
class Authority:
    """Prepares the keys of a vhid when they are first asked for, and again when it is configured otherwise."""

    def __init__(self) -> None:
        self._authenticators: dict[int, tuple[VirtualHostConfig, tuple[Authenticator, ...]]] = {}

    def phrase_of(self, config: VirtualHostConfig, counter: int, digest: bytes) -> int | None:
        for number, authenticator in enumerate(self._authenticators_of(config)):
            if authenticator.verify(counter, digest):
                return number % max(1, len(config.phrases))
        return None

    def sign(self, config: VirtualHostConfig, counter: int) -> bytes:
        return self._authenticators_of(config)[0].sign(counter)

    def _authenticators_of(self, config: VirtualHostConfig) -> tuple[Authenticator, ...]:
        known = self._authenticators.get(config.vhid)
        if known is not None and known[0] is config:
            return known[1]
        addresses = [address.ip for address in config.addresses]
        phrases = [phrase.octets for phrase in config.phrases] or [b""]
        # OpenBSD leaves link-local addresses out when it signs, and believes both.
        link_local = (False, True) if config.dialect is Dialect.OPENBSD else (True,)
        made = tuple(
            Authenticator(phrase, config.vhid, addresses, link_local=included)
            for included in link_local
            for phrase in phrases
        )
        self._authenticators[config.vhid] = (config, made)
        return made
