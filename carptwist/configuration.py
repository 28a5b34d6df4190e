"""A configuration file on disk -> :class:`Reading`: checked values, and the warnings about them; and back.

The one place that opens configuration files, for the daemon and for ``carptwist check`` alike, so
that both print the same errors. Files are read once, at most :data:`LONGEST_FILE` octets of them.
:func:`save` alone writes, and a file is either as it was or as it is to be, whatever happens.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from typing import NamedTuple

from carptwist.config.problems import ConfigurationError as ConfigurationError
from carptwist.config.problems import Problem as Problem
from carptwist.config.reader import Reading as Reading
from carptwist.config.reader import read
from carptwist.config.saving import SavingError as SavingError
from carptwist.config.saving import saved
from carptwist.config.schema import Configuration

#: Octets. A thousand virtual hosts with ten addresses each need a quarter of it.
LONGEST_FILE = 2**20


class _Contents(NamedTuple):
    octets: bytes
    status: os.stat_result


def load(path: str, *, waits: bool = True) -> Reading:
    """Read the configuration file ``path`` and the files that it names.

    The warnings include those about files that hold a pass phrase and that others may read.

    :param waits: whether what is no regular file is read as well, such as a pipe, which nobody may ever write to.
    :raises ConfigurationError: with every error, also when the file cannot be read.
    """
    opened: dict[str, _Contents] = {}

    def read_file(name: str) -> str:
        opened[name] = _contents(name, waits=waits)
        return opened[name].octets.decode()

    try:
        text = read_file(path)
    except OSError as error:
        raise ConfigurationError([Problem(path, 0, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        # The exception holds the whole file, and its text a part of it.
        line = opened[path].octets.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(path, line, "not UTF-8 text: save the file in that encoding")]) from None
    reading = read(text, path, read_file, fault_of)
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
                    f"{secret.path} holds {secret.what} and can be read by {others}: chmod 600 {secret.path}",
                )
            )
    warnings.sort(key=lambda problem: problem.line)
    return reading._replace(warnings=tuple(warnings))


def configuration_of_file(path: str) -> Configuration:
    """The configuration that a file such as /etc/carptwist/carp.ini holds, as the daemon reads it.

    :param path: of the file; relative paths in it are relative to it.
    :raises ConfigurationError: with every error of the file, each with its line; also when it cannot be read.
    """
    return load(path).configuration


def configuration_of_text(text: str, name: str = "configuration") -> Configuration:
    """The configuration that a text says which is written as carp.ini is: see docs/configuration.md.

    :param text: sections and their keys.
    :param name: what the text is called in errors; relative paths in it are relative to this path.
    :raises ConfigurationError: with every error of the text, each with its line.
    """
    return read(text, name, _text_of, fault_of).configuration


def fault_of(kind: str, name: str) -> str | None:
    """Why a section of a kind cannot have a plug-in of this name, of those that are installed; None: it can."""
    # Most configurations name none, and programs that read those need not know where plug-ins are.
    from carptwist.plugins.catalogue import INSTALLED

    return INSTALLED.fault(kind, name)


def save(path: str, loaded: Configuration, wanted: Configuration) -> None:
    """Write the knobs and vhids of ``wanted`` into the configuration file ``path``, with as few changes as can be.

    :param loaded: what was read from it last: it must still say so.
    :raises SavingError: it cannot be written; the file is as before.
    """
    real = os.path.realpath(path)  # a link stays a link
    try:
        before = _contents(real, waits=False)
        text = before.octets.decode()
        found = read(text, path, _text_of).configuration
    except (OSError, UnicodeDecodeError, ConfigurationError):
        raise SavingError(f"{path} cannot be read any more: carpctl plan tells why") from None
    if found != loaded:
        raise SavingError(f"{path} was changed since it was read: carpctl plan tells how; reload it first")
    octets = saved(text, path, _text_of, wanted).encode()
    if len(octets) > LONGEST_FILE:
        raise SavingError(f"{path} would be longer than {LONGEST_FILE} octets")
    try:
        _replace(real, octets, before)
    except OSError as error:
        raise SavingError(f"{path} cannot be written: {error.strerror}") from None


def _text_of(name: str) -> str:
    return _contents(name, waits=False).octets.decode()


def _replace(path: str, octets: bytes, before: _Contents) -> None:
    """Put other octets in the place of a file, which stays whose it was, and as secret."""
    directory, name = os.path.split(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=directory)  # mode 0600
    try:
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(octets)
            mine, theirs = os.fstat(descriptor), before.status
            if (mine.st_uid, mine.st_gid) != (theirs.st_uid, theirs.st_gid):
                # First: as long as it is not theirs, it must not have the mode that was meant for them.
                os.fchown(descriptor, theirs.st_uid, theirs.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.status.st_mode))
            _copy_attributes(path, descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        now = os.stat(path)
        if (now.st_ino, now.st_mtime_ns) != (before.status.st_ino, before.status.st_mtime_ns):
            raise OSError(errno.EBUSY, "somebody else has just written to it")
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_directory(directory or ".")


def _copy_attributes(path: str, descriptor: int) -> None:
    """Access control lists, labels of security modules: without them the file may be open to others than before."""
    try:
        names = os.listxattr(path)
    except OSError:
        return  # the file system knows none
    for name in names:
        os.setxattr(descriptor, name, os.getxattr(path, name))


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _contents(path: str, *, waits: bool) -> _Contents:
    """What the file holds, and whose it was when it was open."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if waits else os.O_NONBLOCK))
    try:
        status = os.fstat(descriptor)
        if not waits and not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
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
