"""No pass phrase, nor anything that is made of one, is in what the daemon, its verbs, its shells and its hooks say or
write: outputs, complaints, logs, events, JSON, the flight recorder, webhooks, exceptions and what is made of them."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

from carptwist.lab.scene import Scene
from carptwist.recorder.ring import parts
from carptwist.tools.carpctl import make_parser
from tests.lab.support import SceneTestCase, configuration, environment
from tests.lab.test_carpctl import CARPCTL, carpctl
from tests.lab.test_devd import read
from tests.lab.test_manhole import PROMPT, Client
from tests.lab.test_webhooks import SERVER

#: One of the configuration, one that is given at run time, one that is too long, and one with blanks.
CONFIGURED, GIVEN, LONG, BLANK = "c0nfigured-s3cret", "g1ven-s3cret", "t00-l0ng-a-s3cret-for-a-key", "b1ank s3cret"
#: Of a webhook: in its address, in a header, and what its bodies are signed with. Of a shell: what opens it.
TOKEN, HEADER, SIGNING, OPENING = "t0ken-s3cret", "h3ader-s3cret", "s1gning-s3cret", "0pening-s3cret"
PHRASES = (CONFIGURED, GIVEN, LONG, BLANK, OPENING)
SECRETS = (*PHRASES, TOKEN, HEADER, SIGNING)

#: Every verb, and what can go wrong with a phrase. The daemon's configuration is bad when ``reload`` comes first.
SAID = (
    ("ifconfig", "em0", "vhid", "2", "pass", GIVEN, "192.0.2.50/24"),
    ("ifconfig", "em0", "vhid", "3", "pass", LONG, "192.0.2.51/24"),
    ("ifconfig", "em0", "vhid", "3", "pass", *BLANK.split(), "192.0.2.51/24"),
    ("ifconfig", "carp0", "vhid", "3", "pass", GIVEN, "192.0.2.51/24"),
    ("ifconfig", "em0", "vhid", "3", "pass", GIVEN, "192.0.2.1/24"),
    ("ifconfig", "em0", "pass", GIVEN),
    ("ifconfig", "em0"),
    ("ifconfig", "--json"),
    ("status", "--json"),
    ("sysctl", "-a"),
    ("explain", "1@em0"),
    ("explain", "--json", "1@em0"),
    ("plan", "--json"),
    ("state", "2@em0", "backup"),
    ("demote", "5", "--owner", "me", "--reason", "a look"),
    ("undemote", "me"),
    ("sync", "begin", "states"),
    ("reload",),
    ("save", "--json"),
    ("maintenance", "on", "--force"),
    ("maintenance", "off"),
    ("events", "--json"),
    ("version", "--json"),
)


def traces(phrase: str) -> list[str]:
    """How a phrase, its key, a digest of it or a part that gives it away would show."""
    octets = phrase.encode()
    key = octets[:20].ljust(20, b"\0")
    shown = [phrase, phrase[: len(phrase) * 2 // 3], octets.hex(), base64.b64encode(octets).decode().rstrip("=")]
    shown += [key.hex(), *(hashlib.new(name, octets).hexdigest() for name in ("sha1", "md5", "sha256"))]
    return [*shown, *(word for word in phrase.split() if len(word) > 3)]


class SecretTests(SceneTestCase):
    """Two daemons that have different phrases for a while, and everything that can be asked of one."""

    def setUp(self) -> None:
        self.said: list[tuple[str, str]] = []

    def test_nothing_shows_a_phrase(self) -> None:
        """Neither in good order, nor when all sorts of things fail."""
        self.assertEqual({words[0] for words in SAID}, set(_verbs()))
        scene = self.scene(judged=False)
        directory = scene.hosts["a"].directory
        self.start(scene, directory)
        following = [self.follow(scene, *words) for words in (("events", "--follow"), ("status", "--watch"))]
        heard = read(scene, "a", directory / "devd.pipe", "devd.log")
        self.ask(scene, "ifconfig", "em0", "vhid", "1", "pass", GIVEN)
        scene.wait(lambda: bool(scene.daemons["b"].status()["stats"]["badauth"]), "b refuses what a signs")
        for words in SAID:
            self.ask(scene, *words)
        self.hang_up_with_mistakes(scene)
        self.look_from_inside(scene)
        self.assertIn("bad digest", scene.daemons["b"].text())
        for follower in following:
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(30), 130)
        for name, daemon in scene.daemons.items():
            daemon.stop()
            self.said.append((f"log of {name}", daemon.text()))
        self.said.append(("devd's pipe", heard.text()))
        self.assert_told(scene, directory)
        for what, text in self.said:
            for phrase in SECRETS:
                for trace in traces(phrase):
                    self.assertNotIn(trace, text, what)

    def start(self, scene: Scene, directory: Path) -> None:
        """a has all that writes or tells something; nobody is at its webhook yet."""
        passwd = directory / "passwd"
        made = subprocess.run(
            [sys.executable, "-m", "carptwist.tools.carptwist", "passwd", "anna"],
            input=f"{OPENING}\n",
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        passwd.touch(mode=0o600)
        passwd.write_text(made.stdout)
        more = f"""
            [webhook ops]
            url = http://127.0.0.1:8443/carp/{TOKEN}
            header = Authorization: Bearer {HEADER}
            secret = {SIGNING}
            [hook control]
            action = /bin/sh -c "set >> {directory}/hook"
            [devd]
            unix = {directory}/devd.pipe
            [sync states]
            unix = {directory}/sync.sock
            startup = 0
            [manhole]
            telnet = tcp:6023:interface=127.0.0.1
            passwd = {passwd}
        """.replace("    ", "")
        knobs = ["log = 7"]
        scene.hosts["a"].namespace.route.link("set", index=1, state="up")
        scene.daemon("a", configuration(phrase=CONFIGURED, knobs=knobs, more=more))
        scene.daemon("b", configuration(phrase=CONFIGURED, knobs=knobs, advskew=100))
        scene.await_master("a")
        scene.daemons["a"].expect("carp: webhook ops: ")
        scene.hosts["a"].run([sys.executable, "-c", SERVER], log="server.log")

    def ask(self, scene: Scene, *words: str) -> None:
        code, out, complaint = carpctl(scene, *words)
        self.assertIn(code, (0, 1, 2), f"{words}: {complaint}")
        self.said.append((" ".join(words[:3]), out + complaint))

    def follow(self, scene: Scene, verb: str, option: str) -> subprocess.Popen[bytes]:
        with Path(scene.hosts["a"].directory, f"followed-{verb}").open("wb") as output:
            process = subprocess.Popen(
                [*CARPCTL, "--socket", str(scene.daemons["a"].control_socket), verb, option],
                env=environment(),
                stdout=output,
                stderr=output,
            )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def hang_up_with_mistakes(self, scene: Scene) -> None:
        """A phrase too long, one that has slipped into a line of its own, one under a wrong key, and no UTF-8."""
        daemon = scene.daemons["a"]
        good = daemon.configuration.read_text()
        for number, bad in enumerate(
            (
                good.replace(f"pass = {CONFIGURED}", f"pass = {LONG}"),
                good.replace(f"pass = {CONFIGURED}", f"pass =\n{BLANK}"),
                good.replace(f"pass = {CONFIGURED}", f"pas = {GIVEN}\nadvbase {GIVEN}"),
                good.replace("secret = ", "secrte = ").replace("url = http", "url = ftp"),
            )
        ):
            daemon.configuration.write_text(bad)
            daemon.hang_up()
            scene.wait(lambda so_many=number: daemon.text().count("reload: refused") > so_many, "it is refused")
        daemon.configuration.write_bytes(good.replace(CONFIGURED, f"{CONFIGURED}\xff").encode("latin-1"))
        self.ask(scene, "reload")
        daemon.configuration.write_text(good)

    def look_from_inside(self, scene: Scene) -> None:
        """What a shell shows of the daemon's objects, and what becomes of exceptions that have such an object in them:
        in a shell, in an answer, and in the log."""
        shell = Client(scene, "a", "telnet", "127.0.0.1", "6023")
        self.addCleanup(shell.close)
        for asked, answer in (("Username: ", "anna"), ("Password: ", OPENING)):
            shell.expect(asked)
            shell.type(f"{answer}\r")
        shell.expect(PROMPT)
        for line in (
            "service.configuration",
            "service.revision.running.vhids[0].phrases",
            "[vars(part) for part in (vhids['1@em0'], service, service.revision)]",
            "service._webhooks, vars(service._webhooks)",
            "1 / service.configuration.vhids[0]",
            "raise KeyError(service.configuration)",
            "node.change = lambda config: config / 0",
            "service._desk.find = lambda name: service.configuration / 0",
        ):
            self.said.append((line, shell.line(line)))
        self.ask(scene, "ifconfig", "em0", "vhid", "1", "pass", GIVEN + "2")
        self.ask(scene, "explain", "1@em0")
        scene.daemons["a"].expect("carp: control: a request failed")

    def assert_told(self, scene: Scene, directory: Path) -> None:
        """Everything was at work; what it has left is taken down."""
        log = scene.daemons["a"].text()
        for words in ("Traceback", "carp: reload: refused", "carp: manhole: anna has opened a shell"):
            self.assertIn(words, log)
        for name in ("told", "hook", "followed-events", "followed-status"):
            self.said.append((name, (directory / name).read_text()))
        bodies = [json.loads(line) for line in (directory / "told").read_text().splitlines()]
        self.assertIn("MASTER", {body["state"] for body in bodies})
        files = {path.name: path for path in (directory / "state").rglob("*") if path.is_file()}
        self.assertLessEqual({"events", "flight"}, set(files))
        self.said += [(name, path.read_text(errors="replace")) for name, path in files.items()]
        flight = parts(files["flight"].read_bytes())
        self.assertTrue(flight and flight[0].records)
        self.said.append(("the flight recorder, inflated", repr(flight)))


def _verbs() -> list[str]:
    return next(list(action.choices) for action in make_parser()._actions if action.dest == "verb" and action.choices)
