"""The record of a flight in words: what happened on a host and what its daemon did, moment by moment.

::

    parts --story--> Moment(wall, host, text), the oldest first: did an address move, and why?
    Difference -----> the last inputs before it, and what the record and the replay have there
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any, NamedTuple

from carptwist.recorder.records import REFUSED, Answer, Decision, Input, Record, seconds
from carptwist.recorder.ring import Part
from carptwist.recorder.script import Difference
from carptwist.tools.dissector import Dissector
from carptwist.wire.advertisement import Heard, read

#: What a keyframe of the record and that of the replay differ in is told of so many places at most.
_MOST_PLACES = 5


class Moment(NamedTuple):
    """``wall`` is in seconds since the epoch, by the host's clock."""

    wall: float
    host: str
    text: str


def story(parts: Iterable[Part]) -> Iterator[Moment]:
    """All that is out of the ordinary: what is said again and again is left out."""
    host, shift, wall = "", 0.0, 0.0
    last_heard: dict[tuple[str, int, int], tuple[Any, ...]] = {}
    for part in parts:
        for record in part.records:
            if record[0] in (Input.BEGIN, Input.KEYFRAME):
                introduction = record[2]
                host, shift = introduction["host"], introduction["wall"] - introduction["clock"]
                if record[0] == Input.BEGIN:
                    last_heard.clear()
            if record[0] in _INPUTS:
                wall = seconds(record[1]) + shift
            if record[0] == Input.FRAME:
                text = _news_of(record, last_heard)
            else:
                text = "" if record[0] in (Input.TIMER, Input.KEYFRAME) else _worth_telling(record)
            if text:
                yield Moment(wall, host, text)


def frames(parts: Iterable[Part]) -> Iterator[tuple[float, bytes]]:
    """Every frame on record, heard or sent, with its time of day."""
    shift, wall = 0.0, 0.0
    for part in parts:
        for record in part.records:
            if record[0] in (Input.BEGIN, Input.KEYFRAME):
                shift = record[2]["wall"] - record[2]["clock"]
            if record[0] in _INPUTS:
                wall = seconds(record[1]) + shift
            if record[0] == Input.FRAME:
                yield wall, record[3]
            elif record[0] == Decision.SENT:
                yield wall, record[2]


def difference(found: Difference) -> Iterator[str]:
    """A difference and how it came about."""
    *before, under = found.context
    for record in before:
        yield f"  before:   {words(record)}"
    yield f"  then:     {words(under)}"
    recorded, replayed = found.recorded, found.replayed
    if recorded is not None and replayed is not None and recorded[0] == replayed[0] == Input.KEYFRAME:
        yield "  the state of the node is another one then:"
        places = list(_places("", recorded[2]["state"], replayed[2]["state"]))
        for name, was, has in places[:_MOST_PLACES]:
            yield f"    {name}: recorded {was!r}, replayed {has!r}"
        return
    if recorded is under:
        yield "  the node cannot do that in the replay"
        return
    yield f"  recorded: {'nothing more' if recorded is None else words(recorded)}"
    yield f"  replayed: {'nothing more' if replayed is None else words(replayed)}"


def words(record: Record) -> str:
    """One record, of whatever kind."""
    kind, *fields = record
    match kind:
        case Input.FRAME:
            return f"heard on {fields[1]}: {_frame(fields[2])}"
        case Decision.SENT:
            return f"sends on {fields[0]}: {_frame(fields[1])}"
        case Input.TIMER:
            return f"timer {fields[1]}"
        case Input.KEYFRAME:
            return "the state is compared"
        case Answer.DRAWN:
            return "draws a random number"
        case Answer.LINK:
            return "asks for the state of the interface"
        case Answer.OPENED:
            return f"opens {fields[0]}"
    return _worth_telling(record) or f"{kind} {fields}"


_INPUTS = frozenset(Input)


