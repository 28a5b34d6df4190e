"""A program is started in a session of its own; only the thread that does so waits until it has been loaded.

::

    this thread --> posix_spawn(3) .......................... pid --> goes on
                       \\--> setsid, descriptors --> /bin/sh --> cd / --> becomes the program
    other threads ------------------------------------------------> never notice

subprocess starts a program by vfork(2) under the interpreter's lock: until the child had its turn on a processor, which
on a busy host is a tenth of a second and more, no thread runs Python, and no advertisement leaves. Called by ctypes,
without that lock, the C library does the same. It loads /bin/sh, which is always at hand: the program, on a disk that
perhaps does not answer, is loaded by the child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

# <spawn.h>
_SETSIGDEF = 0x04
_SETSID = 0x80
#: Octets: more than posix_spawnattr_t, posix_spawn_file_actions_t or sigset_t take with any C library.
_Opaque = ctypes.c_char * 1024

_libc = ctypes.CDLL(None)


class Spawned(NamedTuple):
    """A program that has been started.

    :ivar pid: of its process, which leads a group, and which somebody has to wait for.
    :ivar end: the descriptor that is readable when it has ended.
    :ivar output: the one of what it says, which does not block.
    """

    pid: int
    end: int
    output: int


def observed(words: Sequence[str], environment: Mapping[str, str]) -> Spawned:
    """Start a program whose end and whose output can be waited for; the descriptors are the caller's to close.

    :raises OSError: no process could be made, or it could not be observed.
    :raises ValueError: a word has a NUL in it.
    """
    with contextlib.ExitStack() as made:
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        made.callback(os.close, reading)
        try:
            os.set_blocking(writing, True)
            pid = spawn(words, environment, writing)
        finally:
            os.close(writing)
        made.callback(os.waitpid, pid, 0)
        made.callback(os.killpg, pid, signal.SIGKILL)
        end = os.pidfd_open(pid)
        made.pop_all()
    return Spawned(pid, end, reading)


def spawn(words: Sequence[str], environment: Mapping[str, str], output: int, *, stdin: str = "/dev/null") -> int:
    """Start a program, which leads a process group of its own; -> its process id, which somebody has to wait for.

    :param output: the descriptor that is its standard output and its standard error.
    :raises OSError: no process could be made.
    :raises ValueError: a word has a NUL in it.
    """
    argv = _strings(["/bin/sh", "-c", 'cd / && exec "$@"', "sh", *words])
    envp = _strings([f"{name}={value}" for name, value in environment.items()])
    attributes, actions, signals = _Opaque(), _Opaque(), _Opaque()
    _do("posix_spawnattr_init", attributes)
    _do("posix_spawn_file_actions_init", actions)
    try:
        _libc.sigemptyset(signals)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
            _libc.sigaddset(signals, number)
        _do("posix_spawnattr_setsigdefault", attributes, signals)
        _do("posix_spawnattr_setflags", attributes, ctypes.c_short(_SETSIGDEF | _SETSID))
        _do("posix_spawn_file_actions_addopen", actions, 0, os.fsencode(stdin), os.O_RDONLY, 0)
        for descriptor in (1, 2):
            _do("posix_spawn_file_actions_adddup2", actions, output, descriptor)
        if hasattr(_libc, "posix_spawn_file_actions_addclosefrom_np"):
            # What Python has opened is closed anyway; not so what it was started with.
            _do("posix_spawn_file_actions_addclosefrom_np", actions, 3)
        pid = ctypes.c_int()
        _do("posix_spawn", ctypes.byref(pid), b"/bin/sh", actions, attributes, argv, envp)
        return pid.value
    finally:
        _do("posix_spawn_file_actions_destroy", actions)
        _do("posix_spawnattr_destroy", attributes)


def _do(name: str, *arguments: object) -> None:
    error = getattr(_libc, name)(*arguments)
    if error:
        raise OSError(error, os.strerror(error))


def _strings(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [os.fsencode(text) for text in texts]
    if any(b"\0" in each for each in encoded):
        raise ValueError("embedded null byte")
    return _vector(len(encoded) + 1)(*encoded, None)


@cache
def _vector(length: int) -> type[ctypes.Array[ctypes.c_char_p]]:
    """Kept, because a type is costly to make, and to get rid of."""
    return ctypes.c_char_p * length
