"""The settings of interfaces that the services of one process change together."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from carptwist.lab.namespaces import NetworkNamespace, why_not
from carptwist.planes import PlaneError
from carptwist.planes.sysctls import Sysctls

WANTED = {"arp_ignore": 1}


class SharedSettingsTests(SynchronousTestCase):
    """On the loopback device, number 1, of a network namespace."""

    def setUp(self) -> None:
        refused = why_not()
        if refused is not None:
            raise SkipTest(refused)
        self.namespace = NetworkNamespace()
        self.addCleanup(self.namespace.close)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.a, self.b = Path(temporary.name, "a"), Path(temporary.name, "b")
        self.namespace.sysctl("ipv4.conf.lo.arp_ignore", 0)
        self.settings = Sysctls(self.a)

    def setting(self) -> str:
        return self.namespace.sysctl("ipv4.conf.lo.arp_ignore")

    def journals(self) -> list[bool]:
        """Whether there is one in a and in b."""
        return [bool(list(place.glob("sysctls-*.json"))) for place in (self.a, self.b)]

    def test_every_directory_has_the_journal(self) -> None:
        """As long as it is joined, and anything is changed; the setting is put back by the last user."""
        with self.namespace:
            self.settings.acquire(1, "lo", "1@lo", WANTED)
            self.settings.join(self.b)
            self.assertEqual(self.settings.recover(), [])
            self.assertEqual(self.journals(), [True, True])
            self.settings.acquire(1, "lo", "2@lo", WANTED)
            self.settings.release("1@lo")
            self.settings.leave(self.a)
            self.assertEqual(self.journals(), [False, True])
            self.assertEqual(self.setting(), "1")
            self.settings.release("2@lo")
        self.assertEqual(self.setting(), "0")
        self.assertEqual(self.journals(), [False, False])

    def test_what_a_dead_one_has_changed_and_a_live_one_uses(self) -> None:
        """Stays as it is, and is put back by the last user, as if that had changed it."""
        with self.namespace:
            dead = Sysctls(self.b)
            dead.acquire(1, "lo", "2@lo", WANTED)
            self.settings.acquire(1, "lo", "1@lo", WANTED)  # finds it as wanted
            self.settings.join(self.b)
            self.assertEqual(self.settings.recover(), [])
            self.assertEqual(self.setting(), "1")
            self.settings.release("1@lo")
        self.assertEqual(self.setting(), "0")
        self.assertEqual(self.journals(), [False, False])

    def test_what_could_not_be_put_back(self) -> None:
        """Is in the journal that the last one leaves: the next daemon puts it back."""
        with self.namespace:
            self.settings.join(self.b)
            self.settings.acquire(1, "lo", "1@lo", WANTED)
            self.settings.leave(self.a)
            self.settings.leave(self.b)
            self.assertEqual(self.journals(), [False, True])
            self.assertEqual(Sysctls(self.b).recover(), ["lo"])
        self.assertEqual(self.setting(), "0")

    def test_a_directory_of_somebody_else_that_cannot_be_written_to(self) -> None:
        """Keeps nobody from changing settings whose own directory can be, nor from putting them back."""
        self.b.write_text("a file")
        with self.namespace:
            self.settings.join(self.b)
            self.settings.acquire(1, "lo", "1@lo", WANTED)
            self.assertEqual(self.journals(), [True, False])
            self.settings.release("1@lo")
            self.assertEqual((self.setting(), self.journals()), ("0", [False, False]))
            self.settings.leave(self.a)
            with self.assertRaisesRegex(PlaneError, "cannot write .*/b/sysctls.*: .*: state_dir must be"):
                self.settings.acquire(1, "lo", "2@lo", WANTED)
        self.assertEqual(self.setting(), "0")

    def test_what_nobody_uses(self) -> None:
        """Is put back at once, the live one's own notwithstanding."""
        with self.namespace:
            Sysctls(self.b).acquire(1, "lo", "2@lo", WANTED)
            self.settings.join(self.b)
            self.assertEqual(self.settings.recover(), ["lo"])
        self.assertEqual(self.setting(), "0")

    def test_a_journal_holds_what_all_have_changed(self) -> None:
        """The one who joined later has what was changed before."""
        with self.namespace:
            self.settings.acquire(1, "lo", "1@lo", WANTED)
            self.settings.join(self.b)
            self.settings.recover()
            (journal,) = self.b.glob("sysctls-*.json")
            self.assertEqual(json.loads(journal.read_text())["interfaces"], {"1": ["lo", {"arp_ignore": [0, 1]}]})
            self.settings.release("1@lo")
