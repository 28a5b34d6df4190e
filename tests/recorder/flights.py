"""Flights of simulated hosts, with all that can happen to them, drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from carptwist.election.state import State
from carptwist.node import Node
from carptwist.simulation.history import Kind
from carptwist.simulation.host import Nature, SimulatedHost
from carptwist.simulation.world import World
from tests.properties.clusters import JITTER_SECONDS, draw

ROOM = 1 << 20
STEPS = 25


def fly(seed: int, *, octets: int = ROOM) -> World:
    """Hosts that start, crash, are stopped and killed, lose their links, and are asked for all sorts of things."""
    random = Random(seed)
    cluster = draw(random)
    with World(seed, recorded=octets) as world:
        group = "edge" if seed % 2 else None
        for member in cluster.members:
            vhids = tuple(replace(vhid, group=group) for vhid in member.configuration.vhids)
            configuration = replace(member.configuration, vhids=vhids)
            world.add(member.name, configuration, {"em0": "lan"}, Nature(jitter=JITTER_SECONDS)).start()
        hosts = list(world.hosts.values())
        for _ in range(STEPS):
            world.run(random.uniform(0.1, 8))
            host = random.choice(hosts)
            random.choice(_HAPPENINGS)(host, random)
        world.run(20)
    assert world.history.of(Kind.BUG) == [], f"seed {seed}"
    return world


def _ask(request: Callable[[Node, Random], object]) -> Callable[[SimulatedHost, Random], object]:
    """Ask the daemon for something; where none runs, start one."""

    def ask(host: SimulatedHost, random: Random) -> None:
        if host.running:
            host.ask(lambda node: request(node, random))
        else:
            host.start()

    return ask


def _change(node: Node, random: Random) -> None:
    for vhost in node.roster.all()[:1]:
        node.change(replace(vhost.config, advskew=random.randint(0, 200))).addErrback(lambda _: None)


def _remove(node: Node, random: Random) -> None:
    for vhost in node.roster.all()[1:2]:
        config = vhost.config
        removing = node.remove(vhost.name)
        if random.random() < 0.5:
            removing.addCallback(lambda _, config=config: node.add(config))
        removing.addErrback(lambda _: None)


def _state(node: Node, random: Random) -> None:
    for vhost in node.roster.all()[:1]:
        vhost.asked(random.choice([State.MASTER, State.BACKUP]))


def _trouble(host: SimulatedHost, random: Random) -> None:
    for plane in host.system.planes.values() if host.system is not None else ():
        plane.trouble = random.choice([None, "no room for it"])


def _fail_sending(host: SimulatedHost, random: Random) -> None:
    host.fail_sending("em0", [OSError(105, "No buffer space available")] * random.randint(1, 8))


def _stall(host: SimulatedHost, random: Random) -> None:
    host.stall()
    host._timeline.callLater(random.uniform(0.1, 6), host.resume)


_HAPPENINGS: list[Callable[[SimulatedHost, Random], object]] = [
    lambda host, random: host.start(),
    lambda host, random: host.stop(),
    lambda host, random: host.kill(),
    lambda host, random: host.crash(),
    lambda host, random: host.set_carrier("em0", False),
    lambda host, random: host.set_carrier("em0", True),
    lambda host, random: host.set_up("em0", random.random() < 0.7),
    _trouble,
    _fail_sending,
    _stall,
    _ask(_change),
    _ask(_remove),
    _ask(_state),
    _ask(lambda node, random: node.roster.demote("op", random.randint(0, 240), "drawn", random.choice([None, 3.0]))),
    _ask(lambda node, random: node.roster.undemote("op", "drawn")),
    _ask(lambda node, random: node.roster.set_last_resort(random.random() < 0.5)),
    _ask(lambda node, random: node.roster.set_knobs(replace(node.roster.knobs, preempt=random.random() < 0.5))),
]
