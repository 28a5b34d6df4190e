"""Which part of the package may import which: the table of docs/architecture.md, held."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "carptwist"

#: What decides and what understands is free of time, chance, and the world.
PURE = (
    "twisted",
    "zope",
    "socket",
    "time",
    "random",
    "os",
    "secrets",
    "datetime",
    "pathlib",
    "subprocess",
    "threading",
)

#: Part -> what it must not import. A part is a package or a module of carptwist.
FORBIDDEN = {
    "wire": (*PURE, "carptwist.election", "carptwist.config", "carptwist.vhost"),
    "election": (*PURE, "carptwist.wire", "carptwist.config", "carptwist.vhost"),
    "config": (*PURE[:7], "carptwist.wire", "carptwist.election", "carptwist.vhost"),
    "vhost": ("carptwist.wire", "carptwist.protocols", "carptwist.links", "carptwist.planes", "carptwist.control"),
    "protocols": ("carptwist.links", "carptwist.planes", "carptwist.control", "carptwist.service"),
    "links": ("carptwist.planes", "carptwist.protocols", "carptwist.control", "carptwist.vhost", "carptwist.wire"),
    "planes": ("carptwist.protocols", "carptwist.control", "carptwist.vhost"),
    "hooks": ("carptwist.links", "carptwist.planes", "carptwist.protocols", "carptwist.control", "carptwist.vhost"),
    "checks": ("carptwist.links", "carptwist.planes", "carptwist.protocols", "carptwist.control", "carptwist.vhost"),
    "checks/health.py": PURE,
    "http": ("carptwist.links", "carptwist.planes", "carptwist.protocols", "carptwist.control", "carptwist.vhost"),
    "guard": ("carptwist.links", "carptwist.planes", "carptwist.protocols", "carptwist.control", "carptwist.vhost"),
    "integration": ("carptwist.links", "carptwist.planes", "carptwist.protocols", "carptwist.hooks"),
    "guard/process.py": ("carptwist", "twisted", "zope", "socket", "threading", "asyncio"),
    "admin": ("carptwist.links", "carptwist.planes", "carptwist.protocols", "carptwist.hooks", "carptwist.control"),
    "recorder": (
        "carptwist.links",
        "carptwist.control",
        "carptwist.tools",
        "carptwist.service",
        "carptwist.simulation",
    ),
    "control": ("carptwist.links", "carptwist.planes", "carptwist.protocols", "carptwist.tools"),
    "service.py": ("carptwist.links", "carptwist.planes", "carptwist.tools", "carptwist.simulation"),
}

#: The only places that name the global reactor.
MAY_NAME_THE_REACTOR = {"tap.py"}


def modules(part: str) -> list[Path]:
    """The source files of a part."""
    there = PACKAGE / part
    found = [there] if there.suffix == ".py" else sorted(there.rglob("*.py"))
    assert found, f"there is no {part}: mend this table"
    return found


def imports(path: Path, package: Path = PACKAGE) -> Iterator[str]:
    """Every module that a file imports, wherever in it, as an absolute name; of ``from x import y`` both x and x.y.

    What is imported for type checkers alone ties nothing together at run time, and does not count.
    """
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    parents = ("carptwist", *path.relative_to(package).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name: str, forbidden: str) -> bool:
    return name == forbidden or name.startswith(f"{forbidden}.")


@pytest.mark.parametrize("part", FORBIDDEN)
def test_a_part_imports_only_what_it_may(part: str) -> None:
    """No import of a part is forbidden to it."""
    offences = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules(part)
        for name in imports(path)
        if any(within(name, forbidden) for forbidden in FORBIDDEN[part])
    ]
    assert offences == []


def test_the_global_reactor_is_named_in_one_place() -> None:
    """Everything but the programs' mains is handed its reactor."""
    offenders = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if "twisted.internet.reactor" in set(imports(path))
    }
    assert offenders <= MAY_NAME_THE_REACTOR


def test_scapy_is_imported_by_the_tools_alone() -> None:
    """It is slow to import, rebinds IP protocol 112, and is under another licence."""
    importers = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if any(within(name, "scapy") for name in imports(path))
    }
    assert importers <= {"tools"}


def test_treq_is_imported_in_one_place() -> None:
    """Which is loaded only when something is to be asked of a server."""
    importers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(within(name, "treq") for name in imports(path))
    }
    assert importers == {"http/client.py"}


def test_the_walk_sees_what_it_must(tmp_path: Path) -> None:
    """The test's own eyes: relative and nested imports are seen, those for type checkers are not."""
    package = tmp_path / "carptwist"
    source = package / "vhost" / "seen.py"
    source.parent.mkdir(parents=True)
    source.write_text(
        "from ..wire import carp\ndef f():\n    import os.path\nif TYPE_CHECKING:\n    from .roster import Roster\n"
    )
    assert set(imports(source, package)) == {"carptwist.wire", "carptwist.wire.carp", "os.path"}
