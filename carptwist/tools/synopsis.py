"""What the command lines of the programs are, as values: for completion files and manual pages.

Both are made from the parsers themselves, so that no verb and no option is missing there. ``python -m
carptwist.tools.synopsis DIRECTORY`` writes them all; ``make docs`` does that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from carptwist.tools import carpctl, carptwist


class Option(NamedTuple):
    """``names`` are empty for a positional argument; ``value`` is what stands for its value, empty if it takes none;
    ``several`` whether there may be more than one of it."""

    names: tuple[str, ...]
    value: str
    text: str
    choices: tuple[str, ...] = ()
    several: bool = False


class Verb(NamedTuple):
    """One verb, or a whole program without verbs."""

    name: str
    summary: str
    options: tuple[Option, ...]


class Program(NamedTuple):
    """A program with verbs."""

    name: str
    summary: str
    options: tuple[Option, ...]
    verbs: tuple[Verb, ...]


def programs() -> tuple[Program, ...]:
    """carpctl and carptwist."""
    return (
        _program("carpctl", "talk to a running carptwist daemon", [carpctl.make_parser()]),
        _program(
            "carptwist",
            "CARP without a daemon: checks, labs, simulations, captures",
            [carptwist.make_parser([verb]) for verb in carptwist.VERBS],
        ),
    )


def _program(name: str, summary: str, parsers: list[argparse.ArgumentParser]) -> Program:
    """From one parser or several, each of which knows the arguments of some of the verbs."""
    verbs: dict[str, Verb] = {}
    for parser in parsers:
        found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
        summaries = {choice.dest: choice.help or "" for choice in found._choices_actions}
        for verb, its in found.choices.items():
            described = Verb(verb, summaries.get(verb, ""), tuple(_options(its)))
            if verb not in verbs or len(described.options) > len(verbs[verb].options):
                verbs[verb] = described
    return Program(name, summary, tuple(_options(parsers[0])), tuple(verbs.values()))


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        takes_value = action.nargs != 0
        choices = tuple(map(str, action.choices)) if action.choices else ()
        value = ""
        if takes_value:
            metavar = action.metavar if isinstance(action.metavar, str) else None
            value = metavar or ("|".join(choices) if choices else action.dest.upper())
        text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
        several = action.nargs in ("*", "+", argparse.REMAINDER)
        yield Option(tuple(action.option_strings), value, text, choices, several)


def main(directory: Path) -> None:
    """Write the completion files and the manual pages."""
    from carptwist.tools import completion, manual

    for name, text in (*completion.files(), *manual.files(directory / "docs" / "configuration.md")):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
