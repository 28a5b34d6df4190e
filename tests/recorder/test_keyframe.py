"""A keyframe has all of the state that anything follows from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from carptwist.election.group import Group
from carptwist.protocols.voice import Voice
from carptwist.recorder import keyframe
from carptwist.simulation.world import World
from tests.properties.clusters import draw

#: What each object of a node has: in a keyframe, or (in brackets) following from what is, or deciding nothing.
KNOWN = {
    "Node": "roster groups _attachments (_reactor _system _read _prepare _recollections _rounds _guard last_words)",
    "Roster": "knobs ledger last_resort _expiry _by_interface "
    "(counters surroundings room _clock _observers _heeding _witnesses _tenants)",
    "Ledger": "_entries",
    "VirtualHost": "config order counter transitions received machine peers sending connection _obstacles _deadline "
    "custody speech "
    # Being at work is not being quiet.
    "(name shared plane _roster _clock agenda tenants) "
    # For people: what was refused, disputed and said.
    "(conflicts replays refusals turned_away _outlook) "
    # Answered from the record.
    "(replay)",
    "Custody": "held tenure _retry _retry_seconds (_vhost _plane _clock)",
    "Connection": "link voice (_vhost _roster _outlook)",
    "Speech": "_left _unsaid _again (until _vhost _clock)",
    "Machine": "settings preempt bearing state reason since last_resort _abandoned _demotion _master_down "
    "_advertise_at _announce_at "
    "_answered_at _lapses_at _listens_until (effective_advskew demote pace lease _interval _limit _timeout)",
    "Groups": "_groups _deadline (_roster _clock _unobserve _stopped)",
    "Group": "phase deadline _decider _was_able _able_since _losses _lost_at",
    "Counter": "_last _anew _reserved (_draw)",
    "Peers": "_by_source _family_heard (last)",
    "SendAccount": "sent errors _errors_in_a_row _sends_in_a_row _trouble (_name _interface _roster)",
    "Tenure": "_again _until _advbase _refreshable_until _refreshed (_name _guard _plane _clock _expires _ended)",
    "Attachment": "_voice _link _retry waiting (interface _vhosts _monitor _open_voice _clock _unwatch)",
    "Voice": "_advertisements _arp _neighbor (_ports _hush)",
    "AdvertisementProtocol": "destinations (_interface _roster _vhosts _port _authority _own _read) "
    # Whom peers were recognised as, and what was said of them.
    "(_recognitions _moderation _repetition _diagnoses)",
    "Destinations": "_unsent resolution (_interface _vhosts _put _link _plans _moderation)",
    "Resolution": "_neighbours _deadline (_interface _clock ask _resolved _own_mac _virtual)",
    "ArpProtocol": "_defence (_vhosts _balances _port overheard) (_report malformed conflicts answered)",
    "NeighborProtocol": "_defence (_vhosts _balances _port overheard _forwards) (_report malformed conflicts answered)",
    "Alarm": "_when _wakes_at (_clock _due _call)",
    "Deadline": "_when _wakes_at (_clock _due _call _pending)",
}


def attributes_of(each: Any) -> set[str]:
    """What it has, in slots or not."""
    slots = {name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())}
    return slots | set(getattr(each, "__dict__", ()))


def parts_of(world: World) -> Iterator[Any]:
    """One object of each class."""
    node = world.hosts["a"].node
    assert node is not None
    vhost = node.roster.all()[0]
    (attachment,) = node._attachments.values()
    voice = attachment._voice
    assert isinstance(voice, Voice)
    destinations = voice._advertisements.destinations
    yield from (node, node.roster, node.roster.ledger, vhost, vhost.machine, vhost.counter, vhost.peers, vhost.sending)
    yield from (
        vhost.custody,
        vhost.custody.tenure,
        vhost.connection,
        vhost.speech,
        vhost._deadline,
        vhost.speech._again,
    )
    yield from (attachment, voice, voice._advertisements, voice._arp, voice._neighbor)
    yield from (destinations, destinations.resolution, node.groups, Group())


@pytest.fixture(scope="module")
def world() -> World:
    """A host that is MASTER, and one that is not."""
    with World(recorded=1 << 20) as world:
        for name in ("a", "b"):
            world.add(name, draw(Random(1)).members[0].configuration, {"em0": "lan"}).start()
            world.run(6)
    return world


def test_nothing_is_forgotten(world: World) -> None:
    """Whoever gives one of these objects another attribute decides here, and in keyframe.py, what it is to a replay."""
    found = {type(each).__name__: attributes_of(each) for each in parts_of(world)}
    known = {name: set(text.replace("(", " ").replace(")", " ").split()) for name, text in KNOWN.items()}
    assert found.keys() == known.keys()
    for name, attributes in found.items():
        new, gone = attributes - known[name], known[name] - attributes
        assert not new, f"{name} has {new}: a keyframe has to have that too, or KNOWN says why not"
        assert not gone, f"{name} has {gone} no longer"


def test_a_quiet_node(world: World) -> None:
    """A node that runs is quiet between two inputs; one that is starting or stopping is not, nor while a plane is at
    work; and JSON can say a keyframe."""
    host = world.hosts["a"]
    assert host.node is not None
    assert keyframe.is_quiet(host.node)
    told = keyframe.taken(host.node, host.node.seconds())
    assert json.loads(json.dumps(told)) == json.loads(json.dumps(keyframe.taken(host.node, host.node.seconds())))
    (vhost,) = told["vhosts"][:1]
    assert vhost["machine"]["state"] == "MASTER"
    host.node.stop()
    assert not keyframe.is_quiet(host.node)
