"""Every verb of carpctl through the real socket, against a real daemon; bad input included."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from carptwist.lab.scene import Scene
from carptwist.tools.carpctl import VERBS as MODULES
from carptwist.tools.carpctl import make_parser
from carptwist.tools.terminal import UsageError
from tests.lab.support import PHRASE, SceneTestCase, become_nobody, configuration, environment

CARPCTL = [sys.executable, "-c", "from carptwist.tools.carpctl import main; main()"]
SECRET = "s3cr3t-phrase"


def carpctl(scene: Scene, *words: str, host: str = "a", **options: Any) -> tuple[int, str, str]:
    """The exit code and what was printed on standard output and standard error."""
    socket = scene.daemons[host].control_socket
    ended = subprocess.run(
        [*CARPCTL, "--socket", str(socket), *words],
        env={**environment(), **options.pop("env", {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )
    return ended.returncode, ended.stdout, ended.stderr


#: What each verb is given that is good, a part of the JSON that it prints then, and what is bad: the exit code, the
#: words, and what it complains with.
VERBS: tuple[tuple[Any, ...], ...] = (
    (["status"], '"state": "MASTER"', (2, "extra", "unrecognized arguments: extra")),
    (["version"], '"daemon": ', (2, "1", "unrecognized arguments: 1")),
    (
        ["ifconfig", "em0", "vhid", "1", "advskew", "3"],
        '"done": "1@em0 changed: advskew 3"',
        (2, "em0 vhid 1 advskew 1.5", "advskew 1.5: must be a whole number, 0 to 254"),
        (2, "em0 vhid 0", "vhid 0: must be 1 to 255"),
        (2, "em0 vhid 2 192.0.2.9", "192.0.2.9: no prefix length"),
        (2, "em0 vhid 2 pas x", "'pas' is not understood"),
        (2, "em0 vhid 2 pass", "what is to follow it is missing"),
        (1, "em9", "interface em9 does not exist"),
        (1, "em0 192.0.2.77 delete", "no virtual host of em0 shares 192.0.2.77"),
    ),
    (
        ["sysctl", "-w", "net.inet.carp.dscp=46"],
        '"after": 46',
        (1, "net.inet.carp.dscp=x", "must be a whole number"),
        (1, "net.inet.carp.preempt=2", "must be 0 or 1"),
        (1, "net.inet.carp.demotion=99999999999", "too large"),
        (1, "net.inet.carp.dcsp", "unknown oid 'net.inet.carp.dcsp'"),
        (2, "net.inet.carp.dscp=", "has no value"),
        (2, "dscp", "what is known begins with net.inet.carp."),
    ),
    (
        ["state", "1@em0", "master"],
        '{"vhid": "1@em0", "state": "MASTER"}',
        (2, "1@em0 init", "invalid choice: 'init'"),
        (2, "em0 master", "write VHID@INTERFACE"),
        (1, "2@em0 master", "there is no virtual host 2@em0 here: there are 1@em0"),
    ),
    (
        ["explain", "1@em0"],
        "1@em0 has been MASTER for ",
        (2, "1", "write VHID@INTERFACE"),
        (2, "256@em0", "the vhid must be 1 to 255"),
        (1, "2@em0", "there is no virtual host 2@em0 here"),
    ),
    (
        ["events", "-n", "1", "1@em0"],
        '"kind": "change"',
        (2, "-n -1", "must not be negative"),
        (2, "-n x", "invalid int value: 'x'"),
        (1, "2@em0", "there is no virtual host 2@em0 here"),
    ),
    (
        ["demote", "50", "--owner", "me", "--reason", "a look"],
        '{"demotion": 50}',
        (2, "50 --owner me", "the following arguments are required: --reason"),
        (2, "x --owner me --reason x", "invalid int value: 'x'"),
        (1, "1 --owner guard --reason x", "owner guard: that name is the daemon's own"),
        (1, "1 --owner me --reason x --for nan", "must be more than 0"),
        (1, "1 --owner me --reason " + "x" * 201, "reason: must be one printable line of 1 to 200 characters"),
        (2, "1 --owner me --reason " + "x" * 17000, "more than the control protocol takes"),
        (2, "1 --owner me --reason \udcff", "a word on the command line is not text in UTF-8"),
    ),
    (["undemote", "me"], '{"demotion": 0}', (1, "you", "the ledger has no entry of you: "), (2, "", "required: NAME")),
    (
        ["sync", "done", "states"],
        '{"demotion": ',
        (2, "start states", "invalid choice: 'start'"),
        (1, "begin others", "no [sync others] here: there is states"),
    ),
    (
        ["plan"],
        "this host stays MASTER",
        (2, "/nowhere/carp.ini", "/nowhere/carp.ini: cannot be read: No such file or directory"),
        (2, "PIPE", "not a regular file"),
        (2, "/etc/hostname", "no virtual host: at least one section"),
    ),
    (["save"], '"written": [', (2, "carp.ini", "unrecognized arguments: carp.ini")),
    (["reload"], '"action": "keep"', (2, "carp.ini", "unrecognized arguments: carp.ini")),
    (
        ["maintenance", "on", "--force"],
        '{"maintenance": true, ',
        (2, "maybe", "invalid choice: 'maybe'"),
        (2, "", "required: on|off"),
        (1, "on --reason \x1b[2J", "one printable line"),
    ),
)


def usage_error(words: list[str]) -> str | None:
    """What carpctl complains with of its own; None if it would ask the daemon."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            arguments = make_parser().parse_args(words)
            module = MODULES.get(words[0])
            if module is not None and hasattr(module, "check"):
                module.check(arguments)
    except SystemExit as ended:
        return f"{complaint.getvalue()}{'' if ended.code == 2 else ended.code}"
    except UsageError as error:
        return str(error)
    return None


