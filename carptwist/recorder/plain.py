"""Configurations and links as plain values that JSON can say, and back. A pass phrase is never among them.

Of the phrases of a vhid it is only told how many there are: who replays a record has made-up ones.
"""

from __future__ import annotations

from dataclasses import fields
from ipaddress import ip_address, ip_interface
from typing import Any

from carptwist.config.schema import Dialect, Knobs, Phrase, PlaneKind, ReplayMode, VirtualHostConfig
from carptwist.election.state import State
from carptwist.interfaces import LinkState

Plain = Any


def of(value: object) -> Plain:
    """The plain value of an argument of a command."""
    if isinstance(value, VirtualHostConfig):
        return {"config": of_config(value)}
    if isinstance(value, Knobs):
        return {"knobs": of_knobs(value)}
    if isinstance(value, State):
        return {"state": value.value}
    if isinstance(value, list | tuple):
        return {"list": [of(each) for each in value]}
    if callable(value):
        return None  # somebody else's business, which the node only waits for
    assert value is None or isinstance(value, str | int | float), value
    return value


def back(plain: Plain) -> Any:
    """The argument that a plain value was made of."""
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    match kind:
        case "config":
            return to_config(value)
        case "knobs":
            return Knobs(**value)
        case "state":
            return State(value)
        case "list":
            return [back(each) for each in value]
    raise ValueError(f"a {kind} is no argument")


def of_knobs(knobs: Knobs) -> Plain:
    return {field.name: getattr(knobs, field.name) for field in fields(knobs)}


def of_config(config: VirtualHostConfig) -> Plain:
    return {
        "vhid": config.vhid,
        "interface": config.interface,
        "addresses": [str(each) for each in config.addresses],
        "phrases": len(config.phrases),
        "advbase": config.advbase,
        "advskew": config.advskew,
        "plane": config.plane.value,
        "dialect": config.dialect.value,
        "replay": config.replay.value,
        "group": config.group,
        "peers": [str(each) for each in config.peers],
        "peers6": [str(each) for each in config.peers6],
        "sources": [str(each) for each in config.sources],
        "plugin": config.plugin,
        "argument": list(config.argument),
    }


def to_config(plain: Plain) -> VirtualHostConfig:
    settings: dict[str, Any] = dict(plain)
    settings["addresses"] = tuple(map(ip_interface, plain["addresses"]))
    settings["phrases"] = tuple(Phrase(bytes((number,))) for number in range(plain["phrases"]))
    settings["plane"] = PlaneKind(plain["plane"])
    settings["dialect"] = Dialect(plain["dialect"])
    settings["replay"] = ReplayMode(plain["replay"])
    settings["argument"] = tuple(plain.get("argument", ()))  # what was recorded before there were any has none
    for name in ("peers", "peers6", "sources"):
        settings[name] = tuple(map(ip_address, plain[name]))
    return VirtualHostConfig(**settings)


def of_link(link: LinkState) -> Plain:
    return {
        "name": link.name,
        "index": link.index,
        "up": link.up,
        "carrier": link.carrier,
        "mac": link.mac.hex(),
        "mtu": link.mtu,
        "hardware": link.hardware,
        "own4": [str(each) for each in link.own4],
        "own6": [str(each) for each in link.own6],
        "networks": [str(each) for each in link.networks],
    }


def to_link(plain: Plain) -> LinkState:
    settings: dict[str, Any] = dict(plain)
    settings["mac"] = bytes.fromhex(plain["mac"])
    settings["own4"] = tuple(map(ip_address, plain["own4"]))
    settings["own6"] = tuple(map(ip_address, plain["own6"]))
    settings["networks"] = tuple(map(ip_interface, plain["networks"]))
    return LinkState(**settings)
