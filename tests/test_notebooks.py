"""Notebooks on a real disk, with a real thread."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, inlineCallbacks
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from carptwist.interfaces import INotebook
from carptwist.notebooks import Notebooks
from carptwist.simulation.notebook import MemoryNotebook

Step = Generator[Deferred[Any], Any, None]


class NotebooksTests(TestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp(), "replay")
        self.logged: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        self.addCleanup(globalLogPublisher.removeObserver, self._observe)
        self.notebooks = self.started()

    def started(self) -> Notebooks:
        notebooks = Notebooks(reactor, self.directory)  # type: ignore[arg-type]
        notebooks.start()
        self.addCleanup(notebooks.stop)
        return notebooks

    def _observe(self, event: dict[str, object]) -> None:
        text = str(event.get("log_format", "")).format(**event)
        if text.startswith("carp: "):
            self.logged.append(text)

    @inlineCallbacks
    def test_what_is_written_is_read(self) -> Step:
        """In order, by another one as well, and each name for itself."""
        one, other = self.notebooks.open("1@em0"), self.notebooks.open("2@em0")
        verifyObject(INotebook, one)
        self.assertEqual((yield one.read()), b"")
        self.assertFalse(self.directory.exists())
        yield gatherResults(
            [one.replace(lambda: b"a"), one.append(b"b"), one.append(b"c"), other.replace(lambda: b"z")]
        )
        self.assertEqual((yield self.started().open("1@em0").read()), b"abc")
        yield one.replace(lambda: b"new")
        self.assertEqual((yield one.read()), b"new")
        self.assertEqual(sorted(path.name for path in self.directory.iterdir()), ["1@em0", "2@em0"])
        self.assertEqual((self.directory / "1@em0").stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.logged, [])

    def test_stopping_waits_for_what_was_given(self) -> None:
        """It is on the disk when stop returns; a second call does nothing."""
        one = self.notebooks.open("1@em0")
        done = [one.replace(lambda: b"a"), *(one.append(b"b") for _ in range(100))]
        self.notebooks.stop()
        self.notebooks.stop()
        self.assertEqual((self.directory / "1@em0").read_bytes(), b"a" + b"b" * 100)
        return gatherResults(done)  # type: ignore[return-value]

    @inlineCallbacks
    def test_a_directory_that_cannot_be(self) -> Step:
        """Is told once, with the remedy."""
        self.directory.parent.write_text("a file where a directory should be")
        one = self.notebooks.open("1@em0")
        for _ in range(3):
            yield self.assertFailure(one.replace(lambda: b"a"), OSError)
            yield self.assertFailure(one.append(b"a"), OSError)
        self.assertEqual(len(self.logged), 1)
        self.assertIn("state_dir must be a directory", self.logged[0])

    @inlineCallbacks
    def test_nothing_is_appended_to_nothing(self) -> Step:
        """A file that somebody has removed meanwhile needs its beginning again."""
        one = self.notebooks.open("1@em0")
        yield one.replace(lambda: b"a")
        (self.directory / "1@em0").unlink()
        yield self.assertFailure(one.append(b"b"), OSError)
        self.assertEqual((yield one.read()), b"")

    @inlineCallbacks
    def test_what_is_patched(self) -> Step:
        """Stays in its place, beside all that is there, and is made where there was nothing; in memory too."""
        elsewhere = self.directory.parent / "recorder" / "flight"
        for notebook in (self.notebooks.elsewhere(elsewhere), MemoryNotebook()):
            yield notebook.patch(lambda: [(4, b"efg"), (0, b"ab")])
            self.assertEqual((yield notebook.read()), b"ab\0\0efg")
            yield notebook.patch(lambda: [(1, b"BCDE")])
            self.assertEqual((yield notebook.read()), b"aBCDEfg")
            yield notebook.patch(list)
            yield self.assertFailure(notebook.patch(lambda: 1 / 0), ZeroDivisionError)
            self.assertEqual((yield notebook.read()), b"aBCDEfg")
        self.assertEqual(elsewhere.stat().st_mode & 0o777, 0o600)

    @inlineCallbacks
    def test_the_trouble_of_one_elsewhere(self) -> Step:
        """Is told by whoever uses it."""
        self.directory.parent.write_text("a file where a directory should be")
        elsewhere = self.notebooks.elsewhere(self.directory.parent / "recorder" / "flight")
        yield self.assertFailure(elsewhere.patch(lambda: [(0, b"a")]), OSError)
        self.assertEqual(self.logged, [])
