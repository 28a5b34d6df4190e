"""``carp:1@em0:…`` as the endpoint of real servers on two hosts, with a client that makes a request every 20 ms."""

from __future__ import annotations

import time

from carptwist.lab.scene import Scene
from tests.lab.support import configuration
from tests.lab.twisted_support import Asker, TwistedTestCase

HEALTH_PORT = 8001

#: An orderly handover, as the client sees it.
GAP_SECONDS = 0.15
#: A handover that the successor decides; the former master learns of it from its advertisement.
PREEMPTION_SECONDS = 0.5
#: Beyond the protocol's bound, after a crash.
CRASH_SECONDS = 0.1


class WebTests(TwistedTestCase):
    """``twist web`` on a and b."""

    def start(self) -> tuple[Scene, Asker]:
        scene = self.scene()
        self.start_pair(scene)
        self.served = self.serve_names(scene)
        asker = Asker(scene)
        scene.wait(lambda: len(asker.answered()) > 20, "the client is answered")
        self.assertEqual(asker.last_text(), "a")
        return scene, asker

    def test_an_orderly_stop_loses_no_request(self) -> None:
        """What a has let in, a answers; and b goes on at once."""
        scene, asker = self.start()
        began = time.time()
        scene.daemons["a"].stop()
        scene.wait(lambda: asker.last_text() == "b", "b answers")
        scene.wait(lambda: len(asker.answered(time.time() - 0.5)) > 10, "b goes on answering")
        gap, at = asker.gap(began)
        self.assertLessEqual(gap, GAP_SECONDS + scene.uncertainty(at))
        self.assertEqual(asker.lost(), [])

    def test_a_crash(self) -> None:
        """Costs what the protocol takes, and little more."""
        scene, asker = self.start()
        began = time.time()
        self.served["a"].kill()
        self.crash(scene, "a")
        scene.wait(lambda: asker.last_text() == "b", "b answers")
        last = scene.watcher.last("a", family=4)
        assert last is not None
        first = min(each.ended for each in asker.answered(began) if each.text == "b")
        taken = first - last.at
        self.assertLessEqual(taken, 3 + 100 / 256 + CRASH_SECONDS + scene.uncertainty(first))

    def test_a_master_that_comes_back(self) -> None:
        """Takes the address, and the requests with it."""
        scene, asker = self.start()
        scene.daemons["a"].stop()
        scene.wait(lambda: asker.last_text() == "b", "b answers")
        began = time.time()
        scene.daemons["a"].start()
        scene.wait(lambda: asker.last_text() == "a", "a answers")
        gap, at = asker.gap(began)
        self.assertLessEqual(gap, PREEMPTION_SECONDS + scene.uncertainty(at))

    def test_a_daemon_that_is_killed(self) -> None:
        """Nobody listens any more on its host, though the server lives; b has all that comes later."""
        scene, asker = self.start()
        scene.daemons["a"].kill()
        scene.wait(lambda: asker.last_text() == "b", "b answers")
        self.assertTrue(self.served["a"].running)
        self.served["a"].expect("1@em0 is not served here any more")

    def test_a_server_that_dies(self) -> None:
        """Alone, on a host that lives: the daemon asks it for a page where it listens whoever is master, and gives the
        address away for as long as there is none."""
        scene = self.scene()
        served = self.serve_names(scene, more=("--listen", f"tcp:{HEALTH_PORT}:interface=127.0.0.1"))
        check = f"[check web]\nurl = http://127.0.0.1:{HEALTH_PORT}/who\ninterval = 1\nfall = 2\ndemote = 240\n"
        self.start_pair(scene, a=configuration(advskew=0, more=check))
        asker = Asker(scene)
        scene.wait(lambda: asker.last_text() == "a", "a answers")
        served["a"].kill()
        scene.wait(lambda: asker.last_text() == "b", "b answers")
