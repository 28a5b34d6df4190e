"""The whole state of a node as a plain value, and a node that has it.

It can be told while the node is quiet: no plane is at work, nobody waits for anything. Of what a node has, each thing
is either in a keyframe, or follows from what is there, or decides nothing; :data:`KNOWN` says which, and a test holds
that it is complete. Left out are counters of refused frames, whom an advertisement was recognised as, and what was said
in the log lately: a replay from a keyframe on can repeat a line that was moderated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple
from typing import Any

from carptwist.config.schema import Knobs
from carptwist.election.bearing import Bearing
from carptwist.election.demotion import Entry
from carptwist.election.effects import Advertise
from carptwist.election.group import Group, Order, Phase
from carptwist.election.state import State
from carptwist.interfaces import Hearing, Will
from carptwist.node import Node
from carptwist.protocols.destinations import Destinations
from carptwist.protocols.resolution import _Neighbour
from carptwist.protocols.responder import CONFLICT_SECONDS, Responder
from carptwist.protocols.voice import Voice
from carptwist.recorder import plain
from carptwist.recorder.blanking import blanked
from carptwist.vhost.agenda import Agenda
from carptwist.vhost.alarm import Alarm
from carptwist.vhost.attachment import Attachment
from carptwist.vhost.peers import Peer
from carptwist.vhost.tenure import Tenure
from carptwist.vhost.virtualhost import VirtualHost

Plain = Any

_BLANK_MAC = bytes(6)


def is_quiet(node: Node) -> bool:
    """Whether a keyframe can be taken now."""
    return not any(
        not vhost.agenda.is_idle or {"start", "stop", "memory"} & vhost._obstacles.keys() for vhost in node.roster.all()
    )


def wanted(node: Node, interface: str) -> Iterable[bytes]:
    """The packed addresses of which a node wants to know the MACs on an interface: what is heard of them changes its
    state. Asked for every ARP packet."""
    attachment = node._attachments.get(interface)
    voice = None if attachment is None else attachment._voice
    return voice._advertisements.destinations.resolution._neighbours if isinstance(voice, Voice) else ()


def taken(node: Node, now: float) -> Plain:
    """All of the state of a node that is quiet."""
    roster = node.roster
    return {
        "knobs": plain.of_knobs(roster.knobs),
        "last_resort": roster.last_resort,
        "ledger": [list(entry) for entry in roster.ledger.entries],
        "expiry": _of_alarm(roster._expiry),
        "vhosts": [_of_vhost(vhost) for vhost in roster.all()],
        "attachments": [_of_attachment(each, now) for each in node._attachments.values()],
        "groups": {name: _of_group(group) for name, group in node.groups._groups.items()},
        "review": _of_alarm(node.groups._deadline),
    }


def arm_anew(node: Node) -> None:
    """Ask for every timer again, in an order that follows from the keyframe: that gives them their numbers."""
    for deadline in _alarms(node):
        deadline.stand(*deadline.standing)


def restore(node: Node, keyframe: Plain) -> None:
    """Give a node that is new what another one had.

    Its host answers whatever is asked meanwhile, and what is sent, or asked of a plane, reaches nobody.
    """
    roster = node.roster
    roster.knobs = Knobs(**keyframe["knobs"])
    roster.last_resort = keyframe["last_resort"]
    for entry in keyframe["ledger"]:
        roster.ledger._entries[entry[0]] = Entry(*entry)
    for each in keyframe["vhosts"]:
        node._introduce(plain.to_config(each["config"]))
    for each, vhost in zip(keyframe["vhosts"], roster.all(), strict=True):
        _restore_vhost(vhost, each)
    for each in keyframe["attachments"]:
        _restore_attachment(node._attachments[each["link"]["name"]], each)
    for each, vhost in zip(keyframe["vhosts"], roster.all(), strict=True):
        vhost.connection.voice = node._attachments[vhost.config.interface]._voice
        vhost.agenda = Agenda(vhost.custody.failed)  # what was asked of the plane on the way is left undone
        _restore_alarm(vhost._deadline, each["deadline"])
        _restore_alarm(vhost.custody._retry, each["retry"])
        _restore_alarm(vhost.custody.tenure._again, each["tenure"]["again"])
        _restore_alarm(vhost.speech._again, each["again"])
    _restore_alarm(roster._expiry, keyframe["expiry"])
    node.groups._groups = {name: _to_group(group) for name, group in keyframe["groups"].items()}
    _restore_alarm(node.groups._deadline, keyframe["review"])


def _alarms(node: Node) -> Iterator[Alarm]:
    yield node.roster._expiry
    for vhost in node.roster.all():
        yield vhost._deadline
        yield vhost.custody._retry
        yield vhost.custody.tenure._again
        yield vhost.speech._again
    for attachment in node._attachments.values():
        yield attachment._retry
        voice = attachment._voice
        if isinstance(voice, Voice):
            yield voice._advertisements.destinations.resolution._deadline
    yield node.groups._deadline


def _of_alarm(alarm: Alarm) -> Plain:
    return list(alarm.standing)


def _restore_alarm(alarm: Alarm, standing: Plain) -> None:
    when, wakes_at = standing
    alarm.stand(when, wakes_at)


# Virtual hosts


def _of_vhost(vhost: VirtualHost) -> Plain:
    machine, sending, peers = vhost.machine, vhost.sending, vhost.peers
    return {
        "config": plain.of_config(vhost.config),
        "order": [vhost.order.bearing.value, vhost.order.why],
        "counter": vhost.counter._last,
        "anew": vhost.counter._anew,
        "reserved": sorted(vhost.counter._reserved.items()),
        "holds": vhost.custody.held,
        "tenure": _of_tenure(vhost.custody.tenure),
        "transitions": vhost.transitions,
        "received": vhost.received,
        "obstacles": list(vhost._obstacles.items()),
        "left": sorted(vhost.speech._left.items()),
        "unsaid": None if vhost.speech._unsaid is None else list(astuple(vhost.speech._unsaid)),
        "again": _of_alarm(vhost.speech._again),
        "retry_seconds": vhost.custody._retry_seconds,
        "link": plain.of_link(vhost.connection.link),
        "sending": [sending.sent, sending.errors, sending._errors_in_a_row, sending._sends_in_a_row, sending._trouble],
        "machine": {
            "preempt": machine.preempt,
            "last_resort": machine.last_resort,
            "bearing": machine.bearing.value,
            "abandoned": machine._abandoned,
            "state": machine.state.value,
            "reason": machine.reason,
            "since": machine.since,
            "demotion": machine._demotion,
            "master_down": sorted(machine._master_down.items()),
            "advertise_at": machine._advertise_at,
            "announce_at": list(machine._announce_at),
            "answered_at": machine._answered_at,
            "lapses_at": machine._lapses_at,
            "listens_until": machine._listens_until,
        },
        "peers": [_of_peer(peer) for peer in peers.all()],
        "family_heard": sorted(peers._family_heard.items()),
        "deadline": _of_alarm(vhost._deadline),
        "retry": _of_alarm(vhost.custody._retry),
    }


def _restore_vhost(vhost: VirtualHost, state: Plain) -> None:
    machine, sending, peers = vhost.machine, vhost.sending, vhost.peers
    bearing, why = state["order"]
    vhost.order = Order(Bearing(bearing), why)
    vhost.counter._last = state["counter"]
    vhost.counter._anew = state["anew"]
    vhost.counter._reserved = dict(state["reserved"])
    vhost.custody.held = state["holds"]
    _restore_tenure(vhost, state["tenure"])
    vhost.transitions = state["transitions"]
    vhost.received = state["received"]
    vhost._obstacles = dict(map(tuple, state["obstacles"]))
    vhost.speech._left = dict(map(tuple, state["left"]))
    vhost.speech._unsaid = None if state["unsaid"] is None else Advertise(*state["unsaid"])
    vhost.custody._retry_seconds = state["retry_seconds"]
    vhost.connection.link = plain.to_link(state["link"])
    sending.sent, sending.errors, sending._errors_in_a_row, sending._sends_in_a_row, sending._trouble = state["sending"]
    rules = state["machine"]
    machine.preempt = rules["preempt"]
    machine.last_resort = rules["last_resort"]
    machine.bearing = Bearing(rules["bearing"])
    machine._abandoned = rules["abandoned"]
    machine.state = State(rules["state"])
    machine.reason = rules["reason"]
    machine.since = rules["since"]
    machine._demotion = rules["demotion"]
    machine._reckon()
    machine._master_down = dict(map(tuple, rules["master_down"]))
    machine._advertise_at = rules["advertise_at"]
    machine._announce_at = list(rules["announce_at"])
    machine._answered_at = rules["answered_at"]
    machine._lapses_at = rules["lapses_at"]
    machine._listens_until = rules["listens_until"]
    for each in state["peers"]:
        peer = _to_peer(each)
        peers._by_source[peer.hearing.source] = peer
    peers.last = max(peers.all(), key=lambda peer: peer.last_heard, default=None)
    peers._family_heard = dict(map(tuple, state["family_heard"]))


def _of_tenure(tenure: Tenure) -> Plain:
    return {
        "until": tenure._until,
        "advbase": tenure._advbase,
        "refreshable_until": tenure._refreshable_until,
        "refreshed": tenure._refreshed,
        "again": _of_alarm(tenure._again),
    }


def _restore_tenure(vhost: VirtualHost, state: Plain) -> None:
    tenure = vhost.custody.tenure
    if state["until"] < float("inf"):
        tenure.begin(Will((), 0, ()))  # so that its guard knows whom to tell
    tenure._until = state["until"]
    tenure._advbase = state["advbase"]
    tenure._refreshable_until = state["refreshable_until"]
    tenure._refreshed = state["refreshed"]


def _of_peer(peer: Peer) -> Plain:
    hearing = peer.hearing
    return {
        **hearing._asdict(),
        "source": hearing.source.hex(),
        "implementation": "",
        "heard": peer.heard,
        "last_heard": peer.last_heard,
    }


def _to_peer(plain: Plain) -> Peer:
    fields = dict(plain)
    heard, last_heard = fields.pop("heard"), fields.pop("last_heard")
    fields["source"] = bytes.fromhex(fields["source"])
    peer = Peer(last_heard, Hearing(**fields))
    peer.heard = heard
    return peer


# Groups


def _of_group(group: Group) -> Plain:
    return {
        "phase": group.phase.value,
        "deadline": group.deadline,
        "decider": group._decider,
        "was_able": group._was_able,
        "able_since": group._able_since,
        "losses": group._losses,
        "lost_at": group._lost_at,
    }


def _to_group(state: Plain) -> Group:
    group = Group()
    group.phase = Phase(state["phase"])
    group.deadline = state["deadline"]
    group._decider = state["decider"]
    group._was_able = state["was_able"]
    group._able_since = state["able_since"]
    group._losses = state["losses"]
    group._lost_at = state["lost_at"]
    return group


# Interfaces


def _of_attachment(attachment: Attachment, now: float) -> Plain:
    voice = attachment._voice
    return {
        "link": plain.of_link(attachment._link),
        "waiting": attachment.waiting,
        "retry": _of_alarm(attachment._retry),
        "voice": _of_voice(voice, now) if isinstance(voice, Voice) else None,
    }


def _restore_attachment(attachment: Attachment, state: Plain) -> None:
    attachment._unwatch = attachment._monitor.watch(attachment.interface, attachment._changed)
    attachment._link = plain.to_link(state["link"])
    attachment.waiting = state["waiting"]
    _restore_alarm(attachment._retry, state["retry"])
    if state["voice"] is not None:
        voice = attachment._open_voice(attachment._link)
        assert isinstance(voice, Voice)
        attachment._voice = voice
        voice.link_changed(attachment._link)
        _restore_voice(voice, state["voice"])


def _of_voice(voice: Voice, now: float) -> Plain:
    destinations = voice._advertisements.destinations
    resolution = destinations.resolution
    return {
        "neighbours": [
            [address.hex(), each.source.hex(), each.mac.hex(), each.unanswered, each.asked_at, each.due]
            for address, each in resolution._neighbours.items()
        ],
        "resolution": _of_alarm(resolution._deadline),
        "unsent": [
            [peer.hex(), vhid, blanked(frame(_BLANK_MAC)).hex()]
            for peer, unsent in destinations._unsent.items()
            for vhid, (_, frame) in unsent.items()
        ],
        "defended": [_defended(each, now) for each in _responders(voice)],
    }


def _responders(voice: Voice) -> tuple[Responder, Responder]:
    return voice._arp, voice._neighbor


def _defended(responder: Responder, now: float) -> Plain:
    """The addresses that were defended so lately that they are not defended again yet."""
    return [
        [address.hex(), at]
        for address, (at, _) in responder._defence._admitted.items()
        if isinstance(address, bytes) and now - at < CONFLICT_SECONDS
    ]


def _restore_voice(voice: Voice, state: Plain) -> None:
    destinations: Destinations = voice._advertisements.destinations
    resolution = destinations.resolution
    for address, source, mac, unanswered, asked_at, due in state["neighbours"]:
        neighbour = resolution._neighbours[bytes.fromhex(address)] = _Neighbour(bytes.fromhex(source), due)
        neighbour.mac = bytes.fromhex(mac)
        neighbour.unanswered, neighbour.asked_at = unanswered, asked_at
    _restore_alarm(resolution._deadline, state["resolution"])
    for peer, vhid, frame in state["unsent"]:
        behind = bytes.fromhex(frame)[len(_BLANK_MAC) :]
        vhost = voice._advertisements._vhosts[vhid]
        unsent = destinations._unsent.setdefault(bytes.fromhex(peer), {})
        unsent[vhid] = (vhost.config, lambda mac, behind=behind: mac + behind)  # type: ignore[misc]
    for responder, addresses in zip(_responders(voice), state["defended"], strict=True):
        for address, at in addresses:
            responder._defence._admitted[bytes.fromhex(address)] = (at, 0)
