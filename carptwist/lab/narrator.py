"""Tells what happens in a scene while it happens: one line each, with seconds since the beginning.

::

      4.512  demo    the link of a is cut
      4.519  a       carp: 1@em0: MASTER -> INIT (link down)
      4.613  client  192.0.2.1 is silent
      7.903  b       carp: 1@em0: BACKUP -> MASTER (master timed out)
      7.904  wire    b advertises vhid 1 every 1.39 s
      7.909  client  192.0.2.1 answers again, after 3.401 s
"""

from __future__ import annotations

import time
from typing import TextIO

from carptwist.lab.scene import Scene

#: A client calls an address silent after so long without a reply.
_SILENT_AFTER_SECONDS = 0.1


class Narrator:
    """Let :meth:`tick` be called often; it prints what is new, in the order of the times."""

    def __init__(self, scene: Scene, output: TextIO) -> None:
        self._scene = scene
        self._output = output
        self._began = time.time()
        self._advertisements = 0
        self._speaker: dict[int, tuple[str, float] | None] = {}
        self._silent: dict[str, float] = {}

    def say(self, who: str, text: str, at: float | None = None) -> None:
        self._print([(time.time() if at is None else at, who, text)])

    def tick(self) -> None:
        self._print(sorted([*self._logged(), *self._on_the_wire(), *self._at_the_client()]))

    def _print(self, lines: list[tuple[float, str, str]]) -> None:
        for at, who, text in lines:
            print(f"{max(0.0, at - self._began):9.3f}  {who:<6}  {text}", file=self._output, flush=True)

    def _logged(self) -> list[tuple[float, str, str]]:
        now = time.time()
        return [
            (now, name, line[line.index("carp: ") :])
            for name, daemon in self._scene.daemons.items()
            if daemon.child is not None
            for line in daemon.child.new_lines()
            if "carp: " in line
        ]

    def _on_the_wire(self) -> list[tuple[float, str, str]]:
        fresh = self._scene.watcher.advertisements[self._advertisements :]
        self._advertisements += len(fresh)
        lines = []
        for each in fresh:
            known = self._speaker.get(each.vhid)
            if each.bows_out:
                if known is not None and known[0] == each.host:
                    lines.append((each.at, "wire", f"{each.host} bows out of vhid {each.vhid}"))
                    self._speaker[each.vhid] = None
            elif known != (each.host, each.interval):
                lines.append((each.at, "wire", f"{each.host} advertises vhid {each.vhid} every {each.interval:.2f} s"))
                self._speaker[each.vhid] = (each.host, each.interval)
        return lines

    def _at_the_client(self) -> list[tuple[float, str, str]]:
        lines = []
        for address in map(str, self._scene.prober.addresses):
            last = self._scene.prober.last_reply(address)
            if last is None:
                continue
            since = self._silent.get(address)
            if since is None and time.time() - last > _SILENT_AFTER_SECONDS:
                self._silent[address] = last
                lines.append((time.time(), "client", f"{address} is silent"))
            elif since is not None and last > since:
                # Others may have come since; the first of them ended the silence.
                outage = self._scene.outage(address, since)
                after = "" if outage is None else f", after {outage.seconds:.3f} s"
                del self._silent[address]
                lines.append((last, "client", f"{address} answers again{after}"))
        return lines
