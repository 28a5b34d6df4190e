"""What a terminal may say before and after a login by telnet."""

from __future__ import annotations

from typing import Any

from twisted.conch.telnet import DO, IAC, IP, LINEMODE_EOF, TelnetProtocol
from twisted.cred.portal import Portal
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from carptwist.admin.access import ShellRealm
from carptwist.admin.shells import MOST_BEFORE_LOGIN, CountedTelnet

_TIMING_MARK, _SUSP = b"\x06", b"\xed"


class Typed(TelnetProtocol):
    """A shell: what was typed into it, and when."""

    def __init__(self) -> None:
        self.octets = b""

    def dataReceived(self, data: bytes) -> None:
        self.octets += data


class TelnetTests(SynchronousTestCase):
    """One connection."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ended: list[bool] = []
        portal = Portal(ShellRealm(lambda who: self.fail(who)))
        self.telnet: Any = CountedTelnet(lambda: self.ended.append(True), portal, self.clock)
        self.transport = StringTransport()
        self.telnet.makeConnection(self.transport)
        self.addCleanup(self.telnet.connectionLost)
        self.transport.clear()

    def log_in(self) -> Typed:
        """As somebody who has the pass phrase: another protocol hears what comes now."""
        self.telnet.protocol._at_ease()
        self.telnet.protocol = Typed()
        typed: Typed = self.telnet.protocol
        return typed

    def test_what_is_said_before_a_login_is_bounded(self) -> None:
        """Nobody who has not logged in keeps the reactor busy for long."""
        self.telnet.dataReceived(b"x" * MOST_BEFORE_LOGIN)
        self.assertFalse(self.transport.disconnecting or self.transport.disconnected)
        self.telnet.dataReceived(b"x")
        self.assertTrue(self.transport.disconnecting)

    def test_ctrl_c_comes_after_the_answer_that_telnet_waits_for(self) -> None:
        """Until then it throws everything away. Before a login, and after the end, it means nothing."""
        self.telnet.dataReceived(IAC + IP)
        self.clock.advance(0)
        typed = self.log_in()
        self.telnet.dataReceived(b"a" + IAC + IP + IAC + DO + _TIMING_MARK)
        self.assertNotEqual(self.transport.value(), b"")
        self.assertEqual(typed.octets, b"a")
        self.clock.advance(0)
        self.assertEqual(typed.octets, b"a\x03")
        self.telnet.dataReceived(IAC + IP)
        self.telnet.connectionLost()
        self.clock.advance(0)
        self.assertEqual(typed.octets, b"a\x03")
        self.telnet.protocol = typed
        self.assertEqual(self.ended, [True])

    def test_ctrl_d_as_a_command(self) -> None:
        """Before a login it ends the connection; other commands that Conch does not know are left out."""
        typed = self.log_in()
        self.telnet.dataReceived(b"a" + IAC + _SUSP + b"b" + IAC)
        self.telnet.dataReceived(LINEMODE_EOF + b"c" + IAC + IAC)
        self.assertEqual(typed.octets, b"ab\x04c\xff")

    def test_ctrl_d_instead_of_a_name(self) -> None:
        """Is a change of mind."""
        self.telnet.dataReceived(IAC + LINEMODE_EOF)
        self.assertTrue(self.transport.disconnecting)
