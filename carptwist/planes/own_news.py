"""The news that is none: addresses of ours that the kernel tells of each time that they are refreshed.

A socket that is subscribed to changes and read only now and then would overflow with them, and whoever missed something
has to look at everything again, a main table of a million routes included. So the kernel drops them before they are in
the socket's buffer, by a classic BPF program::

    ldh  [4]                    the message's type                   struct nlmsghdr
    jne  #RTM_NEWADDR, keep
    ld   #24; ldx #IFA_PROTO    from the first attribute on          struct ifaddrmsg
    ld   [NLATTR]               A = where that attribute is, or 0
    jeq  #0, keep
    tax; ldb [x + 4]            its value
    jeq  #112, drop
"""

from __future__ import annotations

import ctypes
import socket
import struct

from carptwist.planes.marks import PROTOCOL

_SO_ATTACH_FILTER = 26
_RTM_NEWADDR = 20
_IFA_PROTO = 11
_FIRST_ATTRIBUTE = 16 + 8
_HEADER = 4
_NLATTR = 0xFFFFF000 + 12  # linux/filter.h: SKF_AD_OFF + SKF_AD_NLATTR
#: The type as it is loaded: in network order, while netlink is in the host's.
_TYPE = int.from_bytes(struct.pack("=H", _RTM_NEWADDR), "big")

# code, jump if true, jump if false, k: linux/bpf_common.h
_PROGRAM = (
    (0x28, 0, 0, 4),  # ldh
    (0x15, 0, 7, _TYPE),  # jeq
    (0x00, 0, 0, _FIRST_ATTRIBUTE),  # ld #
    (0x01, 0, 0, _IFA_PROTO),  # ldx #
    (0x20, 0, 0, _NLATTR),  # ld
    (0x15, 3, 0, 0),  # jeq
    (0x07, 0, 0, 0),  # tax
    (0x50, 0, 0, _HEADER),  # ldb [x + k]
    (0x15, 1, 0, PROTOCOL),  # jeq
    (0x06, 0, 0, 0xFFFFFFFF),  # ret: keep
    (0x06, 0, 0, 0),  # ret: drop
)


def ignore(sock: socket.socket) -> None:
    """Have a netlink socket not hear them; that one of our addresses has gone it does hear.

    :raises OSError: the kernel does not take the program.
    """
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _PROGRAM)
    instructions = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(_PROGRAM), ctypes.addressof(instructions))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
