"""``carp:1@em0:…`` as the endpoint of real servers on two hosts, with a client that makes a request every 20 ms."""

from __future__ import annotations

import time

from carptwist.lab.scene import Scene
from tests.lab.twisted_support import Asker, TwistedTestCase

#: An orderly handover, as the client sees it.
GAP_SECONDS = 0.15
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
        print(f"orderly gap {gap * 1000:.0f} ms, uncertainty {scene.uncertainty(at) * 1000:.0f} ms")

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
        print(f"crash {taken:.3f}, uncertainty {scene.uncertainty(first) * 1000:.0f} ms")
        self.assertLessEqual(taken, 3 + 100 / 256 + CRASH_SECONDS + scene.uncertainty(first))
