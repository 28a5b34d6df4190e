"""The public API in a program of somebody else's, as mypy sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory

from carptwist.api import (
    CarpClient,
    CarpGatedService,
    CarpServerEndpoint,
    CarpService,
    Change,
    Configuration,
    ConfigurationError,
    Event,
    Outcome,
    RefusedError,
    State,
    configuration_of_file,
    configuration_of_text,
    connect,
    run_on_monotonic_time,
)


async def work(reactor: Any, inner: IStreamServerEndpoint) -> int:
    client: CarpClient = connect(reactor)
    status: dict[str, Any] = await client.status()
    await client.when("1@em0", State.MASTER)
    event: Event = await client.events("1@em0").next()
    async for event in client.events():
        print(event["text"])
    async with client.demote(100, "shop", "draining") as demotion:
        total: int = await demotion.in_force()
    with client.demote(100, "shop", "ill"):
        pass
    port: IListeningPort = await CarpServerEndpoint(reactor, "1@em0", inner, drain_seconds=5).listen(Factory())
    jobs = CarpGatedService(reactor, "1@em0", settle_seconds=3.0)
    jobs.startService()
    stopping: Deferred[None] = jobs.stopService()
    await stopping
    await client.close()
    try:
        await client.connection()
    except RefusedError as error:
        print(error, port.getHost(), status)
    return total


async def embed(reactor: Any, parent: MultiService, text: str) -> State:
    run_on_monotonic_time(reactor)
    try:
        configuration: Configuration = configuration_of_text(text)
    except ConfigurationError as refused:
        raise SystemExit(str(refused.errors[0].text)) from None
    service = CarpService(configuration, reactor=reactor, gave_up=lambda: print("no"))
    service.setName("carp")
    service.setServiceParent(parent)
    started: bool = await service.when_started()
    changes: list[Change] = []
    end = service.observe(changes.append)
    service.demote(100, "shop", "ill", seconds=5.0)
    outcomes: list[Outcome] = await service.adopt(configuration_of_file("/etc/carptwist/carp.ini"))
    end()
    print(started, service.trouble, [outcome.text for outcome in outcomes], changes[0].subsystem, service.status())
    await service.disownServiceParent()
    return service.states()["1@em0"]
"""

#: carptwist is to them what it is where it is installed: its types count, and what is wrong within it does not.
EXAMPLES = sorted((ROOT / "conf" / "examples" / "twisted").glob("*.py"))
PLUGINS = ROOT / "conf" / "examples" / "plugins"

CONFIGURATION = "".join(
    [
        "[mypy]\nstrict = True\nplugins = mypy_zope:plugin\nuntyped_calls_exclude = twisted\n",
        # That Twisted's own methods have no types is not theirs who inherit them.
        *(f"[mypy-{path.stem}]\ndisallow_untyped_calls = False\n" for path in EXAMPLES),
        "[mypy-carptwist_examples.*]\ndisallow_untyped_calls = False\n",
        "[mypy-carptwist.*]\nfollow_imports = silent\n",
    ]
)


def check(directory: Path, program: str) -> subprocess.CompletedProcess[str]:
    """What ``mypy --strict`` says of a program."""
    (directory / "program.py").write_text(program)
    return strictly(directory, "program.py")


def strictly(directory: Path, *words: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run ``mypy --strict`` somewhere."""
    (directory / "mypy.ini").write_text(CONFIGURATION)
    cache = directory.parent / "mypy"  # for all of these tests
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "mypy.ini", "--cache-dir", str(cache), *words]
    environment = {**os.environ, "MYPYPATH": f"{ROOT}:{path}"}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_a_program_that_uses_the_public_api(tmp_path: Path) -> None:
    """Passes ``mypy --strict``; one that misuses it does not."""
    good = check(tmp_path, PROGRAM)
    errors = [line for line in good.stdout.splitlines() if line.startswith("program.py")]
    assert errors == []
    assert good.returncode == 0, good.stdout
    bad = check(tmp_path, PROGRAM.replace('client.demote(100, "shop"', 'client.demote("100", "shop"'))
    assert "program.py" in bad.stdout
    assert "incompatible type" in bad.stdout


def test_the_examples(tmp_path: Path) -> None:
    """Pass as well."""
    assert len(EXAMPLES) >= 4
    checked = strictly(tmp_path, *map(str, EXAMPLES))
    assert checked.returncode == 0, checked.stdout
    checked = strictly(tmp_path, "-p", "carptwist_examples", path=PLUGINS)
    assert checked.returncode == 0, checked.stdout
