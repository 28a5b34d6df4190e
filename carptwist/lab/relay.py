"""The output of several commands on one stream, each line after the name of the host that it comes from."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TextIO

from carptwist.lab.children import Child
from carptwist.lab.host import Host

#: What a command has to end in good order once it was asked to.
GRACE_SECONDS = 10.0


class Relay:
    """Starts commands within a ``with`` block and prints what they say on ``output``, whole lines as they come."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._children: list[tuple[Child, threading.Thread]] = []

    def start(
        self, host: Host, argv: Sequence[str], *, env: dict[str, str] | None = None, directory: Path | None = None
    ) -> Child:
        """Start a command in a host; its output appears from now on, stdout and stderr alike.

        :raises carptwist.lab.namespaces.LabError: it cannot be started.
        """
        child = host.run(argv, env=env, directory=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert child.process.stdout is not None
        reader = threading.Thread(target=self._read, args=(host.name, child.process.stdout), daemon=True)
        # First: whoever sees the command's first line may interrupt it, and it is to end in good order.
        self._children.append((child, reader))
        reader.start()
        return child

    def wait(self) -> list[int]:
        """The exit codes of all commands, in the order of their start, once all have ended."""
        codes = [child.wait_for_ever() for child, _ in self._children]
        self._drain()
        return codes

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End what still runs, in good order if it does so in time; so does an interrupt, or a SIGTERM to the lab."""
        for child, _ in self._children:
            if child.running:
                # With what a shell has started in its turn; each command has a group of its own.
                os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for child, _ in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
        self._drain()

    def _drain(self) -> None:
        # What a command has left running in the background may hold the pipe for ever.
        for _, reader in self._children:
            if reader.is_alive():  # an interrupt may have come before it was started
                reader.join(1.0)

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                with self._lock:
                    print(f"{name}: {line.decode(errors='replace').rstrip()}", file=self._output, flush=True)
