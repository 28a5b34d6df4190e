"""Network namespaces that live in file descriptors alone, and the right to make them.

The rules that this file keeps:

- A namespace has no name in /run/netns and no process that holds it. It exists while a descriptor, a socket or a
  process of it does; when the process that made it dies, even by SIGKILL, the kernel removes all that was in it.
- Only the calling thread ever moves, only inside a ``with`` block, and it comes back to where it was.
- The machine's own network is never entered for anything but coming back to it.

A socket belongs for ever to the namespace in which it was made, so one process may hold sockets of many.

Without root the right to make namespaces comes with a user namespace (user_namespaces(7)), which only a process with a
single thread may enter, once and for good: :func:`enter` does so in place, :func:`enclosed` in a child.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from types import FrameType

from pyroute2 import IPRoute

# sched.h
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# linux/prctl.h
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)

#: What stands in the way of a user namespace, and the value that opens it.
_GATES = (
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "10000"),
    ("user.max_net_namespaces", "0", "10000"),
)


class LabError(Exception):
    """The lab cannot be made, or something in it did not happen in time. The text says what and what to do."""


class NetworkNamespace:
    """One network namespace, made on construction, with nothing but a loopback interface that is up.

    ``with namespace:`` moves the calling thread into it for the block; sockets made and processes started there
    stay there. :attr:`route` speaks rtnetlink in it, from anywhere.

    :raises LabError: if this process may not; see :func:`enter`.
    """

    def __init__(self) -> None:
        with _Elsewhere():
            _unshare(CLONE_NEWNET)
            self._descriptor = _current_namespace()
            self.route = IPRoute()
            self.route.link("set", index=1, state="up")
        self._before: list[_Elsewhere] = []

    def fileno(self) -> int:
        """The descriptor that holds the namespace, for setns(2) and IFLA_NET_NS_FD."""
        return self._descriptor

    def __enter__(self) -> NetworkNamespace:
        elsewhere = _Elsewhere()
        elsewhere.__enter__()
        self._before.append(elsewhere)
        _setns(self._descriptor)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._before.pop().__exit__(*exc_info)

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of this namespace."""
        with self:
            return socket.socket(family, kind, protocol)

    def sysctl(self, name: str, value: int | str | None = None) -> str:
        """The value of a sysctl under ``net.``, after setting it where a value is given: ``ipv4.ip_forward``. A dot
        within an interface's name is written as a slash, as sysctl(8) has it."""
        path = "/proc/sys/net/" + name.translate(str.maketrans("./", "/."))
        with self:
            if value is not None:
                with open(path, "w") as file:
                    file.write(str(value))
            with open(path) as file:
                return file.read().strip()

    def kill_all(self) -> None:
        """Kill every process in it but this one. Where /proc is not of this process namespace it does not tell; there
        :func:`enclosed` sees to it."""
        if os.readlink("/proc/self") != str(os.getpid()):
            return
        inode = os.fstat(self._descriptor).st_ino
        for entry in os.listdir("/proc"):
            # A process may end, or be another user's, at any moment.
            with contextlib.suppress(OSError):
                if entry.isdigit() and os.stat(f"/proc/{entry}/ns/net").st_ino == inode:
                    os.kill(int(entry), signal.SIGKILL)

    def close(self) -> None:
        """Let go. The namespace goes as soon as no socket and no process is in it."""
        if self._descriptor >= 0:
            self.route.close()
            os.close(self._descriptor)
            self._descriptor = -1


class _Elsewhere:
    """A block after which the calling thread is in the network namespace again in which it was before."""

    def __enter__(self) -> None:
        self._home = _current_namespace()

    def __exit__(self, *exc_info: object) -> None:
        try:
            _setns(self._home)
        finally:
            os.close(self._home)


def enter() -> None:
    """Get the right to make network namespaces. For root this does nothing. Everybody else becomes root of a user
    namespace, in a network namespace of its own with a loopback interface, until the process ends.

    :raises LabError: if that is refused; the text says what to do.
    """
    if _may_make_namespaces():
        return
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)
    except OSError as error:
        raise LabError(_remedy(error)) from error
    _map_to_root(user, group)
    with IPRoute() as route:
        route.link("set", index=1, state="up")


