"""A value -> how one writes it in a configuration: the way back from :mod:`carptwist.config.values`."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from carptwist.config.keys import SECTIONS, Key
from carptwist.config.schema import Phrase

#: The fields of the schema that are called otherwise than their key, by key.
_FIELDS: Final = {
    "address": "addresses",
    "pass": "phrases",
    "peer": "peers",
    "peer6": "peers6",
    "source": "sources",
}
_KEYS: Final = {field: key for key, field in _FIELDS.items()}


def field_of(key: Key) -> str:
    """The field of the schema that has a key's value."""
    return _FIELDS.get(key.name, key.name)


def key_of(kind: str, field: str) -> Key | None:
    """The key of a kind of section whose value a field of the schema has."""
    return SECTIONS[kind].key(_KEYS.get(field, field))


def spelled(value: Any) -> tuple[str, ...]:
    """The texts of a value, one for each line that it takes; none for a value that is not there."""
    if value is None:
        return ()
    if isinstance(value, tuple | list):
        return tuple(text for each in value for text in spelled(each))
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    if isinstance(value, Enum):
        return (str(value.value),)
    if isinstance(value, Phrase):
        return (value.octets.decode(),)
    return (str(value),)
