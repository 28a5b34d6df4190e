"""The examples of Twisted programs, on two hosts: one is killed or stopped, and requests go on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from carptwist.lab.children import Child
from carptwist.lab.scene import SHARED4, Scene
from tests.lab.twisted_support import EXAMPLES, PORT, Asker, TwistedTestCase

ZONE = """\
$ORIGIN example.com.
$TTL 60
@ IN SOA ns.example.com. admin.example.com. 1 3600 600 86400 60
@ IN NS ns.example.com.
ns IN A {address}
who IN TXT {name}
"""
#: A page that takes a second: when its first octet came, and what it was.
SLOW = """
import sys, time, urllib.request
print(urllib.request.urlopen(f"http://{sys.argv[1]}:{sys.argv[2]}/slow", timeout=10).read().decode(), time.time())
"""
#: In which a host that was not demoted would have taken the address again.
INTERVALS_SECONDS = 2.5


class NamesTests(TwistedTestCase):
    """A name server."""

    def test_questions_are_answered_whoever_dies(self) -> None:
        """Over UDP and TCP."""
        scene = self.scene()
        self.start_pair(scene)
        for name in "ab":
            self.names(scene, name)
        askers = [Asker(scene, "udp"), Asker(scene, "tcp")]
        for asker in askers:
            scene.wait(lambda asker=asker: asker.last_text() == "a", "a answers")  # type: ignore[misc]
        self.crash(scene, "a")
        for asker in askers:
            scene.wait(lambda asker=asker: asker.last_text() == "b", "b answers")  # type: ignore[misc]

    def names(self, scene: Scene, name: str) -> Child:
        zone = scene.hosts[name].directory / "names.zone"
        zone.write_text(ZONE.format(address=SHARED4, name=name))
        return self.twistd(
            scene,
            name,
            EXAMPLES / "names.py",
            NAMES_PORT=str(PORT),
            NAMES_ZONE=str(zone),
            NAMES_CONTROL=self.control(scene, name),
        )


class MailTests(TwistedTestCase):
    """A mail exchanger, with strports."""

    def test_no_mail_that_was_accepted_is_lost(self) -> None:
        """When the master's daemon is stopped, nor when it dies, with senders all the time; each mail is somewhere."""
        scene = self.scene()
        self.start_pair(scene)
        spools = {name: self.mail(scene, name) for name in "ab"}
        asker = Asker(scene, "mail")
        scene.wait(lambda: len(asker.answered()) > 10, "a accepts mail")
        scene.daemons["a"].stop()
        scene.wait(lambda: len(numbers(spools["b"])) > 10, "b accepts mail")
        scene.daemons["a"].start()
        began = time.time()
        scene.await_master("a", since=began)
        scene.wait(lambda: len(asker.answered(began)) > 10, "a accepts mail again")
        self.crash(scene, "a")
        crashed = time.time()
        scene.wait(lambda: len(asker.answered(crashed)) > 10, "b accepts mail again")
        accepted = {each.text for each in asker.answered()}
        self.assertLessEqual(accepted, numbers(spools["a"]) | numbers(spools["b"]))

    def mail(self, scene: Scene, name: str) -> Path:
        spool = scene.hosts[name].directory / "spool"
        spool.mkdir()
        listen = rf"carp:1@em0:tcp\:{PORT}\:interface={SHARED4}:control={self.control(scene, name)}:drain=1"
        self.twistd(scene, name, EXAMPLES / "mail.py", MAIL_LISTEN=listen, MAIL_SPOOL=str(spool))
        return spool


def numbers(spool: Path) -> set[str]:
    """Of all mails that are there."""
    return {path.read_text().partition("number ")[2].split()[0] for path in spool.glob("*.mail")}


class PagesTests(TwistedTestCase):
    """A web server that is updated, host by host."""

    def test_a_server_that_is_updated(self) -> None:
        """What it has begun it answers, with the address here; the other host goes on at once, and serves until the
        server is back, however long that is."""
        scene = self.scene()
        self.start_pair(scene)
        serving = {name: self.pages(scene, name) for name in "ab"}
        asker = Asker(scene)
        scene.wait(lambda: asker.last_text() == "a", "a answers")
        slow = scene.client.run([sys.executable, "-c", SLOW, SHARED4, str(PORT)], log="slow.log")
        serving["a"].expect("/slow is asked for")
        began = time.time()
        self.assertEqual(serving["a"].stop(), 0)
        slow.wait()
        name, at = slow.text().split()
        self.assertEqual(name, "a")
        scene.wait(lambda: asker.last_text() == "b", "b answers")
        first = min(each.ended for each in asker.answered(began) if each.text == "b")
        self.assertLess(first - float(at), 0.15 + scene.uncertainty(first))
        self.assertEqual(asker.lost(), [])
        scene.wait(lambda: len(asker.answered(first + INTERVALS_SECONDS)) > 10, "b goes on answering")
        self.assertEqual({each.text for each in asker.answered(first)}, {"b"})
        serving["a"] = self.pages(scene, "a")
        scene.wait(lambda: asker.last_text() == "a", "a answers again")
        self.assertEqual(scene.daemons["a"].status()["ledger"], [])

    def pages(self, scene: Scene, name: str) -> Child:
        listen = rf"carp:1@em0:tcp\:{PORT}\:interface={SHARED4}:control={self.control(scene, name)}:drain=2"
        return self.python(scene, name, EXAMPLES / "pages.py", listen, self.control(scene, name), name)
