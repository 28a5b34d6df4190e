"""The text of a scenario file (TOML) -> :class:`Scenario`, or everything that is wrong with it at once.

::

    title = "The master crashes"
    duration = "20s"

    [hosts.a]
    config = "a.ini"                    # beside the scenario; or configuration = (the text itself)
    interfaces = { em0 = "lan" }        # without it each interface leads to a segment of its own name

    [[events]]
    at = "10s"
    crash = "a"

    [[expect]]
    owner = "b"
    vhid = 1

An error names the file, and the line of the table that it is in. The one kind of file that a scenario can name is read
by a function of the caller's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from enum import Enum
from typing import Any, TypeVar, assert_never

from carptwist.config.problems import ConfigurationError, Problem
from carptwist.config.schema import Configuration
from carptwist.election.state import State
from carptwist.simulation.conditions import Conditions
from carptwist.simulation.host import Nature
from carptwist.simulation.scenario import (
    Adjust,
    Ask,
    Block,
    Cable,
    CableEvent,
    Demote,
    Divide,
    Event,
    Expectation,
    FailSending,
    Forgery,
    Heal,
    HostEvent,
    LimitExpected,
    Order,
    OwnerExpected,
    Part,
    Replay,
    Scenario,
    Scheduled,
    Selection,
    Weather,
)

#: Gives a configuration, from its text or from the path of its file as the scenario has it.
ReadText = Callable[[str, str], Configuration]
ReadFile = Callable[[str], Configuration]

LONGEST_SECONDS = 7 * 24 * 3600.0
MOST_HOSTS = 250

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(us|ms|s|min|h|)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "min": 60.0, "h": 3600.0}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WORDS = {
    Order.START: "{} starts",
    Order.STOP: "{} is stopped",
    Order.KILL: "the daemon of {} is killed",
    Order.KILL_BOTH: "the daemon of {} and its guard are killed",
    Order.CRASH: "{} crashes",
    Order.STALL: "the daemon of {} stands still",
    Order.FREEZE: "{} freezes",
    Order.RESUME: "{} goes on",
    Cable.UNPLUG: "the cable of {} is pulled",
    Cable.PLUG: "the cable of {} is back",
    Cable.DOWN: "{} is set down",
    Cable.UP: "{} is set up",
}
_TOP = ("title", "about", "seed", "duration", "configuration", "network", "segments", "hosts", "events", "expect")
_HOST = ("config", "configuration", "interfaces", "advskew", "start", "clock", "offset", "jitter", "hold", "router")
_CONDITIONS = tuple(each.name for each in fields(Conditions))
_EVENTS = (
    *(each.value for each in (*Order, *Cable)),
    *("partition", "block", "heal", "network", "demote", "undemote", "state", "adjust", "send_errors", "replay"),
)
_EXPECT = ("at", "owner", "vhid", "segment", "outage_below", "double_below", "after")


_Word = TypeVar("_Word", bound=Enum)


class _Fault(Exception):
    """One thing is wrong: (the key or the empty string, the text)."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key
        self.text = text


