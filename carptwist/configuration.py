"""A configuration file on disk -> :class:`Reading`: checked values, and the warnings about them.

The one place that opens configuration files, for the daemon and for ``carptwist check`` alike, so
that both print the same errors. Files are read once, at most :data:`LONGEST_FILE` octets of them,
and nothing is written.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from carptwist.config.reader import ConfigurationError, Problem, Reading, read

#: Octets. A thousand virtual hosts with ten addresses each need a quarter of it.
LONGEST_FILE = 2**20

__all__ = ["LONGEST_FILE", "ConfigurationError", "Problem", "Reading", "load"]


class _Contents(NamedTuple):
    octets: bytes
    status: os.stat_result


def load(path: str) -> Reading:
    """Read the configuration file ``path`` and the files that it names.

    The warnings include those about files that hold a pass phrase and that others may read.

    :raises ConfigurationError: with every error, also when the file cannot be read.
    """
    opened: dict[str, _Contents] = {}

    def read_file(name: str) -> str:
        opened[name] = _contents(name)
        return opened[name].octets.decode()

    try:
        text = read_file(path)
    except OSError as error:
        raise ConfigurationError([Problem(path, 0, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        # The exception holds the whole file, and its text a part of it.
        line = opened[path].octets.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(path, line, "not UTF-8 text: save the file in that encoding")]) from None
    reading = read(text, path, read_file)
    told: set[str] = set()
    warnings = list(reading.warnings)
    for secret in reading.secrets:
        others = readers(opened[secret.path].status)
        if others and secret.path not in told:
            told.add(secret.path)
            warnings.append(
                Problem(
                    path,
                    secret.line,
                    f"{secret.path} holds a pass phrase and can be read by {others}: chmod 600 {secret.path}",
                )
            )
    warnings.sort(key=lambda problem: problem.line)
    return reading._replace(warnings=tuple(warnings))


def _contents(path: str) -> _Contents:
    """What the file holds, and whose it was when it was open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        octets = b""
        while len(octets) <= LONGEST_FILE and (more := os.read(descriptor, LONGEST_FILE + 1 - len(octets))):
            octets += more
    finally:
        os.close(descriptor)
    if len(octets) > LONGEST_FILE:
        raise OSError(0, f"longer than {LONGEST_FILE} octets")
    return _Contents(octets, status)


def readers(status: os.stat_result) -> str:
    """Who may read a file besides its owner and root, as words for a warning; the empty string if nobody."""
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_IROTH:
        return f"everybody (mode {mode:04o})"
    # By convention group 0 is root's, and a group with the number of its user that user's alone.
    if mode & stat.S_IRGRP and status.st_gid not in (0, status.st_uid):
        return f"its group (mode {mode:04o})"
    return ""
