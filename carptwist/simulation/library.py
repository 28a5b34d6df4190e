"""Scenario files on disk -> :class:`Scenario`, with the configurations that they name."""

from __future__ import annotations

from pathlib import Path

from carptwist import configuration
from carptwist.config import reader
from carptwist.config.problems import ConfigurationError, Problem
from carptwist.config.schema import Configuration
from carptwist.simulation import script
from carptwist.simulation.scenario import Scenario


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file and the configurations beside it.

    :raises ConfigurationError: with every error, also when a file cannot be read.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise ConfigurationError([Problem(str(path), 0, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([Problem(str(path), 0, "not UTF-8 text: save the file in that encoding")]) from None

    def read_file(name: str) -> Configuration:
        return configuration.load(str(path.parent / name)).configuration

    return script.read(text, str(path), read_file, read_text)


def read_text(text: str, name: str) -> Configuration:
    """A configuration that stands in a scenario. It names no files of its own.

    :raises ConfigurationError: with every error.
    """
    return reader.read(text, name, _no_file).configuration


def _no_file(path: str) -> str:
    raise OSError(0, "a configuration within a scenario names no other file")
