"""What is public is documented: names, parameters, fields, and the exceptions that a function itself raises."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest
from zope.interface import Attribute, implementedBy
from zope.interface.interface import InterfaceClass, Method

from carptwist import api, interfaces

NAMES = [name for name in api.__all__ if name != "Event"]  # which is another name for dict
INTERFACES = [
    each
    for each in vars(interfaces).values()
    if isinstance(each, InterfaceClass) and each.__module__ == interfaces.__name__
]


def own_docstring(thing: Any) -> str:
    """Not what it has inherited."""
    return inspect.cleandoc(thing.__doc__ or "") if "__doc__" in dir(thing) else ""


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public functions and properties that a class defines itself."""
    for name, value in vars(kind).items():
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield name, value


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def fields(kind: type) -> list[str]:
    """The values that an object of a class is made of, and has."""
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if issubclass(kind, Enum):
        return list(kind.__members__)
    return list(getattr(kind, "_fields", ()))


def raised(function: Callable[..., Any]) -> set[str]:
    """The exceptions that a function itself raises, by name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
    return {call.func.id for call in calls if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_says_what_it_is(name: str) -> None:
    """In a sentence of its own."""
    said = own_docstring(getattr(api, name))
    assert re.search(r"[.:)]$", said.split("\n\n")[0]), said
    assert not said.startswith(f"{name}("), "that is what dataclasses make"


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_told(name: str) -> None:
    """Of what is a value."""
    thing = getattr(api, name)
    if inspect.isclass(thing):
        told = re.findall(r"^:[ic]var (\w+): \S", own_docstring(thing), re.MULTILINE)
        assert told == fields(thing) or (not fields(thing) and issubclass(thing, Exception))


@pytest.mark.parametrize("name", NAMES)
def test_every_function_says_what_it_does(name: str) -> None:
    """And names its parameters, or tells of them, and the exceptions that it raises."""
    thing = getattr(api, name)
    functions = dict(members(thing)) if inspect.isclass(thing) else {name: thing}
    for each, function in functions.items():
        code = function.fget if isinstance(function, property) else function
        said = own_docstring(code)
        if not said and inspect.isclass(thing) and any(each in promised for promised in implementedBy(thing)):
            continue  # an interface says it
        assert said, f"{name}.{each} says nothing"
        for exception in raised(inspect.unwrap(code)):
            assert exception in said, f"{name}.{each} raises {exception}"


def test_constructors() -> None:
    """What programs make themselves has its parameters told, each of them."""
    for kind in (api.CarpService, api.CarpGatedService, api.CarpServerEndpoint, api.PlanePlugin):
        said = own_docstring(kind)
        for name in parameters(kind):
            assert name in ("reactor", "boottime") or f":param {name}:" in said, f"{kind.__name__}: {name}"


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda each: each.__name__)
def test_interfaces_state_guarantees(interface: InterfaceClass) -> None:
    """Every method and every attribute of every interface."""
    assert own_docstring(interface)
    for name in interface.names():
        told = interface[name]
        assert isinstance(told, Attribute | Method)
        assert told.__doc__, f"{interface.__name__}.{name}"
