"""One connected LAN ends with exactly one MASTER per vhid, within a bound that follows from the configuration.

The daemon's own protocols, elections and responders run on simulated hosts; the bound, and what clusters are drawn, is
in :mod:`tests.properties.clusters`.
"""

from __future__ import annotations

from random import Random

import pytest

from carptwist.election.state import State
from carptwist.simulation.conditions import Conditions
from carptwist.simulation.history import Kind
from carptwist.simulation.host import Nature, SimulatedHost
from carptwist.simulation.world import World
from tests.properties.clusters import JITTER_SECONDS, Cluster, Member, draw, lose

#: Each run is of so many clusters; a failure names the seed.
BATCHES = 8
CLUSTERS = 30
#: How long the cluster is watched after its bound has passed.
WATCHED_SECONDS = 15.0


def start(host: SimulatedHost, member: Member) -> None:
    host.start()
    assert host.node is not None
    if member.demotion:
        host.node.roster.demote("operator", member.demotion, "as drawn")


def converge(seed: int) -> tuple[World, Cluster, float]:
    """Run a cluster: it starts, perhaps under conditions that no protocol bears, and then bearable ones hold.

    The value has the time from which on they did.
    """
    random = Random(seed)
    cluster = draw(random)
    with World(seed) as world:
        for member in cluster.members:
            host = world.add(member.name, member.configuration, {"em0": "lan"}, Nature(jitter=JITTER_SECONDS))
            world.timeline.callLater(member.starts, start, host, member)
        lan = world.segments["lan"]
        if random.random() < 0.4:
            lan.conditions = Conditions(loss=random.uniform(0.2, 1.0), jitter=0.01, duplicate=0.1)
            world.run(10)
            lan.heal()
        else:
            world.run(max(member.starts for member in cluster.members))
        began = world.now
        lose(lan, cluster, random)
        world.run(max(map(cluster.bound, cluster.vhids)) + WATCHED_SECONDS)
        world.finish()
    return world, cluster, began


@pytest.mark.parametrize("batch", range(BATCHES))
def test_one_connected_lan_ends_with_one_master(batch: int) -> None:
    """Any number of hosts, any configuration, any loss below the master-down timeout: after the bound there is one
    MASTER per vhid, it owns the addresses alone, and so it stays; no daemon has logged an error."""
    for seed in range(batch * CLUSTERS, (batch + 1) * CLUSTERS):
        world, cluster, began = converge(seed)
        assert world.history.of(Kind.BUG) == [], f"seed {seed}"
        for vhid in cluster.vhids:
            states = [host.state(f"{vhid}@em0") for host in world.hosts.values()]
            assert states.count(State.MASTER) == 1, f"seed {seed}, vhid {vhid}: {states}"
            assert states.count(State.BACKUP) == len(states) - 1
            faults = world.ownerships["lan", vhid].faults
            late = [fault for fault in faults if fault.end > began + cluster.bound(vhid)]
            assert late == [], f"seed {seed}, vhid {vhid}"


def test_the_clusters_are_of_every_sort() -> None:
    """What is drawn has what the property is about: ties, losses, demotions of both signs, every family and dialect."""
    drawn = [draw(Random(seed)) for seed in range(BATCHES * CLUSTERS)]
    configs = [config for each in drawn for member in each.members for config in member.configuration.vhids]
    assert {len(each.members) for each in drawn} == set(range(1, 9))
    assert {config.dialect.value for config in configs} == {"freebsd", "openbsd", "ucarp"}
    assert {tuple(address.version for address in config.addresses) for config in configs} == {(4,), (6,), (4, 6)}
    assert {config.advbase for config in configs} == {0, 1, 2, 3}
    demotions = [member.demotion for each in drawn for member in each.members]
    assert min(demotions) < 0 < max(demotions)
    assert sum(any(each.losses.values()) for each in drawn) > 50


@pytest.mark.parametrize("demoted", ["a", "b"])
def test_a_negative_demotion_makes_no_second_master(demoted: str) -> None:
    """FreeBSD after its PR 259528: A has advskew 0, B has 100, both preempt, and one of them has a demotion of -1."""
    from tests.simulation.test_world import configuration

    with World(1) as world:
        for name, advskew in (("a", 0), ("b", 100)):
            world.add(name, configuration(advskew, preempt=True), {"em0": "lan"})
            world.hosts[name].start()
        world.run(10)
        node = world.hosts[demoted].node
        assert node is not None
        node.roster.demote("sysctl", -1, "net.inet.carp.demotion = -1")
        world.run(100)
        world.finish()
    assert world.ownerships["lan", 1].owners == ("a",)
    assert [fault.begin for fault in world.ownerships["lan", 1].faults] == [0.0]