def read(text: str, filename: str, read_file: ReadFile, read_text: ReadText) -> Scenario:
    """Read a scenario.

    :raises ConfigurationError: with every error.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise ConfigurationError([Problem(filename, line, f"not TOML: {what}")]) from None
    return _Reader(text, filename, read_file, read_text).read(document)


def described(event: Event) -> str:
    """What a timeline says of an event."""
    if isinstance(event, HostEvent):
        return _WORDS[event.order].format(event.host)
    if isinstance(event, CableEvent):
        return _WORDS[event.what].format(f"{event.interface} of {event.host}")
    if isinstance(event, Divide):
        return f"{event.segment} is divided: {' | '.join(', '.join(island) for island in event.islands)}"
    if isinstance(event, Block):
        return f"{event.receiver} does not hear {event.sender} on {event.segment} any more"
    if isinstance(event, Heal):
        return f"{event.segment or 'the network'} is whole and good again"
    if isinstance(event, Weather):
        return f"{event.receiver or event.segment} has {event.conditions}"
    if isinstance(event, Demote):
        if event.by is None:
            return f"the demotion of {event.host} by {event.owner} is taken back"
        span = f" for {event.seconds:g} s" if event.seconds is not None else ""
        return f"{event.host} is demoted by {event.by}{span} ({event.reason})"
    if isinstance(event, Ask):
        return f"{event.host} is asked to be {event.state.value} of {event.vhid}"
    if isinstance(event, Adjust):
        return f"{event.vhid} of {event.host} has advskew {event.advskew} from now on"
    if isinstance(event, FailSending):
        return f"{event.host} cannot send {event.frames} frames on {event.interface}"
    if isinstance(event, Replay):
        forged = "" if event.forgery is Forgery.NOTHING else f", with another {event.forgery.value}"
        return f"{event.frames} of the {event.selection.value} advertisements of {event.segment} are replayed{forged}"
    assert_never(event)


class _Reader:
    """One reading of one document."""

    def __init__(self, text: str, filename: str, read_file: ReadFile, read_text: ReadText) -> None:
        self._lines = text.splitlines()
        self._filename = filename
        self._read_file = read_file
        self._read_text = read_text
        self._errors: list[Problem] = []
        self._parts: dict[str, Part] = {}
        self._segments: list[str] = []

    def read(self, document: dict[str, Any]) -> Scenario:
        self._known(document, _TOP, "", 0)
        duration = self._value(document, "duration", "", 0, _seconds, 60.0)
        title = self._value(document, "title", "", 0, _text, self._filename)
        about = self._value(document, "about", "", 0, _text, "")
        seed = self._value(document, "seed", "", 0, _whole, 1)
        hosts = document.get("hosts", {})
        if not isinstance(hosts, dict) or not hosts or not all(isinstance(each, dict) for each in hosts.values()):
            self._error("hosts", 0, "", "there are no hosts: each is a table such as [hosts.a]")
            hosts = {}
        if len(hosts) > MOST_HOSTS:
            self._error("hosts", 0, "", f"{len(hosts)} hosts: at most {MOST_HOSTS}")
        for name, table in hosts.items():
            self._host(name, table, document.get("configuration"))
        self._segments = sorted({segment for part in self._parts.values() for segment in part.wiring.values()})
        weather = self._weather(document)
        events = [each for number, table in self._tables(document, "events") for each in self._event(number, table)]
        expectations = [
            each
            for number, table in self._tables(document, "expect")
            for each in self._expectation(number, table, duration)
        ]
        if self._errors:
            raise ConfigurationError(sorted(self._errors, key=lambda problem: problem.line))
        return Scenario(
            title,
            duration,
            tuple(self._parts.values()),
            tuple(sorted(events, key=lambda scheduled: scheduled.at)),
            tuple(expectations),
            about.strip(),
            seed,
            weather,
        )

    # Hosts

    def _host(self, name: str, table: dict[str, Any], common: object) -> None:
        where = f"hosts.{name}"
        self._known(table, _HOST, where, 0)
        if not _NAME.fullmatch(name):
            self._error(where, 0, "", "a name is of letters, digits, dots, dashes and underscores")
            return
        configuration = self._configuration(table, where, common)
        if configuration is None:
            return
        if "advskew" in table:
            try:
                vhids = tuple(replace(vhid, advskew=table["advskew"]) for vhid in configuration.vhids)
                configuration = replace(configuration, vhids=vhids)
            except (ValueError, TypeError) as error:
                self._error(where, 0, "advskew", str(error))
        wiring = self._wiring(table, where, configuration)
        ordinary = Nature()
        rate = self._value(table, "clock", where, 0, _rate, ordinary.rate)
        nature = Nature(
            rate,
            self._value(table, "offset", where, 0, _seconds, ordinary.offset),
            self._value(table, "jitter", where, 0, _seconds, ordinary.jitter),
            self._value(table, "hold", where, 0, _seconds, ordinary.hold),
            self._value(table, "router", where, 0, _switch, ordinary.forwards),
            observes=False,
        )
        start: float | None = None
        if table.get("start") != "never":
            start = self._value(table, "start", where, 0, _seconds, 0.0)
        self._parts[name] = Part(name, configuration, wiring, nature, start)

    def _configuration(self, table: dict[str, Any], where: str, common: object) -> Configuration | None:
        text, path = table.get("configuration"), table.get("config")
        if text is not None and path is not None:
            self._error(where, 0, "config", "config and configuration: leave one of them")
            return None
        try:
            if isinstance(path, str):
                return self._read_file(path)
            text = common if text is None else text
            if isinstance(text, str):
                return self._read_text(text, f"{self._filename}: configuration of {where}")
        except ConfigurationError as refused:
            self._errors += refused.errors
            return None
        self._error(where, 0, "", 'there is no configuration: config = "FILE", or configuration = """..."""')
        return None

    def _wiring(self, table: dict[str, Any], where: str, configuration: Configuration) -> dict[str, str]:
        used = sorted({vhid.interface for vhid in configuration.vhids})
        given = table.get("interfaces", {})
        if not isinstance(given, dict) or not all(isinstance(segment, str) for segment in given.values()):
            self._error(where, 0, "interfaces", 'must be { em0 = "lan" }')
            given = {}
        wiring = {interface: given.get(interface, interface) for interface in dict.fromkeys((*used, *given))}
        for segment in set(wiring.values()):
            there = [interface for interface, to in wiring.items() if to == segment]
            if len(there) > 1:
                self._error(where, 0, "interfaces", f"{' and '.join(there)} lead to {segment} both")
        return wiring

    # The network

    def _weather(self, document: dict[str, Any]) -> dict[str, Conditions]:
        weather: dict[str, Conditions] = {}
        if "network" in document:
            common = self._conditions(document["network"], "network", 0)
            weather = dict.fromkeys(self._segments, common)
        segments = document.get("segments", {})
        for name, table in segments.items() if isinstance(segments, dict) else ():
            if name not in self._segments:
                self._error(f"segments.{name}", 0, "", f"no host is on it: there are {', '.join(self._segments)}")
            weather[name] = self._conditions(table, f"segments.{name}", 0)
        return weather

    def _conditions(self, table: object, where: str, number: int) -> Conditions:
        if not isinstance(table, dict):
            self._error(where, number, "", "must be a table, such as { loss = 0.2 }")
            return Conditions()
        self._known(table, _CONDITIONS, where, number)
        given = {}
        for key in _CONDITIONS:
            if key in table:
                reader = _seconds if key in ("delay", "jitter", "reorder_by") else _chance
                given[key] = self._value(table, key, where, number, reader, 0.0)
        return Conditions(**given)

    # Events

    def _event(self, number: int, table: dict[str, Any]) -> list[Scheduled]:
        self._known(table, ("at", "segment", "to", *_EVENTS), "events", number)
        what = [key for key in table if key in _EVENTS]
        if len(what) != 1:
            told = "nothing happens" if not what else f"{' and '.join(what)} at once: make them two events"
            self._error("events", number, "", f"{told}: there are {', '.join(_EVENTS)}")
            return []
        if "at" not in table:
            self._error("events", number, "", 'at = "5s" is missing')
            return []
        at = self._value(table, "at", "events", number, _seconds, 0.0)
        (key,) = what
        try:
            return [Scheduled(at, event, described(event)) for event in self._happening(key, table[key], table, number)]
        except _Fault as fault:
            self._error("events", number, fault.key or key, fault.text)
            return []

    def _happening(self, key: str, value: object, table: dict[str, Any], number: int) -> list[Event]:
        if key in {order.value for order in Order}:
            names = value if isinstance(value, list) else [value]
            return [HostEvent(Order(key), self._is_host(name)) for name in names]
        if key in {cable.value for cable in Cable}:
            return [CableEvent(Cable(key), *self._is_interface(value))]
        if key == "partition":
            if not isinstance(value, list) or not all(isinstance(island, list) for island in value):
                raise _Fault(key, 'must be islands of hosts, such as [["a"], ["b", "c"]]')
            islands = tuple(tuple(self._is_host(name) for name in island) for island in value)
            return [Divide(self._segment(table), islands)]
        if key == "block":
            sender, receiver = (self._is_host(_of(value, key, word)) for word in ("from", "to"))
            return [Block(self._segment(table), sender, receiver)]
        if key == "heal":
            return [Heal(None if value is True else self._is_segment(value))]
        if key == "network":
            to = self._is_host(table["to"]) if "to" in table else None
            return [Weather(self._segment(table), self._conditions(value, "events", number), to)]
        if key == "state":
            host, vhid = self._is_vhid(value)
            state = _of(value, key, "state")
            if not isinstance(state, str) or state.upper() not in ("BACKUP", "MASTER"):
                raise _Fault(key, "state must be master or backup")
            return [Ask(host, vhid, State(state.upper()))]
        if key == "adjust":
            host, vhid = self._is_vhid(value)
            advskew = _whole(_of(value, key, "advskew"))
            if advskew > 254:
                raise _Fault(key, f"advskew = {advskew}: must be 0 to 254")
            return [Adjust(host, vhid, advskew)]
        if key == "send_errors":
            host, interface = self._is_interface(f"{_of(value, key, 'host')}:{_of(value, key, 'interface')}")
            return [FailSending(host, interface, _whole(_of(value, key, "frames")))]
        if key == "replay":
            every = value.get("every", 0.5) if isinstance(value, dict) else 0.5
            selection = _one_of(Selection, value, "which", Selection.NEWEST)
            forgery = _one_of(Forgery, value, "forge", Forgery.NOTHING)
            return [
                Replay(self._segment(table), _whole(_of(value, key, "frames")), _seconds(every), selection, forgery)
            ]
        return [self._demotion(key, value)]

    def _demotion(self, key: str, value: object) -> Demote:
        host = self._is_host(_of(value, key, "host"))
        assert isinstance(value, dict)
        owner = _text(value.get("owner", "sysctl"))
        if key == "undemote":
            return Demote(host, None, owner, _text(value.get("reason", "taken back")))
        seconds = _seconds(value["for"]) if "for" in value else None
        return Demote(host, _signed(_of(value, key, "by")), owner, _text(value.get("reason", owner)), seconds)

    # Expectations

    def _expectation(self, number: int, table: dict[str, Any], duration: float) -> list[Expectation]:
        self._known(table, _EXPECT, "expect", number)
        try:
            found: list[Expectation] = []
            if "owner" in table:
                vhid = _whole(table.get("vhid", 1))
                segment = self._segment(table, vhid)
                self._is_shared(segment, vhid)
                names = table["owner"] if isinstance(table["owner"], list) else [table["owner"]]
                owners = tuple(self._is_host(name) for name in names if name != "nobody")
                at = duration if table.get("at", "end") == "end" else _seconds(table["at"])
                found.append(OwnerExpected(at, segment, vhid, owners))
            for key in ("outage_below", "double_below"):
                if key in table:
                    where = self._is_segment(table["segment"]) if "segment" in table else None
                    which = _whole(table["vhid"]) if "vhid" in table else None
                    after = _seconds(table.get("after", 0.0))
                    found.append(LimitExpected(key == "double_below", _seconds(table[key]), after, where, which))
            if not found:
                raise _Fault("", "expects nothing: there are owner, outage_below, double_below")
            return found
        except _Fault as fault:
            self._error("expect", number, fault.key, fault.text)
            return []

    # What names stand for

    def _is_host(self, name: object) -> str:
        if name in self._parts:
            return str(name)
        raise _Fault("", f"there is no host {name}: there are {', '.join(self._parts) or 'none'}")

    def _is_segment(self, name: object) -> str:
        if name in self._segments:
            return str(name)
        raise _Fault("segment", f"there is no segment {name}: there are {', '.join(self._segments) or 'none'}")

    def _segment(self, table: Mapping[str, Any], vhid: int | None = None) -> str:
        """The segment that a table names; it need not where there is but one that can be meant."""
        if "segment" in table:
            return self._is_segment(table["segment"])
        meant = [segment for segment in self._segments if vhid is None or self._has(segment, vhid)] or self._segments
        if len(meant) == 1:
            return meant[0]
        raise _Fault("segment", f"which segment? There are {', '.join(self._segments) or 'none'}")

    def _has(self, segment: str, vhid: int) -> bool:
        return any(
            config.vhid == vhid and part.wiring[config.interface] == segment
            for part in self._parts.values()
            for config in part.configuration.vhids
        )

    def _is_shared(self, segment: str, vhid: int) -> None:
        if not self._has(segment, vhid):
            raise _Fault("vhid", f"nobody has vhid {vhid} on {segment}")

    def _is_interface(self, value: object) -> tuple[str, str]:
        host, colon, interface = str(value).partition(":")
        if not colon:
            raise _Fault("", f"{value} must be HOST:INTERFACE, such as a:em0")
        there = self._parts[self._is_host(host)].wiring
        if interface not in there:
            raise _Fault("", f"{host} has no interface {interface}: it has {', '.join(there)}")
        return host, interface

    def _is_vhid(self, value: object) -> tuple[str, str]:
        host, name = self._is_host(_of(value, "state", "host")), _of(value, "state", "vhid")
        names = [config.name for config in self._parts[host].configuration.vhids]
        if name not in names:
            raise _Fault("state", f"{host} has no {name}: it has {', '.join(names)}")
        return host, str(name)

    # Errors

    def _tables(self, document: dict[str, Any], key: str) -> list[tuple[int, dict[str, Any]]]:
        tables = document.get(key, [])
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            self._error(key, 0, "", f"must be tables, each begun by [[{key}]]")
            return []
        return list(enumerate(tables, 1))

    def _known(self, table: dict[str, Any], keys: tuple[str, ...], where: str, number: int) -> None:
        for key in table:
            if key not in keys:
                self._error(where, number, key, f"is unknown: there are {', '.join(keys)}")

    def _value(
        self, table: dict[str, Any], key: str, where: str, number: int, reader: Callable[[object], Any], default: Any
    ) -> Any:
        if key not in table:
            return default
        try:
            return reader(table[key])
        except _Fault as fault:
            self._error(where, number, key, fault.text)
            return default

    def _error(self, where: str, number: int, key: str, text: str) -> None:
        """``FILE:LINE: [hosts.a] advskew: ...``; ``number``: which of the tables of that name, from 1."""
        label = f"[[{where}]] " if number else f"[{where}] " if where else ""
        told = f"{label}{key}: {text}" if key else f"{label}{text}"
        self._errors.append(Problem(self._filename, self._line(where, number, key), told))

    def _line(self, where: str, number: int, key: str) -> int:
        """The line of a key in a table, or of the table; 1 where neither can be found."""
        begin = 0
        if where:
            header = re.compile(rf"\s*\[{{1,2}}\s*{re.escape(where)}\s*\]{{1,2}}")
            at = [line for line, text in enumerate(self._lines, 1) if header.match(text)]
            if not at or len(at) < number:
                return 1
            begin = at[max(0, number - 1)]
        for line, text in enumerate(self._lines[begin:], begin + 1):
            if text.lstrip().startswith("["):
                break
            if key and re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", text):
                return line
        return max(1, begin)


# Values


def _of(value: object, key: str, word: str) -> object:
    if not isinstance(value, dict) or word not in value:
        raise _Fault(key, f"{word} = ... is missing in {{ ... }}")
    return value[word]


def _one_of(kind: type[_Word], value: object, word: str, default: _Word) -> _Word:
    given = value.get(word, default.value) if isinstance(value, dict) else default.value
    try:
        return kind(given)
    except ValueError:
        raise _Fault("replay", f"{word} = {given}: must be {', '.join(each.value for each in kind)}") from None


def _seconds(value: object) -> float:
    """``"1.5s"``, ``"20ms"``, ``"2min"``; a number is of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise _Fault("", f'{value!r}: must be a time such as "1.5s", "20ms" or "2min"')
        seconds = float(match[1]) * _UNITS[match[2]]
    if not 0.0 <= seconds <= LONGEST_SECONDS:
        raise _Fault("", f"{value!r}: must be 0 to {LONGEST_SECONDS / 3600:g} h")
    return seconds


def _rate(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.01 <= value <= 100:
        return float(value)
    raise _Fault("", f"{value!r}: must be 0.01 to 100 seconds of its clock per second")


def _chance(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise _Fault("", f"{value!r}: must be 0 to 1")


def _signed(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _Fault("", f"{value!r}: must be a whole number")


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise _Fault("", f"{value!r}: must be a whole number, not below 0")


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _Fault("", f"{value!r}: must be true or false")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _Fault("", f"{value!r}: must be a text")
