"""The check of a file: that it is there, or what is in it.

A file may be on a server that does not answer, so it is looked at on a thread of its own; while that one hangs no other
begins.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from carptwist.aside import aside
from carptwist.checks.health import Result

#: Octets of a file in which the pattern is looked for.
MOST_READ = 2**16


def look(path: str, content: re.Pattern[bytes] | None) -> Result:
    """Look at once.

    :raises OSError: it cannot be looked at, or is not there.
    """
    if content is None:
        os.stat(path)
        return Result(True, "is there")
    # Opening a pipe that nobody writes to would wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Result(False, "is no file that has content")
        found = content.search(os.read(descriptor, MOST_READ))
    finally:
        os.close(descriptor)
    return Result(True, "the content matches") if found else Result(False, "the content does not match")


Look = Callable[[str, "re.Pattern[bytes] | None"], Result]


class FileProbe:
    """Looks at a file; ``content`` is a regular expression that must be found in it. ``busy``: a look has not ended."""

    def __init__(self, reactor: Any, path: str, content: str | None, look: Look = look) -> None:
        self._at_once = look
        self._reactor = reactor
        self._path = path
        self._content = None if content is None else re.compile(content.encode())
        self.busy = False

    def __call__(self) -> Deferred[Result]:
        if self.busy:
            return succeed(Result(False, "still waiting for an answer about the file"))
        self.busy = True
        looking: Deferred[Result] = aside(self._reactor, self._look, f"carptwist looks at {self._path}")
        answer: Deferred[Result] = Deferred()
        looking.addBoth(self._tell, answer)
        return answer

    def _tell(self, result: Result | Failure, answer: Deferred[Result]) -> None:
        self.busy = False
        if not answer.called:
            answer.callback(result)

    def _look(self) -> Result:
        try:
            return self._at_once(self._path, self._content)
        except OSError as error:
            return Result(False, error.strerror or "input/output error")
