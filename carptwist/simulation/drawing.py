"""An outcome as a picture: SVG, for a browser or a page of documentation, in its light and dark.

::

      title                                 (1)        (2)(3)        what the scenario did, by number
      vhid 1 of lan   |  nobody  |#### a ####|======= b ========|    who had the addresses: the broad lane
              a       |..........|###########|                  |    the state of each host: MASTER, BACKUP, INIT, off
              b       |..........|...........|==================|
                      0 s       10 s        20 s       30 s
      1 at 12.000 s: a crashes ...                                   and what the numbers mean

Everything that is drawn has a title that tells its exact times, where a pointer rests on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from textwrap import wrap
from typing import NamedTuple

from carptwist.simulation.history import Kind
from carptwist.simulation.ownership import Fault, FaultKind, Ownership
from carptwist.simulation.stage import Outcome

#: Okabe and Ito's colours, which everybody can tell apart.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#7a5195", "#5f6f52")

_WIDTH, _LEFT, _RIGHT = 1100.0, 150.0, 30.0
_LONGEST_LINE = 140  # characters below the picture
_BROAD, _NARROW, _GAP = 30.0, 13.0, 5.0
_FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"
_STYLE = """
  svg { font: 12px FONT; background: var(--paper); --paper: #ffffff; --ink: #1b1b1f; --soft: #6b6f76; --line: #d5d8dd;
        --track: #f1f3f5; --fault: #d1242f; --ring: #ffffff }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #16181d; --ink: #e8e8ec; --soft: #9aa0a8; --line: #3a3f47; --track: #22262d; --fault: #ff6b6b;
          --ring: #16181d } }
  .paper { fill: var(--paper) } .track { fill: var(--track) } .ink { fill: var(--ink) } .soft { fill: var(--soft) }
  .title { font-size: 18px; font-weight: 600 } .name { font-weight: 600 } .right { text-anchor: end }
  .middle { text-anchor: middle } .owner { font-weight: 600; fill: #ffffff }
  .fault { fill: var(--fault); font-weight: 600 }
  .grid { stroke: var(--line) } .event { stroke: var(--soft); stroke-dasharray: 3 3 }
  .mark { fill: var(--ink) } .number { fill: var(--ring); font-size: 10px; font-weight: 600; text-anchor: middle }
  .outage { fill: url(#outage); stroke: var(--fault) } .double { fill: none; stroke: var(--fault); stroke-width: 2.5 }
  .hatch { stroke: var(--fault); stroke-width: 2 } .off { stroke: var(--line); stroke-dasharray: 2 4 }
""".replace("FONT", _FONT)

_SPACE = "http://www.w3.org/2000/svg"
_HATCHING = """\
<defs><pattern id="outage" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
<line class="hatch" x1="0" y1="0" x2="0" y2="7"/></pattern></defs>"""


class Stretch(NamedTuple):
    """A host was in a state of a vhid from ``begin`` to ``end``."""

    begin: float
    end: float
    state: str
    reason: str


def draw(outcome: Outcome) -> str:
    """The whole picture."""
    return _Picture(outcome).draw()


class _Picture:
    """One picture in the making, from the top down."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._duration = max(outcome.scenario.duration, 1e-6)
        self._colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(outcome.world.hosts)}
        self._moments = _moments(outcome)
        self._drawn: list[str] = []
        self._y = 0.0

    def draw(self) -> str:
        self._heading()
        top = self._y
        self._marks()
        for ownership in self._outcome.ownerships:
            self._service(ownership)
        bottom = self._y
        self._axis()
        self._legend()
        lines = [self._line(x, top + 16, bottom, "event") for x in self._mark_places()]
        width, height = f"{_WIDTH:g}", f"{self._y + 12:.0f}"
        return "\n".join(
            (
                f'<svg xmlns="{_SPACE}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
                f"<title>{escape(self._outcome.scenario.title)}</title>",
                f"<style>{_STYLE}</style>",
                _HATCHING,
                f'<rect class="paper" width="{width}" height="{height}"/>',
                *lines,
                *self._drawn,
                "</svg>\n",
            )
        )

    # Parts, from the top down

    def _heading(self) -> None:
        scenario = self._outcome.scenario
        self._text(16, 30, scenario.title, "ink title")
        hosts = len(self._outcome.world.hosts)
        verdict = "" if self._outcome.good else ", not as expected"
        said = f"{hosts} host{'s' * (hosts != 1)}, {scenario.duration:g} s, seed {self._outcome.world.seed}{verdict}"
        self._text(_WIDTH - _RIGHT, 30, said, "soft right")
        self._y = 52

    def _marks(self) -> None:
        if not self._moments:
            return
        for number, (x, (at, texts)) in enumerate(zip(self._mark_places(), self._moments, strict=True), 1):
            told = escape(f"{at:.3f} s: {', '.join(texts)}")
            self._drawn.append(
                f'<g><title>{told}</title><circle class="mark" cx="{x:.1f}" cy="{self._y + 8:.1f}" r="8"/>'
                f'<text class="number" x="{x:.1f}" y="{self._y + 11.5:.1f}">{number}</text></g>'
            )
        self._y += 26

    def _service(self, ownership: Ownership) -> None:
        service = ownership.service
        self._text(16, self._y + 12, f"vhid {service.vhid} of {service.segment}", "ink name")
        self._text(_LEFT + 8, self._y + 12, ", ".join(service.addresses), "soft")
        self._y += 34
        self._rect(0, self._duration, _BROAD, "track", "")
        for span in ownership.spans:
            told = f"{' and '.join(span.owners) or 'nobody'} from {span.begin:.3f} to {span.end:.3f} s"
            share = _BROAD / max(1, len(span.owners))
            for place, owner in enumerate(span.owners):
                y = self._y + place * share
                self._box(span.begin, span.end, y, share, f'fill="{self._colours[owner]}"', told)
                if self._width(span.begin, span.end) > 9 * len(owner) + 8:
                    middle = (self._x(span.begin) + self._x(span.end)) / 2
                    self._text(middle, y + share / 2 + 4, owner, "owner middle")
        for fault in ownership.faults:
            if fault in self._outcome.faults:
                self._fault(fault)
        self._y += _BROAD + _GAP
        for name, host in self._outcome.world.hosts.items():
            for config in host.configuration.vhids:
                if config.vhid == service.vhid and host.wiring[config.interface].name == service.segment:
                    self._states(name, config.name)
        self._y += 16

    def _fault(self, fault: Fault) -> None:
        told = f"{fault.seconds:.3f} s of {fault.kind.value}: {fault.cause}"
        kind = "outage" if fault.kind is FaultKind.OUTAGE else "double"
        self._box(fault.begin, max(fault.end, fault.begin + self._seconds(3)), self._y, _BROAD, f'class="{kind}"', told)
        x = max(_LEFT + 20, min((self._x(fault.begin) + self._x(fault.end)) / 2, _WIDTH - _RIGHT - 20))
        lasted = f"{fault.seconds:.1f} s" if fault.seconds >= 1 else f"{fault.seconds * 1000:.0f} ms"
        self._text(x, self._y - 5, lasted, "fault middle")

    def _states(self, host: str, subject: str) -> None:
        self._text(_LEFT - 10, self._y + _NARROW - 3, host, "ink right")
        middle = self._y + _NARROW / 2
        self._drawn.append(
            f'<line class="off" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
        )
        colour = self._colours[host]
        for stretch in stretches(self._outcome, host, subject):
            told = f"{host}: {stretch.state} from {stretch.begin:.3f} to {stretch.end:.3f} s ({stretch.reason})"
            height = {"MASTER": _NARROW, "BACKUP": _NARROW, "INIT": 3.0}[stretch.state]
            opacity = {"MASTER": 1.0, "BACKUP": 0.28, "INIT": 1.0}[stretch.state]
            shape = f'fill="{colour}" fill-opacity="{opacity}"' if stretch.state != "INIT" else 'class="soft"'
            self._box(stretch.begin, stretch.end, self._y + (_NARROW - height) / 2, height, shape, told)
        self._y += _NARROW + 4

    def _axis(self) -> None:
        self._drawn.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{self._y:.1f}" y2="{self._y:.1f}"/>'
        )
        step = _step(self._duration)
        for number in range(int(self._duration / step + 1e-9) + 1):
            x = self._x(number * step)
            self._drawn.append(self._line(x, self._y, self._y + 5, "grid"))
            self._text(x, self._y + 18, f"{number * step:g} s", "soft middle")
        self._y += 40

    def _legend(self) -> None:
        x = 16.0
        for words, shape in (
            ("MASTER", 'class="mark"'),
            ("BACKUP", 'class="mark" fill-opacity="0.28"'),
            ("INIT", 'class="soft"'),
            ("outage", 'class="outage"'),
            ("double ownership", 'class="double"'),
        ):
            height = 3.0 if words == "INIT" else 12.0
            self._drawn.append(
                f'<rect {shape} x="{x:g}" y="{self._y - 4 - height / 2:.1f}" width="22" height="{height:g}" rx="2"/>'
            )
            self._text(x + 28, self._y, words, "soft")
            x += 60 + 7 * len(words)
        self._y += 32
        for number, (at, texts) in enumerate(self._moments, 1):
            self._text(16, self._y, f"{number}", "ink name")
            self._remark(at, "; ".join(texts))
        for fault in self._outcome.faults:
            self._text(16, self._y, "!", "fault")
            ended = f", until {fault.ended}" if fault.ended else ", to the end"
            words = f"{fault.seconds:.3f} s of {fault.kind.value}, {fault.service.name}: {fault.cause}{ended}"
            self._remark(fault.begin, words)

    def _remark(self, at: float, words: str) -> None:
        self._text(40, self._y, f"{at:.3f} s", "soft")
        for line in wrap(words, _LONGEST_LINE):
            self._text(120, self._y, line, "ink")
            self._y += 18

    # Places

    def _x(self, at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at / self._duration

    def _width(self, begin: float, end: float) -> float:
        return self._x(end) - self._x(begin)

    def _seconds(self, pixels: float) -> float:
        return pixels * self._duration / (_WIDTH - _LEFT - _RIGHT)

    def _mark_places(self) -> list[float]:
        """Where the marks of the moments are: at their time, but never one on another."""
        places: list[float] = []
        for at, _ in self._moments:
            places.append(max(self._x(at), places[-1] + 17 if places else 0.0))
        return places

    # Shapes

    def _text(self, x: float, y: float, words: str, kind: str) -> None:
        self._drawn.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>')

    def _rect(self, begin: float, end: float, height: float, kind: str, told: str) -> None:
        self._box(begin, end, self._y, height, f'class="{kind}"', told)

    def _box(self, begin: float, end: float, y: float, height: float, shape: str, told: str) -> None:
        title = f"<title>{escape(told)}</title>" if told else ""
        self._drawn.append(
            f'<rect {shape} x="{self._x(begin):.2f}" y="{y:.1f}" width="{self._width(begin, end):.2f}" '
            f'height="{height:.1f}" rx="2">{title}</rect>'
        )

    def _line(self, x: float, top: float, bottom: float, kind: str) -> str:
        return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def stretches(outcome: Outcome, host: str, subject: str) -> Iterator[Stretch]:
    """The states of one vhid of one host, while a daemon ran there."""
    state, since, reason = "", 0.0, ""
    for happening in outcome.world.history.of(Kind.STATE):
        if happening.host != host or happening.subject != subject:
            continue
        if state:
            yield Stretch(since, happening.at, state, reason)
        state, since = happening.states[1], happening.at
        reason = happening.text.partition("(")[2].rstrip(")")
    if state:
        yield Stretch(since, outcome.world.now, state, reason)


def _moments(outcome: Outcome) -> list[tuple[float, list[str]]]:
    """What the scenario did, with all that it did at one time together."""
    moments: list[tuple[float, list[str]]] = []
    for happening in outcome.world.history.of(Kind.SCRIPT):
        if moments and moments[-1][0] == happening.at:
            moments[-1][1].append(happening.text)
        else:
            moments.append((happening.at, [happening.text]))
    return moments


def _step(duration: float) -> float:
    """A round number of seconds between the numbers of the axis."""
    steps: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200)
    return next((step for step in steps if duration / step <= 12), 86400.0)
