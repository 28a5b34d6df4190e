"""Namespaces that live in descriptors, and the right to make them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import uuid

from carptwist.lab.namespaces import NetworkNamespace, why_not
from tests.lab.support import drop_capabilities, environment, processes_with, unprivileged_pythons


def here() -> str:
    return os.readlink("/proc/thread-self/ns/net")


class NamespaceTests(unittest.TestCase):
    def setUp(self) -> None:
        self.namespace = NetworkNamespace()
        self.addCleanup(self.namespace.close)

    def test_the_thread_comes_back(self) -> None:
        """After a block the calling thread is where it was before, however the block ends; blocks nest."""
        before = here()
        with contextlib.suppress(ZeroDivisionError), self.namespace:
            inside = here()
            with self.namespace:
                self.assertEqual(here(), inside)
            self.assertEqual(here(), inside)
            raise ZeroDivisionError
        self.assertNotEqual(inside, before)
        self.assertEqual(here(), before)

    def test_other_threads_stay(self) -> None:
        """Only the calling thread moves."""
        before = here()
        entered, seen, looked = threading.Event(), [], threading.Event()

        def look() -> None:
            entered.wait(30)
            seen.append(here())
            looked.set()

        other = threading.Thread(target=look)
        other.start()
        with self.namespace:
            entered.set()
            looked.wait(30)
        other.join()
        self.assertEqual(seen, [before])

    def test_it_is_empty(self) -> None:
        """There is nothing in a new namespace but a loopback interface, which is up."""
        self.assertEqual([link.get("ifname") for link in self.namespace.route.get_links()], ["lo"])
        self.assertEqual(next(iter(self.namespace.route.get_links())).get("state"), "up")

    def test_sockets_stay(self) -> None:
        """A socket belongs to the namespace in which it was made: the same port is free in every one of them."""
        bound = [self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        another = NetworkNamespace()
        self.addCleanup(another.close)
        bound.append(another.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for each in bound:
            self.addCleanup(each.close)
            each.bind(("127.0.0.1", 9))

    def test_sysctls_are_its_own(self) -> None:
        """A sysctl that is set in a namespace is set nowhere else."""
        another = NetworkNamespace()
        self.addCleanup(another.close)
        self.namespace.sysctl("ipv4.conf.lo.arp_ignore", 1)
        another.sysctl("ipv4.conf.lo.arp_ignore", 0)
        self.assertEqual(self.namespace.sysctl("ipv4.conf.lo.arp_ignore"), "1")

    def test_it_has_no_name(self) -> None:
        """Nothing in /run/netns tells of a namespace, so nothing there can be left over."""
        names = set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()
        another = NetworkNamespace()
        self.addCleanup(another.close)
        self.assertEqual(set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set(), names)


class EnclosedTests(unittest.TestCase):
    def run_enclosed(self, body: str, **options: object) -> subprocess.Popen[str]:
        program = (
            "import os, subprocess, sys, time\n"
            "from carptwist.lab.namespaces import NetworkNamespace, enclosed\n"
            "def body():\n" + "".join(f"    {line}\n" for line in body.splitlines()) + "sys.exit(enclosed(body))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,  # type: ignore[call-overload]
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        return process

    def await_none(self, token: str) -> None:
        deadline = time.monotonic() + 30
        while processes_with(token):
            self.assertLess(time.monotonic(), deadline, processes_with(token))
            time.sleep(0.02)

    def test_exit_code(self) -> None:
        """The exit code is that of the body, however that says it."""
        for body, code in (("return 3", 3), ("sys.exit(4)", 4), ("raise ValueError", 1), ("return 0", 0)):
            with self.subTest(body):
                self.assertEqual(self.run_enclosed(body).wait(60), code)

    def test_nothing_survives(self) -> None:
        """When the process that called is killed, so is everything that was started within, even in sessions of its
        own, by a shell that has ended; and with it the namespaces are gone, which have no other holder."""
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            with self.subTest(number.name):
                token = f"1000000.{uuid.uuid4().int % 10**9:09}"
                process = self.run_enclosed(
                    "namespace = NetworkNamespace()\n"
                    "with namespace:\n"
                    f"    subprocess.run('setsid sleep {token} & setsid sleep {token} &', shell=True)\n"
                    "print('ready', flush=True)\n"
                    "time.sleep(1000)"
                )
                assert process.stdout is not None
                self.assertEqual(process.stdout.readline(), "ready\n")
                self.assertGreaterEqual(len(processes_with(f"sleep {token}")), 2)
                process.send_signal(number)
                process.wait(60)
                self.await_none(token)

    def test_a_normal_end_leaves_nothing(self) -> None:
        """What the body has left running ends with it."""
        token = f"1000000.{uuid.uuid4().int % 10**9:09}"
        process = self.run_enclosed(f"subprocess.run('setsid sleep {token} &', shell=True)\nreturn 0")
        self.assertEqual(process.wait(60), 0)
        self.await_none(token)


class UnprivilegedTests(unittest.TestCase):
    PROGRAM = (
        "import sys\n"
        "from carptwist.lab import Lab\n"
        "from carptwist.lab.namespaces import enclosed\n"
        "def body():\n"
        "    with Lab() as lab:\n"
        "        lan, a, b = lab.lan(), lab.host('a'), lab.host('b')\n"
        "        lan.connect(a, 'em0', ['192.0.2.2/24'])\n"
        "        lan.connect(b, 'em0', ['192.0.2.3/24'])\n"
        "        code = a.run(['sh', '-c', 'id -u && ls /proc/sys/net/ipv4/conf/em0']).wait()\n"
        "    return code\n"
        "sys.exit(enclosed(body))\n"
    )

    def test_a_lab_without_root(self) -> None:
        """Whoever may make user namespaces can have a lab, and is root in it."""
        for python, preexec in unprivileged_pythons():
            with self.subTest(preexec.__name__ if preexec else "as we are"):
                done = subprocess.run(
                    [python, "-c", self.PROGRAM],
                    preexec_fn=preexec,
                    env=environment(),
                    cwd="/",
                    capture_output=True,
                    text=True,
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.splitlines()[0], "0")

    def test_why_not(self) -> None:
        """Where user namespaces are refused, one line says which sysctl would allow them, or to be root."""
        # The limit counts within a user namespace: one of our own, so that nothing of the machine is changed.
        program = (
            "import os, subprocess, sys\n"
            "from carptwist.lab import namespaces\n"
            "from tests.lab.support import drop_capabilities\n"
            "user, group = os.geteuid(), os.getegid()\n"
            "namespaces._unshare(namespaces.CLONE_NEWUSER)\n"
            "namespaces._map_to_root(user, group)\n"
            "open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
            "verb = 'import sys; from carptwist.tools.carptwist import main; sys.exit(main())'\n"
            "argv = [sys.executable, '-c', verb, 'lab', 'true']\n"
            "sys.exit(subprocess.run(argv, preexec_fn=drop_capabilities).returncode)"
        )
        done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("sysctl -w user.max_user_namespaces=10000", done.stderr)
        self.assertIn("run this as root", done.stderr)

    def test_here(self) -> None:
        """Where these tests run, there is no reason why not."""
        self.assertIsNone(why_not())

    def test_several_threads(self) -> None:
        """A process with several threads cannot enter a user namespace, and is told so."""
        program = (
            "import threading, time\n"
            "from carptwist.lab.namespaces import LabError, enter\n"
            "threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n"
            "try:\n"
            "    enter()\n"
            "except LabError as error:\n"
            "    print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment(),
            preexec_fn=drop_capabilities,
            capture_output=True,
            text=True,
        )
        self.assertIn("in a process of its own", done.stdout, done.stderr)