def enclosed(body: Callable[[], int]) -> int:
    """Run ``body`` as the first process of a process namespace of its own, with the right to make network
    namespaces, and return its exit code.

    When ``body`` ends, or this process does, even by SIGKILL, the kernel kills everything that was started in there,
    however deep. SIGINT is passed on, SIGTERM and SIGHUP as SIGTERM: ``body`` sees them as KeyboardInterrupt and
    SystemExit.

    :raises LabError: if that is refused; the text says what to do.
    """
    refused, tell = os.pipe()
    alive, mine = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(refused)
        os.close(mine)
        _leave(lambda: _middle(body, alive, tell))
    os.close(tell)
    os.close(alive)

    def pass_on(number: int, frame: FrameType | None) -> None:
        os.kill(child, signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        code = _await_exit(child)
        with os.fdopen(refused) as reader:
            refusal = reader.read()
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        os.close(mine)
    if refusal:
        raise LabError(refusal)
    return code


def _await_exit(child: int) -> int:
    """The exit code of a child, as a shell has it. A signal that comes just before a blocking waitpid(2) would not be
    obeyed until that returns; hence it is asked for from time to time."""
    descriptor = os.pidfd_open(child)
    try:
        ended = select.poll()
        ended.register(descriptor, select.POLLIN)
        while not ended.poll(100):
            pass
    finally:
        os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _middle(body: Callable[[], int], alive: int, tell: int) -> int:
    """Between the caller and the first process: only a child of the one that unshares is in the new namespace."""
    die_with(alive)
    user, group = os.geteuid(), os.getegid()
    try:
        if _may_make_namespaces():
            _unshare(CLONE_NEWPID)
        else:
            _unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
            _map_to_root(user, group)
    except OSError as error:
        os.write(tell, _remedy(error).encode())
        return 1
    own_alive, own = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(own)
        os.close(tell)
        _leave(lambda: _first(body, own_alive))
    os.close(own_alive)
    os.close(tell)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(first, number))
    return _await_exit(first)


def _first(body: Callable[[], int], alive: int) -> int:
    die_with(alive)
    # The first process of a namespace gets only the signals that it has a handler for.
    signal.signal(signal.SIGTERM, _end_once)
    signal.signal(signal.SIGINT, _Interrupt())
    return body()


class _Interrupt:
    """One KeyboardInterrupt for what comes at once: a terminal interrupts each process, and each passes it on."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def __call__(self, number: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._last - before > 0.5:
            raise KeyboardInterrupt


def _end_once(number: int, frame: FrameType | None) -> None:
    # One that comes while the first one is being obeyed, as to a whole process group, must not disturb the clean-up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


def _leave(body: Callable[[], int]) -> None:
    """End a forked child with the code of ``body``, past everything that belongs to its parent."""
    code = 1
    try:
        code = body()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def die_with(alive: int, mine: int = -1) -> None:
    """In a forked child: be killed when the thread that forked it ends. ``alive`` is the reading end of a pipe of
    which only the parent holds the other one, so that a parent that is gone already shows; ``mine`` is the child's
    own copy of that other end, if it still has one."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if mine >= 0:
        os.close(mine)
    gone = select.poll()
    gone.register(alive, select.POLLIN)
    if gone.poll(0):
        os._exit(1)
    os.close(alive)


@functools.cache
def why_not() -> str | None:
    """Why no lab can be made here, as one line with the remedy; None where one can. Tried out in a fresh process,
    once: namespaces, and the kinds of interfaces that a lab and a daemon in it need."""
    probe = subprocess.run(
        [sys.executable, "-c", "from carptwist.lab.namespaces import _try_out; _try_out()"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if probe.returncode == 0:
        return None
    return probe.stdout.strip() or f"the trial of a lab failed: {probe.stderr.strip()[-500:]}"


def _try_out() -> None:
    """In a process of its own: print why there can be no lab, and exit with 1, or print nothing."""
    try:
        enter()
        namespace = NetworkNamespace()
    except LabError as error:
        print(error)
        sys.exit(1)
    for kind, more in (
        ("bridge", {}),
        ("veth", {"peer": "probe9"}),
        ("macvlan", {"link": "veth", "macvlan_mode": "private"}),
    ):
        if "link" in more:
            more = {**more, "link": namespace.route.link_lookup(ifname=f"probe-{more['link']}")[0]}
        try:
            namespace.route.link("add", ifname=f"probe-{kind}", kind=kind, **more)
        except Exception as error:
            print(f"this kernel makes no {kind} interface ({error}): load its module, as root: modprobe {kind}")
            sys.exit(1)


def _may_make_namespaces() -> bool:
    """CAP_SYS_ADMIN and CAP_NET_ADMIN, in whatever user namespace this process is."""
    with open("/proc/thread-self/status") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    needed = (1 << 21) | (1 << 12)
    return effective & needed == needed


def _map_to_root(user: int, group: int) -> None:
    # user_namespaces(7): without privilege the groups can be mapped only after setgroups(2) was given up.
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/thread-self/{name}", "w") as file:
            file.write(text)


def _remedy(error: OSError) -> str:
    if len(os.listdir("/proc/self/task")) > 1:
        return "a process with several threads cannot enter a user namespace: start the lab in a process of its own"
    for name, closed, opened in _GATES:
        try:
            with open("/proc/sys/" + name.replace(".", "/")) as file:
                value = file.read().strip()
        except OSError:
            continue
        if value == closed:
            return f"user namespaces are refused here: as root, sysctl -w {name}={opened}; or run this as root"
    return (
        f"user namespaces are refused here ({error.strerror}): run this as root; in a container, start it with "
        f"--cap-add SYS_ADMIN --cap-add NET_ADMIN"
    )


def _current_namespace() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
