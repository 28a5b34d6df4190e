"""No pass phrase, nor anything that is made of one, is in what the daemon and carpctl say or write."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from tests.lab.support import SceneTestCase, configuration
from tests.lab.test_carpctl import carpctl

#: One of the configuration, one that is given at run time, one that is too long, and one with blanks.
CONFIGURED, GIVEN, LONG, BLANK = "c0nfigured-s3cret", "g1ven-s3cret", "t00-l0ng-a-s3cret-for-a-key", "b1ank s3cret"


def traces(phrase: str) -> list[str]:
    """How a phrase, its key, a digest of it or a part that gives it away would show."""
    octets = phrase.encode()
    key = octets[:20].ljust(20, b"\0")
    shown = [phrase, phrase[: len(phrase) * 2 // 3], octets.hex(), base64.b64encode(octets).decode().rstrip("=")]
    shown += [key.hex(), *(hashlib.new(name, octets).hexdigest() for name in ("sha1", "md5", "sha256"))]
    return [*shown, *(word for word in phrase.split() if len(word) > 3)]


class SecretTests(SceneTestCase):
    """Two daemons that have different phrases for a while, and everything that can be asked of one."""

    def test_nothing_shows_a_phrase(self) -> None:
        """Neither an output, nor a complaint, nor the log at its most talkative, nor a file in the state directory."""
        scene = self.scene(judged=False)
        knobs = ["log = 7"]
        scene.daemon("a", configuration(phrase=CONFIGURED, knobs=knobs))
        scene.daemon("b", configuration(phrase=CONFIGURED, knobs=knobs, advskew=100))
        scene.await_master("a")
        said = []
        for words in (
            ("ifconfig", "em0", "vhid", "1", "pass", GIVEN),
            ("ifconfig", "em0", "vhid", "2", "pass", GIVEN, "192.0.2.50/24"),
            ("ifconfig", "em0", "vhid", "3", "pass", LONG, "192.0.2.51/24"),
            ("ifconfig", "em0", "vhid", "3", "pass", *BLANK.split(), "192.0.2.51/24"),
            ("ifconfig", "carp0", "vhid", "3", "pass", GIVEN, "192.0.2.51/24"),
            ("ifconfig", "em0", "vhid", "3", "pass", GIVEN, "192.0.2.1/24"),
            ("ifconfig", "em0", "pass", GIVEN),
            ("ifconfig", "em0"),
            ("ifconfig", "--json"),
            ("status",),
            ("status", "--json"),
            ("sysctl", "-a"),
            ("explain", "1@em0"),
            ("explain", "--json", "1@em0"),
            ("plan",),
            ("plan", "--json"),
            ("maintenance", "on", "--force"),
            ("maintenance", "off"),
            ("reload",),
            ("events",),
            ("events", "--json"),
            ("version", "--json"),
        ):
            code, out, complaint = carpctl(scene, *words)
            self.assertIn(code, (0, 1, 2), words)
            said.append((" ".join(words[:3]), out + complaint))
            if words[1:2] == ("em0",) and GIVEN in words and len(said) == 1:
                scene.wait(lambda: bool(scene.daemons["b"].status()["stats"]["badauth"]), "b refuses what a signs")
        self.assertIn("bad digest", scene.daemons["b"].text())
        for name, daemon in scene.daemons.items():
            daemon.stop()
            said.append((f"log of {name}", daemon.text()))
            for path in Path(scene.hosts[name].directory, "state").rglob("*"):
                if path.is_file():
                    said.append((str(path), path.read_text(errors="replace")))
        self.assertTrue(any("events" in what for what, _ in said))
        for what, text in said:
            for phrase in (CONFIGURED, GIVEN, LONG, BLANK):
                for trace in traces(phrase):
                    self.assertNotIn(trace, text, what)
