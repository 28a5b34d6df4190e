"""What is wrong with a configuration that was built by hand, of values each of which is right.

The reader of files judges the same, and knows the lines; this is for programs that make their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from carptwist.config.problems import ConfigurationError, Problem
from carptwist.config.reader import PluginFault
from carptwist.config.rules import VirtualHostLines, conflicts
from carptwist.config.schema import Configuration, VirtualHostConfig
from carptwist.config.unicast import HostAddress
from carptwist.config.values import address_fault

_LINE = re.compile(r", (?:on|after) line [0-9]+")


def demand_whole(configuration: Configuration, fault_of: PluginFault = lambda kind, name: None) -> None:
    """Nothing, if its parts go together.

    :param fault_of: why there is no such plug-in for such a section.
    :raises ConfigurationError: with everything that is wrong, each problem at line 0 of "configuration".
    """
    found = [
        *_addresses(configuration),
        *_names(configuration),
        *_of_several(configuration),
        *_plugins(configuration, fault_of),
    ]
    if found:
        raise ConfigurationError(Problem("configuration", 0, text) for text in found)


def _addresses(configuration: Configuration) -> Iterator[str]:
    for config in configuration.vhids:
        for address in config.addresses:
            fault = address_fault(address)
            if fault is not None:
                yield f"[vhid {config.name}] address = {address}: {fault}"


def _names(configuration: Configuration) -> Iterator[str]:
    for kind, sections in (
        ("hook", configuration.hooks),
        ("webhook", configuration.webhooks),
        ("check", configuration.checks),
        ("sync", configuration.syncs),
        ("link", configuration.links),
    ):
        names = [section.name for section in sections]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"[{kind} {name}] a second time: each {kind} has a name of its own"
    devd = configuration.devd
    if devd is not None and devd.unix == configuration.control.unix:
        yield f"[devd] unix = {devd.unix}: is the socket of [control] already"


def _plugins(configuration: Configuration, fault_of: PluginFault) -> Iterator[str]:
    for kind, sections in (
        ("vhid", configuration.vhids),
        ("link", configuration.links),
        ("hook", configuration.hooks),
        ("check", configuration.checks),
    ):
        for section in sections:
            fault = fault_of(kind, section.plugin) if section.plugin is not None else None
            if fault is not None:
                yield f"[{kind} {section.name}] plugin = {section.plugin}: {fault}"


def _of_several(configuration: Configuration) -> Iterator[str]:
    # There are no lines: what would be said of two places is said without them.
    lines = [_lines(number, config) for number, config in enumerate(configuration.vhids, 1)]
    for _, text in conflicts(lines, configuration.knobs):
        yield _LINE.sub("", text).replace("is on line", "is there already, as number")


def _lines(number: int, config: VirtualHostConfig) -> VirtualHostLines:
    hosts: list[tuple[int, str, HostAddress]] = [
        (number, key, host)
        for key, those in (("peer", config.peers), ("peer6", config.peers6), ("source", config.sources))
        for host in those
    ]
    return VirtualHostLines(
        number,
        f"[vhid {config.name}]",
        config.vhid,
        config.interface,
        tuple((number, address) for address in config.addresses),
        tuple(hosts),
        (number, config.plane),
    )
