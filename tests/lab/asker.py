"""A client that never stops asking: run as a program, ``asker.py ADDRESS PORT [PROTOCOL]``.

Every 20 ms it asks a web server (``http``), a name server over ``udp`` or ``tcp``, or hands a mail exchanger a mail
(``mail``), each on a connection of its own, as many at a time as it takes. It prints a line of JSON for each when it is
over: when it ``began``, was ``connected`` (null if it never was) and ``ended``, in seconds since the epoch; ``text``,
the body that came with status 200, the text of the answer, or the number of the mail that was accepted, or null; and
``error``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count

INTERVAL_SECONDS = 0.02
PATIENCE_SECONDS = 2.0

#: TXT of who.example.com, and what it has in front over TCP.
QUESTION = struct.pack("!6H", 7, 0, 1, 0, 0, 0) + b"\x03who\x07example\x03com\x00" + struct.pack("!2H", 16, 1)
LENGTH = struct.Struct("!H")

_numbers = count(1)


async def page(address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    writer.write(f"GET /who HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    if head.split()[1:2] != [b"200"]:
        raise OSError(f"no answer: {head[:40]!r}")
    return body.decode()


async def name(_: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    writer.write(LENGTH.pack(len(QUESTION)) + QUESTION)
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return text_of(await reader.readexactly(length))


async def mail(_: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    number = next(_numbers)

    async def answered(*codes: bytes) -> None:
        for code in codes:
            while (line := await reader.readline())[3:4] == b"-":
                pass
            if not line.startswith(code):
                raise OSError(f"no {code!r}: {line!r}")

    await answered(b"220")
    for command, code in ((b"EHLO client", b"250"), (b"MAIL FROM:<a@b>", b"250"), (b"RCPT TO:<c@d>", b"250")):
        writer.write(command + b"\r\n")
        await answered(code)
    writer.write(b"DATA\r\n")
    await answered(b"354")
    writer.write(f"Subject: number {number}\r\n\r\n.\r\n".encode())
    await answered(b"250")
    writer.write(b"QUIT\r\n")
    return str(number)


STREAMS: dict[str, Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[str]]] = {
    "http": page,
    "tcp": name,
    "mail": mail,
}


def text_of(answer: bytes) -> str:
    """The first string of the first answer, whose name is a pointer to the question's."""
    at = len(QUESTION) + 12
    if answer[6:8] == b"\0\0":
        raise OSError("no answer")
    return answer[at + 1 : at + 1 + answer[at]].decode()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


class Request:
    """One of them."""

    def __init__(self) -> None:
        self.connected: float | None = None

    async def ask(self, protocol: str, address: str, port: int) -> str:
        if protocol == "udp":
            loop = asyncio.get_running_loop()
            transport, datagrams = await loop.create_datagram_endpoint(Datagrams, remote_addr=(address, port))
            with contextlib.closing(transport):
                transport.sendto(QUESTION)
                return text_of(await datagrams.answer)
        reader, writer = await asyncio.open_connection(address, port)
        self.connected = time.time()
        try:
            return await STREAMS[protocol](address, reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def ask(protocol: str, address: str, port: int) -> None:
    began, request, text, error = time.time(), Request(), None, None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = await request.ask(protocol, address, port)
    except (OSError, EOFError, TimeoutError) as failure:
        error = f"{type(failure).__name__} {failure}"
    said = {"began": began, "connected": request.connected, "ended": time.time(), "text": text, "error": error}
    print(json.dumps(said), flush=True)


async def main(address: str, port: int, protocol: str = "http") -> None:
    asking = set()
    following = time.monotonic()
    while True:
        task = asyncio.create_task(ask(protocol, address, port))
        asking.add(task)
        task.add_done_callback(asking.discard)
        following += INTERVAL_SECONDS
        await asyncio.sleep(max(0.0, following - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
