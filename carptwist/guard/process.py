"""The guard's own program: ends what the daemon was MASTER of, when the daemon cannot do it itself.

::

    daemon --- sweep, will 7, renew 7 ... forget 7, farewell -----> guard      SOCK_SEQPACKET, descriptor 0
           <-- hello, ended 7 because ..., pong -------------------

    the daemon's end of the socket closes without a farewell   every will is carried out, and the guard ends
    a will is not renewed in time (SIGSTOP, a reactor at a     that one is carried out, the daemon is told, and
    standstill, swap)                                          the guard goes on

To carry out a will is to send rtnetlink(7) requests that take the addresses away, and then the frames that say so to
the others. Both are the daemon's ready-made bytes: nothing is made here that could fail, and the sockets are open
beforehand. A "link down" takes the kernel 11 to 15 ms, and as much again for the next; to remove all of a daemon's
devices at once takes it 25 to 70 ms. So of a daemon that has ended many are swept away together.

Run as ``python -I -S -E process.py FILE``, with the standard library alone and without threads; what it did is written
to stderr, to syslog(3) and to FILE, which the next daemon reads. Signals that go to the whole process group or control
group do not end it: the daemon does, or the daemon's end. Time is CLOCK_BOOTTIME, so that a suspended host counts.
"""

# ruff: noqa: SIM105
# The modules socket, signal and contextlib would bring others along: a megabyte more.
import _socket
import errno
import os
import select
import struct
import sys
import time

# Kinds of messages: the first octet.
SWEEP, WILL, MORE, RENEW, FORGET, FAREWELL, PING = b"S", b"W", b"+", b"R", b"F", b"B", b"P"
HELLO, ENDED, PONG = b"H", b"E", b"Q"

#: serial, until, interface, number of frames; then fields: the name, the frames, the requests.
WILL_HEADER = struct.Struct("=QdII")
RENEWAL = struct.Struct("=Qd")
SERIAL = struct.Struct("=Q")
#: serial, when it was done; then why, as text.
ENDING = struct.Struct("=Qd")
_LENGTH = struct.Struct("=I")

#: A longer message comes in pieces of this size, all but the last of them as MORE.
PIECE = 32768
#: From so many wills on it is faster to remove all devices first.
SWEPT_TOGETHER = 3
#: A host that wakes from suspension is noticed this late: poll(2) does not count that time.
LOOK_SECONDS = 0.25
#: So long after the end of a lease the first of the others may take over: a farewell would dethrone it from then on.
FAREWELL_SECONDS = 0.2

_NLMSG = struct.Struct("=IHHII")
_NLMSG_ERROR = 2
_ERROR = struct.Struct("=i")
#: Gone already, which is all that was wanted.
_HARMLESS = (errno.ENODEV, errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT, errno.EEXIST)
_NETLINK_LENGTH = 65536

_SIGNALS_IGNORED = (1, 2, 3, 13, 15)  # HUP, INT, QUIT, PIPE, TERM
_MLOCK_CURRENT_FUTURE_ONFAULT = 1 | 2 | 4
_LOG_DAEMON_CRITICAL = 3 << 3 | 2


class Will:
    """What ends one vhid. ``farewell`` says whether the others have ever heard of it as the master. Of the ``requests``
    the first takes no time, and does no harm if it comes before its turn, or twice."""

    def __init__(self, body: bytes) -> None:
        self.serial, self.until, self.interface, frames = WILL_HEADER.unpack_from(body)
        fields = unpack(body[WILL_HEADER.size :])
        self.name = fields[0].decode()
        self.frames = fields[1 : 1 + frames]
        self.requests = fields[1 + frames :]
        self.farewell = False


class Guard:
    """Keeps wills, and carries them out.

    :param netlink: an AF_NETLINK socket; :param packet: an AF_PACKET one.
    :param tell: takes a line for the log.
    """

    def __init__(self, daemon, netlink, packet, tell, now) -> None:  # type: ignore[no-untyped-def]
        self.wills: dict[int, Will] = {}
        self.done = False
        self._daemon = daemon
        self._netlink = netlink
        self._packet = packet
        self._tell = tell
        self._now = now
        self._pieces = b""
        self._sweep = b""  # the request that removes all devices of the daemon

    def wait(self) -> float:
        """For how many seconds there is nothing to do unless the daemon says something."""
        first = min((will.until for will in self.wills.values()), default=None)
        return LOOK_SECONDS if first is None else max(0.0, min(LOOK_SECONDS, first - self._now()))

    def listen(self) -> None:
        """Take what the daemon has said. All of it, before anything is judged: whoever was away may be we ourselves."""
        while not self.done:
            try:
                message = self._daemon.recv(2 * PIECE)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it ended without having read all that we said; what it said last is still to come
            except OSError:
                message = b""
            if not message:
                self.done = True
                self._end(list(self.wills.values()), "the daemon has ended", sweep=self._sweep)
            else:
                self._take(message[:1], message[1:])

    def judge(self) -> None:
        """Carry out what was not renewed in time."""
        now = self._now()
        late = [will for will in self.wills.values() if will.until <= now]
        if late:
            self._end(late, "the daemon does not run")

    def _take(self, kind: bytes, body: bytes) -> None:
        if kind == RENEW:
            serial, until = RENEWAL.unpack(body)
            will = self.wills.get(serial)
            if will is not None:
                will.until = until
                will.farewell = True
        elif kind == MORE:
            self._pieces += body
        elif kind == WILL:
            will = Will(self._pieces + body)
            self._pieces = b""
            former = [each for each in self.wills.values() if each.name == will.name]
            for each in former:
                will.farewell = each.farewell
                del self.wills[each.serial]
            self.wills[will.serial] = will
        elif kind == SWEEP:
            self._sweep = body
        elif kind == FORGET:
            self.wills.pop(SERIAL.unpack(body)[0], None)
        elif kind == PING:
            self._say(PONG + body)
        elif kind == FAREWELL:
            self.done = True

    def _end(self, wills: list[Will], why: str, sweep: bytes = b"") -> None:
        began = self._now()
        if sweep and len(wills) >= SWEPT_TOGETHER:
            # Whatever the kernel refuses of this is done, or told of, when it is the turn of each.
            for request in [request for will in wills for request in will.requests[:1]]:
                self._request(request)
            self._request(sweep)
        for will in wills:
            del self.wills[will.serial]
            wrong = self._take_away(will)
            # Whoever was away as well, with a host that was suspended or frozen, may find another master there.
            bows_out = will.farewell and self._now() < will.until + FAREWELL_SECONDS
            if bows_out:
                wrong += self._bow_out(will)
            ended = self._now()
            took = f"{(ended - began) * 1000:.0f} ms"
            done = f"addresses taken away{' and bowed out' if bows_out else ''} in {took}"
            text = f"{why}: {'; '.join(wrong) if wrong else done}"
            self._say(ENDED + ENDING.pack(will.serial, ended) + text.encode())
            self._tell(f"carp: guard: {will.name}: {text}")

    def _take_away(self, will: Will) -> list[str]:
        return [text for request in will.requests for text in self._request(request)]

    def _request(self, request: bytes) -> list[str]:
        try:
            return [os.strerror(code) for code in ask(self._netlink, request) if code not in _HARMLESS]
        except OSError as error:
            return [f"netlink: {error}"]

    def _bow_out(self, will: Will) -> list[str]:
        try:
            # By its name of now: the device may have been renamed.
            where = (_socket.if_indextoname(will.interface), 0)
            for frame in will.frames:
                self._packet.sendto(frame, where)
        except OSError as error:
            return [f"bowing out: {error}"]
        return []

    def _say(self, message: bytes) -> None:
        try:
            self._daemon.send(message)
        except OSError:
            pass  # it is gone, or has not listened for long