class VerbTests(SceneTestCase):
    """One daemon, MASTER of vhid 1, and all that may be asked of it."""

    scene_: Scene

    def master(self) -> Scene:
        scene = self.scene(1)
        scene.daemon("a", configuration(advskew=100))
        scene.await_master("a")
        return scene

    def done(self, scene: Scene, *words: str) -> str:
        """What it prints; it must succeed, and complain of nothing."""
        code, out, complaint = carpctl(scene, *words)
        self.assertEqual((code, complaint), (0, ""), words)
        return out

    def refused(self, scene: Scene, code: int, *words: str) -> str:
        """The one line that it complains with."""
        ended, out, complaint = carpctl(scene, *words)
        self.assertEqual((ended, out), (code, ""), f"{words}: {complaint}")
        self.assertTrue(complaint.splitlines()[-1].startswith("carpctl: "), complaint)
        return complaint.splitlines()[-1]

    def test_sysctl(self) -> None:
        """Reads and writes as sysctl(8) does, and what is written is in force."""
        scene = self.master()
        self.assertEqual(self.done(scene, "sysctl", "net.inet.carp.preempt"), "net.inet.carp.preempt: 1\n")
        self.assertEqual(self.done(scene, "sysctl", "net.inet.carp.preempt=0"), "net.inet.carp.preempt: 1 -> 0\n")
        self.assertEqual(self.done(scene, "sysctl", "-n", "net.inet.carp.preempt"), "0\n")
        self.assertIn("net.inet.carp.preempt is 0, in the configuration 1", self.done(scene, "status"))
        self.assertIn("net.inet.carp.dscp: 56\n", self.done(scene, "sysctl", "-a"))
        tree = self.done(scene, "sysctl", "net.inet.carp").splitlines()
        self.assertEqual([line.partition(":")[0] for line in tree], sorted(line.partition(":")[0] for line in tree))
        self.assertIn("net.inet.carp.dscp: 56", tree)
        self.assertEqual(json.loads(self.done(scene, "sysctl", "--json", "net.inet.carp.log")), {"log": 1})
        self.assertEqual(self.done(scene, "sysctl", "net.inet.carp.demotion=40"), "net.inet.carp.demotion: 0 -> 40\n")
        self.assertEqual(self.done(scene, "sysctl", "net.inet.carp.demotion=-40"), "net.inet.carp.demotion: 40 -> 0\n")
        self.done(scene, "sysctl", "net.inet.carp.allow=0")
        self.assertEqual(scene.daemons["a"].status()["vhids"][0]["state"], "INIT")
        self.assertIn("unknown oid 'net.inet.carp.nothing'", self.refused(scene, 1, "sysctl", "net.inet.carp.nothing"))
        self.assertIn("must be 0 to 63", self.refused(scene, 1, "sysctl", "net.inet.carp.dscp=64"))
        self.assertIn("read only", self.refused(scene, 1, "sysctl", "net.inet.carp.stats=0"))
        self.assertIn("unknown oid", self.refused(scene, 2, "sysctl", "net.inet.ip.forwarding=1"))
        self.assertIn("either -a or names", self.refused(scene, 2, "sysctl"))

    def test_ifconfig(self) -> None:
        """A vhid comes, changes, loses an address and goes; the other one keeps its beat."""
        scene = self.master()
        before = scene.daemons["a"].status()["vhids"][0]["since"]
        self.assertIn("\tcarp: MASTER vhid 1 advbase 1 advskew 100\n", self.done(scene, "ifconfig", "em0"))
        words = ("em0", "vhid", "2", "advskew", "10", "pass", SECRET, "192.0.2.50/24", "192.0.2.51/24")
        self.assertIn("2@em0 added", self.done(scene, "ifconfig", *words))
        scene.wait(lambda: scene.watcher.master(2) == "a", "vhid 2 advertises")
        shown = self.done(scene, "ifconfig", "em0")
        self.assertIn("\tinet 192.0.2.50 netmask 0xffffff00 broadcast 192.0.2.255 vhid 2\n", shown)
        self.assertIn("\tcarp: MASTER vhid 2 advbase 1 advskew 10\n\t      peer 224.0.0.18 peer6 ff02::12\n", shown)
        self.assertIn("2@em0 is not in the configuration", self.done(scene, "status"))
        self.done(scene, "ifconfig", "em0", "vhid", "2", "advskew", "20")
        scene.wait(lambda: (last := scene.watcher.last("a", 2)) is not None and last.interval > 1.07, "advskew is 20")
        self.done(scene, "ifconfig", "em0", "192.0.2.51", "-alias")
        self.assertNotIn("192.0.2.51", self.done(scene, "ifconfig", "em0"))
        self.done(scene, "ifconfig", "em0", "vhid", "2", "state", "backup")
        self.done(scene, "ifconfig", "em0", "-vhid", "2")
        self.assertNotIn("vhid 2", self.done(scene, "ifconfig", "em0"))
        self.assertEqual(scene.hosts["a"].interfaces(), ["lo", "em0", *scene.hosts["a"].interfaces()[2:]])
        self.assertEqual(scene.daemons["a"].status()["vhids"][0]["since"], before)
        everything = json.loads(self.done(scene, "ifconfig", "--json"))
        self.assertIn("em0", [each["name"] for each in everything])
        self.assertIn("name the interface", self.refused(scene, 2, "ifconfig", "carp0", "create"))
        self.assertIn("must be 0 to 254", self.refused(scene, 2, "ifconfig", "em0", "vhid", "1", "advskew", "255"))
        self.assertIn("does not exist", self.refused(scene, 1, "ifconfig", "em9"))
        self.assertIn("no virtual host 9@em0", self.refused(scene, 1, "ifconfig", "em0", "-vhid", "9"))
        self.assertIn("no virtual host of em0", self.refused(scene, 1, "ifconfig", "em0", "192.0.2.99", "delete"))
        self.assertIn(
            "belongs to 1@em0 already", self.refused(scene, 1, "ifconfig", "em0", "vhid", "3", "192.0.2.1/24")
        )
        for text in (scene.daemons["a"].text(), shown, self.done(scene, "status", "--json")):
            self.assertNotIn(SECRET, text)
            self.assertNotIn(PHRASE, text)

    def test_every_verb(self) -> None:
        """Does what it should, and tells programs of it; and says what is wrong with bad input, in the last line of its
        complaint. What carpctl sees itself is not sent to any daemon."""
        scene = self.scene(1)
        daemon = scene.daemon(
            "a", configuration(more=f"[sync states]\nstartup = 0\nunix = {scene.hosts['a'].directory}/sync.sock")
        )
        scene.await_master("a")
        parser = next(action for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
        self.assertEqual(set(parser.choices), {good[0] for good, *_ in VERBS})
        pipe = scene.hosts["a"].directory / "pipe"
        os.mkfifo(pipe)
        for good, printed, *bad in VERBS:
            told = self.done(scene, good[0], "--json", *good[1:])
            self.assertIn(printed, told, good)
            json.loads(told)
            for code, words, complaint in bad:
                given = [good[0], *(str(pipe) if word == "PIPE" else word for word in words.split())]
                refused = usage_error(given)
                if refused is None:
                    ended, out, refused = carpctl(scene, *given)
                    self.assertEqual((ended, out), (code, ""), f"{given}: {refused}")
                else:
                    self.assertEqual(code, 2, given)
                self.assertIn(complaint, refused.splitlines()[-1], given)
        self.assertNotIn("Traceback", daemon.text())
        self.assertEqual(scene.logged_state("a"), "BACKUP")  # maintenance was last, and is on

    def test_state(self) -> None:
        """MASTER and BACKUP on request."""
        scene = self.master()
        self.assertEqual(self.done(scene, "state", "1@em0", "backup"), "1@em0: BACKUP\n")
        self.assertEqual(self.done(scene, "state", "1@em0", "MASTER"), "1@em0: MASTER\n")
        self.assertIn("no virtual host 7@em0", self.refused(scene, 1, "state", "7@em0", "master"))
        self.assertIn("write VHID@INTERFACE", self.refused(scene, 2, "state", "7", "master"))
        code, _, complaint = carpctl(scene, "state", "1@em0", "init")
        self.assertEqual(code, 2)
        self.assertIn("invalid choice", complaint)
        self.done(scene, "sysctl", "net.inet.carp.allow=0")
        self.assertIn("does not take part: not allowed", self.refused(scene, 1, "state", "1@em0", "master"))

    def test_demote_and_undemote(self) -> None:
        """One entry for each owner; the daemon's own are its own."""
        scene = self.master()
        self.assertEqual(self.done(scene, "demote", "50", "--owner", "me", "--reason", "a look"), "demotion: 50\n")
        self.assertEqual(self.done(scene, "demote", "-5", "--owner", "you", "--reason", "why not"), "demotion: 45\n")
        self.done(scene, "demote", "1", "--owner", "brief", "--reason", "soon over", "--for", "0.2")
        scene.wait(lambda: len(scene.daemons["a"].status()["ledger"]) == 2, "the brief one has expired")
        self.assertEqual(self.done(scene, "undemote", "me"), "demotion: -5\n")
        self.assertIn("the ledger has no entry of me: there are those of you", self.refused(scene, 1, "undemote", "me"))
        self.assertIn("daemon's own", self.refused(scene, 1, "demote", "1", "--owner", "ifdown x", "--reason", "x"))
        self.assertIn("one printable line", self.refused(scene, 1, "demote", "1", "--owner", "a\nb", "--reason", "x"))
        self.assertIn("too large", self.refused(scene, 1, "demote", str(2**40), "--owner", "a", "--reason", "x"))
        self.assertIn(
            "more than 0", self.refused(scene, 1, "demote", "1", "--owner", "a", "--reason", "x", "--for", "0")
        )
        self.assertEqual(carpctl(scene, "demote", "much", "--owner", "a", "--reason", "x")[0], 2)

    def test_status_and_version(self) -> None:
        """For people and for programs."""
        scene = self.master()
        table = self.done(scene, "status")
        self.assertIn("MASTER", table)
        self.assertNotIn("\x1b", table)
        self.assertLessEqual(max(map(len, table.splitlines())), 80)
        self.assertEqual(json.loads(self.done(scene, "status", "--json"))["vhids"][0]["state"], "MASTER")
        self.assertEqual(set(json.loads(self.done(scene, "version", "--json"))), {"carpctl", "daemon"})
        self.assertIn("carpctl ", self.done(scene, "version"))
        self.assertEqual(carpctl(scene, "staus")[0], 2)

    def test_an_interrupt_and_a_closed_pipe_end_what_goes_on(self) -> None:
        """Without a word, with the codes that shells have for them."""
        scene = self.master()
        socket = str(scene.daemons["a"].control_socket)
        for words in (["status", "--watch"], ["events", "--follow"]):
            for close, code in ((False, 130), (True, 141)):
                process = subprocess.Popen(
                    [*CARPCTL, "--socket", socket, *words],
                    env=environment(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
                assert process.stdout is not None and process.stderr is not None
                self.addCleanup(process.stderr.close)
                self.addCleanup(process.kill)
                self.assertTrue(process.stdout.readline())
                if close:
                    process.stdout.close()
                else:
                    process.send_signal(signal.SIGINT)
                    self.addCleanup(process.stdout.close)
                self.done(scene, "demote", "1", "--owner", "somebody", "--reason", f"{words} {code}")
                self.assertEqual((process.wait(30), process.stderr.read()), (code, b""), words)

    def test_changes_last_until_the_next_start(self) -> None:
        """And no longer."""
        scene = self.master()
        self.done(scene, "ifconfig", "em0", "vhid", "1", "advskew", "7")
        scene.daemons["a"].stop()
        scene.daemons["a"].start()
        scene.await_master("a")
        status = scene.daemons["a"].status()
        self.assertEqual((status["vhids"][0]["advskew"], status["unsaved"]), (100, []))

    def test_without_a_daemon(self) -> None:
        """Code 3, and one line."""
        scene = self.master()
        scene.daemons["a"].stop()
        self.assertIn("no daemon answers at", self.refused(scene, 3, "status"))
        self.assertIn("there is no such socket: is the daemon running", self.refused(scene, 3, "status"))
        with socket.socket(socket.AF_UNIX) as deserted:
            deserted.bind(str(scene.daemons["a"].control_socket))
        self.assertIn("nobody listens there", self.refused(scene, 3, "version"))
        self.assertIn("has at most 107 octets", self.refused(scene, 2, "--socket", "/" + "x" * 107, "version"))
        self.assertIn("must be 0 to 254", self.refused(scene, 2, "ifconfig", "em0", "vhid", "1", "advskew", "255"))

    def test_a_daemon_that_has_come_to_a_halt(self) -> None:
        """Code 3 and one line, for whoever asks it then and for who was watching; and it answers when it goes on."""
        scene = self.master()
        daemon = scene.daemons["a"]
        watching = subprocess.Popen(
            [*CARPCTL, "--socket", str(daemon.control_socket), "status", "--watch"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(watching.kill)
        assert watching.stdout is not None
        self.assertTrue(watching.stdout.readline())
        daemon.child.signal(signal.SIGSTOP)
        try:
            complaint = self.refused(scene, 3, "status")
            _, of_watching = watching.communicate(timeout=60)
        finally:
            daemon.child.signal(signal.SIGCONT)
        self.assertIn("does not answer within 10 s", complaint)
        self.assertEqual((watching.returncode, of_watching), (3, f"{complaint}\n"))
        self.done(scene, "status")

    def test_where_nothing_can_be_printed(self) -> None:
        """One line, and no success."""
        scene = self.master()
        for verb in ("status", "plan"):
            with open("/dev/full", "w") as full:
                ended = subprocess.run(
                    [*CARPCTL, "--socket", str(scene.daemons["a"].control_socket), verb],
                    env=environment(),
                    stdout=full,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=60,
                    check=False,
                )
            self.assertEqual(
                (ended.returncode, ended.stderr), (1, "carpctl: cannot print the answer: No space left on device\n")
            )

    def test_another_user(self) -> None:
        """Is let in neither by the mode of the socket, nor by the daemon where somebody has changed that; and one line
        is logged for a burst."""
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        scene = self.master()
        path = scene.daemons["a"].control_socket
        assert path is not None
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        program = (
            "import socket, sys\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "s.connect(sys.argv[1])\n"
            "s.sendall(b'\\0\\10_command\\0\\5Hello\\0\\4_ask\\0\\0011\\0\\7version\\0\\0011\\0\\10protocol\\0\\0011\\0\\0')\n"
            "print(s.recv(100))\n"
        )

        def knock() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["/usr/bin/python3", "-c", program, str(path)],
                preexec_fn=become_nobody,
                cwd="/",
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )

        for directory in (path.parent, path.parent.parent):
            directory.chmod(0o755)
        self.assertIn("PermissionError", knock().stderr)
        path.chmod(0o666)
        for _ in range(3):
            ended = knock()
            self.assertTrue(ended.stdout == "b''\n" or "ConnectionReset" in ended.stderr, ended)
        scene.daemons["a"].expect("was not let in")
        self.assertEqual(scene.daemons["a"].text().count("a user (uid 65534"), 1)


class ReasonTests(SceneTestCase):
    """Explain, events and maintenance, with two daemons."""

    def pair(self, **settings: Any) -> Scene:
        scene = self.scene(**({} if not settings else {"judged": False}))
        self.start_pair_of(scene, **settings)
        return scene

    def start_pair_of(self, scene: Scene, **settings: Any) -> None:
        scene.daemon("a", configuration(**{"advskew": 0, **settings}))
        scene.await_master("a")
        scene.daemon("b", configuration(**{"advskew": 100, **settings}))

    def test_explain(self) -> None:
        """A BACKUP says what it heard and what it waits for; a wrong digest is named as what it is."""
        scene = self.scene(judged=False)  # with different addresses both become MASTER
        self.start_pair_of(scene)
        self.await_backup(scene, "b")
        code, told, _ = carpctl(scene, "explain", "1@em0", host="b")
        self.assertEqual(code, 0)
        self.assertIn("1.000 s is shorter than ours of 1.391 s", " ".join(told.split()))
        vhid = scene.daemons["b"].status()["vhids"][0]
        self.assertEqual(vhid["master"]["source"], "192.0.2.2")
        self.assertEqual([peer["state"] for peer in vhid["peers"]], ["MASTER", "MASTER"])  # it speaks both families
        self.assertLessEqual(max(map(len, told.splitlines())), 80)
        self.assertEqual(json.loads(carpctl(scene, "explain", "--json", "1@em0")[1])["state"], "MASTER")
        carpctl(scene, "ifconfig", "em0", "vhid", "1", "192.0.2.10/24", host="b")
        scene.wait(lambda: bool(scene.daemons["b"].status()["stats"]["badauth"]), "b has refused what a signs")
        told = " ".join(carpctl(scene, "explain", "1@em0", host="b")[1].split())
        self.assertIn("192.0.2.2: it signs without 192.0.2.10", told)
        self.assertNotIn(PHRASE, told)
        code, _, complaint = carpctl(scene, "explain", "9@em0")
        self.assertEqual((code, complaint), (1, "carpctl: there is no virtual host 9@em0 here: there are 1@em0\n"))
        self.assertEqual(carpctl(scene, "explain", "em0")[0], 2)

    def test_events(self) -> None:
        """They outlive the daemon, and are followed."""
        scene = self.pair()
        self.await_backup(scene, "b")
        socket = str(scene.daemons["b"].control_socket)
        path = scene.lab.directory / "followed"
        with path.open("wb") as output:
            follower = subprocess.Popen(
                [*CARPCTL, "--socket", socket, "events", "--follow", "--json", "1@em0"],
                env=environment(),
                stdout=output,
            )
        self.addCleanup(follower.wait)
        self.addCleanup(follower.kill)

        def told(words: str) -> list[dict[str, Any]]:
            events = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            return [event for event in events if words in event["text"]]

        scene.wait(lambda: bool(told("INIT -> BACKUP")), "the past is told")
        carpctl(scene, "state", "1@em0", "backup", host="a")
        scene.wait(lambda: bool(told("BACKUP -> MASTER")), "what happens is told")
        heard = told("BACKUP -> MASTER")[0]["heard"]
        self.assertEqual((heard["advbase"], heard["advskew"]), (255, 255))
        scene.daemons["b"].stop()
        self.assertEqual(follower.wait(30), 3)
        scene.daemons["b"].start()
        scene.daemons["b"].expect("INIT -> BACKUP")
        code, text, _ = carpctl(scene, "events", host="b")
        self.assertEqual(code, 0)
        self.assertIn("BACKUP -> MASTER", " ".join(text.split()))
        self.assertEqual(text.count("started"), 2)
        self.assertEqual(carpctl(scene, "events", "-n", "0", host="b")[:2], (0, ""))
        self.assertEqual(carpctl(scene, "events", "-n", "-1", host="b")[0], 2)
        self.assertEqual(carpctl(scene, "events", "em0", host="b")[0], 2)

    def test_maintenance(self) -> None:
        """It is refused while nobody else was heard; then b has the addresses, also after a restart of a."""
        scene = self.pair(preempt=False)
        self.await_backup(scene, "b")
        code, _, complaint = carpctl(scene, "maintenance", "on")
        self.assertEqual(code, 1)
        self.assertIn("nobody else would take over: no other node was heard at 1@em0 since", complaint)
        carpctl(scene, "state", "1@em0", "backup")
        scene.await_master("b")
        carpctl(scene, "state", "1@em0", "master")
        scene.await_master("a")
        began = time.time()
        code, _, complaint = carpctl(scene, "maintenance", "on", "--reason", "new memory")
        self.assertEqual((code, complaint), (0, ""))
        scene.await_master("b", since=began)
        self.assert_brief(scene, began)
        scene.daemons["a"].stop()
        scene.daemons["a"].start()
        scene.daemons["a"].expect("in maintenance since")
        self.await_backup(scene, "a")
        time.sleep(5)
        self.assertEqual(scene.watcher.master(1), "b")
        self.assertIn(", maintenance", carpctl(scene, "status")[1])
        scene.daemons["b"].kill()
        scene.lan.cut(scene.hosts["b"])
        killed = time.time()
        scene.await_master("a", since=killed)
        # b does not preempt, and takes over all the same from a master that asks to be relieved.
        scene.daemons["b"].start()
        scene.wait(lambda: scene.hosts["b"].interfaces(only_up=True) == ["lo", "em0"], "b has cleaned up")
        scene.lan.heal(scene.hosts["b"])
        scene.await_master("b", since=killed)
        self.assertEqual(carpctl(scene, "maintenance", "off")[:2], (0, "maintenance is off\n"))
        code, _, complaint = carpctl(scene, "maintenance", "off")
        self.assertEqual((code, complaint), (1, "carpctl: maintenance is not on\n"))
        self.assertEqual(carpctl(scene, "maintenance", "maybe")[0], 2)
