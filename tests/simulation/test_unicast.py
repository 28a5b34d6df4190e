"""Hosts that are configured for unicast, in a world whose addresses are made up."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from carptwist.config.reader import read
from carptwist.election.state import State
from carptwist.simulation.world import World

EXAMPLES = Path(__file__).parents[2] / "conf" / "examples" / "unicast"


class UnicastTests(SynchronousTestCase):
    """The shipped example."""

    def test_hosts_speak_to_the_groups_instead(self) -> None:
        """One of them is MASTER, and the other one takes over when it crashes."""
        with World(7) as world:
            hosts = []
            for name in ("a", "b"):
                text = (EXAMPLES / f"{name}.ini").read_text()
                world.add(name, read(text, f"{name}.ini", str).configuration, {"em0": "lan0"})
                hosts.append(world.hosts[name])
                hosts[-1].start()
            a, b = hosts
            world.run(10)
            self.assertEqual((a.state("1@em0"), b.state("1@em0")), (State.MASTER, State.BACKUP))
            a.crash()
            world.run(4)
            self.assertIs(b.state("1@em0"), State.MASTER)