def _worth_telling(record: Record) -> str:
    kind, *fields = record
    match kind:
        case Input.BEGIN:
            return f"carptwist {fields[1]['version']} starts"
        case Input.COMMAND:
            return f"asked: {_command(*fields[1:])}"
        case Input.LINK:
            return _link(fields[1])
        case Input.PLANE if fields[3]:
            return f"{fields[1]}: the plane cannot {fields[2]}: {fields[3]}"
        case Input.PLANE if fields[2] in _REACHED:
            return f"{fields[1]}: {_REACHED[fields[2]]}"
        case Answer.DONE if fields[2]:
            return f"{fields[0]}: the plane cannot {fields[1]}: {fields[2]}"
        case Answer.DONE if fields[1] in _REACHED:
            return f"{fields[0]}: {_REACHED[fields[1]]}"
        case Input.DAMAGE:
            return f"{fields[1]}: {fields[2]}"
        case Input.GUARD:
            return "there is a guard again" if fields[1] is None else f"no guard: {fields[1]}"
        case Input.ENDED:
            return f"{fields[1]}: ended by the guard: {fields[2]}"
        case Input.CLOSED:
            return f"the port {fields[1]} has closed"
        case Input.SYSTEM | Input.NOTEBOOK if fields[2]:
            return f"{fields[1]}: {fields[2]}"
        case Answer.FAILED:
            return f"it does not leave: {fields[1]}"
        case Answer.OPENED if fields[2]:
            return f"cannot open {fields[0]}: {fields[2]}"
        case Answer.VERDICT if fields[0] in ("replayed", "ours"):
            return f"an advertisement heard before ({fields[0]})"
        case Decision.BECAME:
            return f"{fields[0]}: {fields[1]} -> {fields[2]} ({fields[3]})"
        case Decision.DEMOTED:
            return str(fields[0])
    if kind == REFUSED:
        return "refused: " + ", ".join(f"{count} x {cause}" for cause, count in fields[0].items())
    return ""


#: What it means that a plane has done something.
_REACHED = {"hold": "the addresses are reachable here", "release": "the addresses are not reachable here any more"}


def _news_of(record: Record, last_heard: dict[tuple[str, int, int], tuple[Any, ...]]) -> str:
    """An advertisement that is another one than that before it."""
    heard = read(record[3])
    if not isinstance(heard, Heard):
        return ""
    said = heard.advertisement
    interface = record[2].partition("/")[0]
    news = (heard.family, heard.source, said.advbase, said.advskew, said.demote)
    if last_heard.get((interface, said.vhid, heard.family)) == news:
        return ""
    last_heard[interface, said.vhid, heard.family] = news
    demoted = f", demote {said.demote}" if said.demote else ""
    who = ip_address(heard.source)
    if said.advbase == said.advskew == 255:
        return f"{said.vhid}@{interface}: {who} says goodbye"
    return f"{said.vhid}@{interface}: {who} is MASTER with advbase {said.advbase}, advskew {said.advskew}{demoted}"


def _frame(frame: bytes) -> str:
    finding = Dissector().dissect(frame)
    return frame.hex() if finding is None else finding.text


def _command(who: str, name: str, arguments: list[Any], named: dict[str, Any]) -> str:
    told = [_argument(each) for each in arguments if each is not None]
    told += [f"{key}={_argument(value)}" for key, value in named.items() if value is not None]
    return " ".join([who, name, *told])


def _argument(plain: Any) -> str:
    if not isinstance(plain, dict):
        return str(plain)
    ((kind, value),) = plain.items()
    if kind == "list":
        return ", ".join(map(_argument, value))
    if kind == "config":
        told = f"{value['vhid']}@{value['interface']} advbase {value['advbase']} advskew {value['advskew']}"
        return " ".join([told, *value["addresses"]])
    if kind == "knobs":
        return " ".join(f"{key}={setting}" for key, setting in value.items())
    return str(value)


def _link(link: dict[str, Any]) -> str:
    if not link["index"]:
        return f"interface {link['name']} is gone"
    how = "up" if link["up"] and link["carrier"] else "down" if not link["up"] else "without a link"
    return f"interface {link['name']} is {how}: {' '.join([*link['own4'], *link['own6']]) or 'no address'}"


def _places(name: str, was: Any, has: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two plain values differ."""
    if isinstance(was, dict) and isinstance(has, dict) and was.keys() == has.keys():
        for key in was:
            yield from _places(f"{name}.{key}" if name else key, was[key], has[key])
    elif isinstance(was, list) and isinstance(has, list) and len(was) == len(has):
        for number, (one, other) in enumerate(zip(was, has, strict=True)):
            yield from _places(f"{name}[{number}]", one, other)
    elif was != has:
        yield name, was, has
