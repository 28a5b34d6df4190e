"""Shells inside a real daemon, through the telnet and ssh that everybody has."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.lab.support import Scene, SceneTestCase, configuration, environment

PHRASE = "QXZ correct horse"
PROMPT = ">>> "
#: Colours, cursor movements, and what else a terminal is told.
_CONTROLS = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[E=>78cDM]|[()][A-B0-2])|\x0f|\x0e")


class Client:
    """A program on a terminal of its own, in a host."""

    def __init__(self, scene: Scene, name: str, *words: str) -> None:
        master, slave = pty.openpty()
        child = scene.hosts[name].run(list(words), stdin=slave, stdout=slave, stderr=slave, env={"TERM": "vt100"})
        os.close(slave)
        self.child = child
        self._master = master
        self.text = ""

    def expect(self, words: str, limit: float = 30.0) -> str:
        """Wait until the program shows these words after all that was expected before; gives what came with them."""
        deadline = time.monotonic() + limit
        while words not in self.text:
            if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"no {words!r} within {limit} s: {self.text!r}")
            try:
                read = os.read(self._master, 65536)
            except OSError:
                raise AssertionError(f"it ended before {words!r}: {self.text!r}") from None
            self.text = _CONTROLS.sub("", self.text + read.decode(errors="replace"))
        found, _, self.text = self.text.partition(words)
        return found

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def line(self, text: str) -> str:
        """Type a line, and give what is shown until the next prompt."""
        self.type(text)
        self.expect(text)  # as it is shown while it is typed
        self.type("\r")
        return self.expect(PROMPT)

    def close(self) -> None:
        self.child.kill()
        os.close(self._master)


class ManholeTests(SceneTestCase):
    """One host, MASTER, with a shell."""

    def start(self, *keys: str) -> Scene:
        """A daemon whose [manhole] has these lines."""
        scene = self.scene(1)
        self.directory = scene.lab.directory
        text = configuration(more="\n".join(["[manhole]", *keys]))
        scene.daemon("a", text)
        scene.await_master("a")
        return scene

    def client(self, scene: Scene, *words: str) -> Client:
        client = Client(scene, "a", *words)
        self.addCleanup(client.close)
        return client

    def file(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = Path(self.directory_of_files(), name)
        path.touch(mode=0o600)
        path.write_text(text)
        path.chmod(mode)
        return path

    def directory_of_files(self) -> str:
        if not hasattr(self, "_directory"):
            self._directory = tempfile.TemporaryDirectory()
            self.addCleanup(self._directory.cleanup)
        return self._directory.name

    def passwd(self) -> Path:
        made = subprocess.run(
            [sys.executable, "-m", "carptwist.tools.carptwist", "passwd", "anna"],
            input=f"{PHRASE}\n",
            env=environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertNotIn("QXZ", made.stdout)
        return self.file("passwd", f"# who may come\n{made.stdout}")

    def by_telnet(self, phrase: str = PHRASE, name: str = "anna") -> tuple[Scene, Client]:
        scene = self.start("telnet = tcp:6023:interface=127.0.0.1", f"passwd = {self.passwd()}")
        scene.hosts["a"].namespace.route.link("set", index=1, state="up")
        # On a terminal of its own, as everybody has one: Ctrl-C is a signal there.
        client = self.client(scene, "setsid", "--ctty", "--wait", "telnet", "127.0.0.1", "6023")
        client.expect("Username: ")
        client.type(f"{name}\r")
        client.expect("Password: ")
        client.type(f"{phrase}\r")
        return scene, client

    def test_telnet(self) -> None:
        """Names, commands, completion; whatever is raised ends neither the session nor the daemon."""
        scene, client = self.by_telnet()
        client.expect(PROMPT)
        self.assertIn("MASTER", client.line('vhids["1@em0"].state'))
        self.assertIn("demotion 0", client.line("status()"))
        self.assertIn(
            "1@em0: unchanged",
            client.line("reload()") + client.expect("Deferred #0 called back") + client.expect(PROMPT),
        )
        client.line("scapy()")
        client.expect("names of scapy are here")
        client.expect(PROMPT)
        self.assertIn("2048", client.line('(Ether() / IP(dst="192.0.2.1")).type'))
        self.assertIn("ZeroDivisionError", client.line("1 / 0"))
        client.type("1 / 0 + nothing")
        client.expect("1 / 0 + nothing")
        client.type("\x03")
        self.assertIn("KeyboardInterrupt", client.expect(PROMPT))
        self.assertIn("there is no virtual host 9@em0 here: there are 1@em0", client.line("explain('9@em0')"))
        client.type("vhids['1@em0'].machine.effective_adv\t")
        client.expect("effective_advskew")
        client.type("\r")
        self.assertIn("0", client.expect(PROMPT))
        # A Deferred that fires while something is being typed leaves that alone.
        client.line("from twisted.internet.task import deferLater")
        client.line("from twisted.internet import reactor")
        client.line("deferLater(reactor, 0.3, lambda: 'in ' + 'between')")
        client.type("6 * 7")
        client.expect("in between")
        client.expect("6 * 7")
        client.type("\r")
        self.assertIn("42", client.expect(PROMPT))
        client.type("\x04")
        client.expect("Connection closed by foreign host")
        scene.daemons["a"].expect("carp: manhole: anna has gone")
        self.assertNotIn("Traceback", scene.daemons["a"].text())
        self.assertNotIn("QXZ", scene.daemons["a"].text())
        self.assertIn("carp: manhole: anna has opened a shell by telnet", scene.daemons["a"].text())

    def test_what_takes_too_long_is_ended(self) -> None:
        """After 0.2 s, the one that catches it included; the log says who, with what, and what it has cost; no other
        host takes over, and no request of a client is lost."""
        scene, client = self.by_telnet()
        client.expect(PROMPT)
        began = time.time()
        self.assertIn("ended after 0.2 s", client.line("import time; time.sleep(100)"))
        client.type("while True: pass\r")
        client.expect("... ")
        client.type("\r")
        self.assertIn("ended after 0.2 s", client.expect(PROMPT))
        ended = time.time()
        self.assertLess(ended - began, 10)
        found = re.findall(r"anna held the daemon up for (\S+) s with ('.*'): (.*)", scene.daemons["a"].text())
        self.assertEqual([what for _, what, _ in found], ["'import time; time.sleep(100)'", "'while True: pass\\n'"])
        for taken, _, _ in found:
            self.assertLess(float(taken), 0.2 + 0.1 + scene.uncertainty(ended))
        scene.wait(lambda: time.time() > ended + 1.5, "some more advertisements")
        self.assertEqual(scene.logged_state("a"), "MASTER")
        self.assertEqual(sum(scene.prober.lost(each, began, ended) for each in scene.prober.addresses), 0)

    def test_telnet_without_the_pass_phrase(self) -> None:
        """Three attempts, then the line is closed; the log says so, and not what was tried."""
        scene, client = self.by_telnet("QXZ wrong")
        for _ in range(2):
            client.expect("Authentication failed")
            client.expect("Username: ")
            client.type("nobody\r")
            client.expect("Password: ")
            client.type("QXZ wrong\r")
        client.expect("Connection closed by foreign host")
        scene.daemons["a"].expect("carp: manhole: 'anna' from 127.0.0.1 was not let in by telnet")
        self.assertEqual(scene.daemons["a"].text().count("was not let in"), 1)
        self.assertNotIn("QXZ", scene.daemons["a"].text())
        self.assertEqual(scene.logged_state("a"), "MASTER")

    def test_ssh(self) -> None:
        """With the key; without it, and with any pass phrase, nobody comes in."""
        for name in ("host_key", "mine", "other"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", Path(self.directory_of_files(), name)], check=True
            )
        files = Path(self.directory_of_files())
        keys = self.file("authorized_keys", "# anna\n" + (files / "mine.pub").read_text())
        scene = self.start(
            "ssh = tcp:6022:interface=127.0.0.1", f"authorized_keys = {keys}", f"host_key = {files / 'host_key'}"
        )
        scene.hosts["a"].namespace.route.link("set", index=1, state="up")
        known = self.file("known_hosts", "[127.0.0.1]:6022 " + (files / "host_key.pub").read_text())
        options = [
            "-F", "/dev/null", "-p", "6022", "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes",
            "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
        ]  # fmt: skip
        client = self.client(scene, "ssh", *options, "-i", str(files / "mine"), "anna@127.0.0.1")
        client.expect(PROMPT)
        self.assertIn("1@em0: MASTER", client.line("vhids"))
        client.type("1 +")
        client.type("\x03")
        client.expect("KeyboardInterrupt")
        client.type("\x04")
        scene.daemons["a"].expect("carp: manhole: anna has gone")
        self.client(scene, "ssh", *options, "-i", str(files / "mine"), "anna@127.0.0.1", "ls").expect("only a prompt")

        for _ in range(3):
            refused = self.client(scene, "ssh", *options, "-i", str(files / "other"), "bert@127.0.0.1")
            self.assertNotIn("assword", refused.expect("Permission denied (publickey)."))
        scene.daemons["a"].expect("carp: manhole: 'bert' from 127.0.0.1 was not let in by SSH")
        refused = self.client(scene, "ssh", *options, "-i", str(files / "other"), "anna@127.0.0.1")
        self.assertNotIn("assword", refused.expect("Permission denied (publickey)."))
        keys.chmod(0o666)
        refused = self.client(scene, "ssh", *options, "-i", str(files / "mine"), "anna@127.0.0.1")
        refused.expect("Permission denied (publickey).")
        scene.daemons["a"].expect("carp: manhole: nobody is let in: ")
        # A burst is one line, and of Conch's there are none but for who was let in.
        self.assertEqual(scene.daemons["a"].text().count("was not let in"), 1)
        self.assertNotIn("trying auth", scene.daemons["a"].text())
        self.assertNotIn("Traceback", scene.daemons["a"].text())
        self.assertEqual(scene.logged_state("a"), "MASTER")

    def test_what_is_missing_is_told_and_nothing_else_suffers(self) -> None:
        """A host key that is not there keeps SSH away, and the vhids at work."""
        scene = self.start(
            "ssh = tcp:6022:interface=127.0.0.1", "authorized_keys = /nowhere/keys", "host_key = /nowhere/key"
        )
        scene.daemons["a"].expect("carp: manhole: no SSH at tcp:6022:interface=127.0.0.1: ")
        self.assertEqual(scene.logged_state("a"), "MASTER")
