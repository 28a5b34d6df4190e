"""A client of a web server that never stops asking: run as a program, ``asker.py ADDRESS PORT``.

Every 20 ms it connects, sends a request and reads the answer to its end, each on a connection of its own, as many at a
time as it takes. It prints a line of JSON for each when it is over: when it ``began``, was ``connected`` (null if it
never was) and ``ended``, in seconds since the epoch; ``text``, the body that came with status 200, or null; and
``error``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

INTERVAL_SECONDS = 0.02
PATIENCE_SECONDS = 2.0


async def ask(address: str, port: int) -> None:
    began, connected, text, error = time.time(), None, None, None
    writer = None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            connected = time.time()
            writer.write(f"GET /who HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            if head.split()[1:2] == [b"200"]:
                text = body.decode()
            else:
                error = f"no answer: {head[:40]!r}"
    except (OSError, TimeoutError) as failure:
        error = f"{type(failure).__name__} {failure}"
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    print(
        json.dumps({"began": began, "connected": connected, "ended": time.time(), "text": text, "error": error}),
        flush=True,
    )


async def main(address: str, port: int) -> None:
    asking = set()
    following = time.monotonic()
    while True:
        task = asyncio.create_task(ask(address, port))
        asking.add(task)
        task.add_done_callback(asking.discard)
        following += INTERVAL_SECONDS
        await asyncio.sleep(max(0.0, following - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