def ask(netlink, requests: bytes) -> list[int]:  # type: ignore[no-untyped-def]
    """Have the kernel carry out requests that are one datagram; gives the errors. It does so before send(2) returns,
    and goes on after each that it refuses."""
    netlink.send(requests)
    errors: list[int] = []
    while True:
        try:
            answer = netlink.recv(_NETLINK_LENGTH)
        except BlockingIOError:
            return errors
        offset = 0
        while offset + _NLMSG.size <= len(answer):
            length, kind, _, _, _ = _NLMSG.unpack_from(answer, offset)
            if kind == _NLMSG_ERROR:
                (code,) = _ERROR.unpack_from(answer, offset + _NLMSG.size)
                if code:
                    errors.append(-code)
            offset += max(_NLMSG.size, length + 3 & ~3)


def pack(fields: list[bytes]) -> bytes:
    """Each with its length before it."""
    return b"".join(_LENGTH.pack(len(field)) + field for field in fields)


def unpack(octets: bytes) -> list[bytes]:
    """Undo :func:`pack`."""
    fields, offset = [], 0
    while offset < len(octets):
        (length,) = _LENGTH.unpack_from(octets, offset)
        offset += _LENGTH.size
        fields.append(octets[offset : offset + length])
        offset += length
    return fields


def boottime() -> float:
    """Seconds since the host was started, suspended ones included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Log:
    """Where lines go: whatever of it does not work is left out."""

    def __init__(self, note: str) -> None:
        self._note = note
        self._syslog = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)

    def write(self, line: str) -> None:
        stamped = f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {line}\n".encode()
        for put in (self._to_stderr, self._to_syslog, self._to_note):
            try:
                put(line, stamped)
            except OSError:
                pass

    def _to_stderr(self, line: str, stamped: bytes) -> None:
        os.write(2, stamped)

    def _to_syslog(self, line: str, stamped: bytes) -> None:
        self._syslog.sendto(f"<{_LOG_DAEMON_CRITICAL}>carptwist[{os.getpid()}]: {line}".encode(), "/dev/log")

    def _to_note(self, line: str, stamped: bytes) -> None:
        note = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(note, stamped)
        finally:
            os.close(note)


def survive() -> None:
    """Be the last that is killed, swapped out, or left waiting for a processor, as far as this process may."""
    import _signal  # type: ignore[import-not-found]

    for number in _SIGNALS_IGNORED:
        _signal.signal(number, _signal.SIG_IGN)
    try:
        os.setsid()
    except OSError:
        pass
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("-1000")
    except OSError:
        pass
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -19)
        except OSError:
            pass
    try:
        # What is in memory stays there; what was never needed is not fetched for it.
        import ctypes

        ctypes.CDLL(None).mlockall(_MLOCK_CURRENT_FUTURE_ONFAULT)
    except (ImportError, OSError, AttributeError):
        pass


def main() -> None:
    """Guard the daemon at the other end of descriptor 0."""
    daemon = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, 0)
    daemon.setblocking(False)
    netlink = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_NONBLOCK, 0)
    netlink.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, 1 << 20)
    netlink.bind((0, 0))
    try:
        packet = _socket.socket(_socket.AF_PACKET, _socket.SOCK_RAW, 0)
    except PermissionError as error:
        print(f"carp: guard: no packet socket: {error}", file=sys.stderr)
        sys.exit(1)
    survive()
    guard = Guard(daemon, netlink, packet, Log(sys.argv[1]).write, boottime)
    ready = select.poll()
    ready.register(daemon.fileno(), select.POLLIN)
    daemon.send(HELLO)
    while not guard.done:
        ready.poll(guard.wait() * 1000 + 1)
        guard.listen()
        guard.judge()


if __name__ == "__main__":
    main()
