"""All checks of a configuration, and what their standing does to this host.

::

    Check a --\\                      failing --> ledger: owner `check a`, its demote, "check a: HTTP 503"
    Check b ---> standing, result --+
    Check c --/                      passing --> the entry is taken back

Rules that this file keeps:

- At the start a check demotes until its first result, which comes within its timeout: a host that has just started does
  not preempt on behalf of a service that nobody has looked at. One that a reload adds demotes when it has failed.
- The first looks are spread over a moment, and with them all later ones: two hundred checks are no volley.
- A check that stays as it is across a reload goes on, row, standing and all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from carptwist.checks.check import Check, Probe
from carptwist.checks.health import Standing
from carptwist.config.health import CheckConfig

#: The first looks are spread over so many seconds.
SPREAD_SECONDS = 1.0


class Checks:
    """Runs checks. Between :meth:`start` and :meth:`finish`, after :meth:`doubt`.

    :param prober: makes the probe of a check; called when it is started.
    :param demote: called with owner, value and reason.
    :param undemote: called with owner and reason.
    """

    _log = Logger()

    def __init__(
        self,
        configs: Iterable[CheckConfig],
        clock: IReactorTime,
        *,
        prober: Callable[[CheckConfig], Probe],
        demote: Callable[[str, int, str], object],
        undemote: Callable[[str, str], object],
    ) -> None:
        self._configs = tuple(configs)
        self._clock = clock
        self._prober = prober
        self._demote = demote
        self._undemote = undemote
        self._checks: dict[str, Check] = {}
        self._running = False

    def doubt(self) -> None:
        """Demote until it is known what there is to be seen; before any vhid takes part."""
        for config in self._configs:
            self._demote(_owner(config), config.demote, f"{_owner(config)}: no result yet")

    def start(self) -> None:
        """Begin to look."""
        self._running = True
        self._add(self._configs)

    def finish(self) -> None:
        """Look no more. What demotes this host stays in the ledger."""
        self._running = False
        for check in self._checks.values():
            check.end()
        self._checks.clear()

    def replace(self, configs: Iterable[CheckConfig]) -> None:
        """From now on these checks."""
        self._configs = tuple(configs)
        if not self._running:
            return
        wanted = {config.name: config for config in self._configs}
        for name, check in tuple(self._checks.items()):
            if wanted.get(name) != check.config:
                check.end()
                del self._checks[name]
                if name not in wanted:
                    self._undemote(_owner(check.config), f"{_owner(check.config)}: removed")
        self._add(config for name, config in wanted.items() if name not in self._checks)

    def snapshot(self, time: Callable[[float], str]) -> list[dict[str, Any]]:
        """Every check as JSON-able values; ``time`` renders a moment of the clock."""
        return [
            {
                "name": check.config.name,
                "kind": check.config.kind,
                "state": check.health.standing.value,
                "since": time(check.since),
                "result": None if check.health.last is None else check.health.last.text,
                "took": None if check.took is None else round(check.took, 6),
                "demote": check.config.demote,
            }
            for check in self._checks.values()
        ]

    def _add(self, configs: Iterable[CheckConfig]) -> None:
        added = list(configs)
        for place, config in enumerate(added):
            check = Check(config, self._prober(config), self._clock, self._told)
            self._checks[config.name] = check
            check.begin(SPREAD_SECONDS * place / len(added))

    def _told(self, check: Check, changed: bool) -> None:
        result, standing = check.health.last, check.health.standing
        assert result is not None
        owner = _owner(check.config)
        if changed:
            log = self._log.warn if standing is Standing.FAILING else self._log.info
            log(
                "carp: {owner}: {standing}: {text} ({row}){output}",
                owner=owner,
                standing=standing.value,
                text=result.text,
                row=_times(check.health.row),
                output=f": {result.output}" if result.output else "",
            )
        if standing is Standing.PASSING:
            if changed:
                self._undemote(owner, f"{owner}: {result.text}")
        elif not result.good:
            # Why it fails may change while it does; what is good already does not count before it has risen.
            self._demote(owner, check.config.demote, f"{owner}: {result.text}")


def _owner(config: CheckConfig) -> str:
    return f"check {config.name}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times in a row"
