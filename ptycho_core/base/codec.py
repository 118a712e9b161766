"""Frozen dataclasses as JSON, there and back: config, steps, mappings, run records and events. No NumPy here.

A module of our own: msgspec passes over unknown names in dataclasses, cattrs takes 3 for a text and "4" for a number,
and both would need as much code around them to say in a sentence what would be right.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from ptycho_core.base.errors import InputError, did_you_mean

LARGEST_FILE = 64 * 2**20
"""Bytes that a JSON file may have: a larger one is another file, chosen by mistake."""

_T = TypeVar("_T")
_PLAIN: dict[Any, str] = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def json_ready(value: Any) -> Any:
    """Return ``value`` in JSON's own types.

    NaN and infinity become null, arrays and tuples lists, paths and times texts, dataclasses what `encode` makes of
    them.

    Raises
    ------
    TypeError
        A type that has no counterpart in JSON.
    """
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy
        value = value.tolist()
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if dataclasses.is_dataclass(value):
        return encode(value)
    raise TypeError(f"{type(value).__name__} has no counterpart in JSON")


def encode(record: Any, *, defaults: bool = True) -> dict[str, Any]:
    """Return a dataclass as a JSON object, with its ``LAYOUT`` as ``version`` if it has one.

    Parameters
    ----------
    record
        The dataclass.
    defaults
        Whether fields are there that are as by default, in it and in dataclasses that it holds.
    """
    layout = getattr(record, "LAYOUT", None)
    body: dict[str, Any] = {} if layout is None else {"version": layout}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            body[field.name] = encode(value, defaults=defaults)
        elif defaults or value != _default(field):
            body[field.name] = json_ready(value)
    return body


def read_json(path: Path, what: str) -> Any:
    """Return what a JSON file holds; ``what`` is its name in messages, as "the mapping".

    Raises
    ------
    InputError
        The file cannot be read, is larger than `LARGEST_FILE`, or is not JSON.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise InputError(f"{what} {path} is larger than {LARGEST_FILE // 2**20} MiB, so it is none")
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} {path} is not JSON: {error}") from error


def decode(kind: type[_T], body: object, source: str) -> _T:
    """Return the dataclass that `encode` made an object of.

    Its fields hold texts, numbers, enums, paths, times, tuples, dicts and such dataclasses, or None beside one of them;
    numbers that were not finite are NaN. Fields declared by `ptycho_core.base.knobs.knob` are checked by that.

    Parameters
    ----------
    kind
        The dataclass; an object without ``version`` has that of its ``LAYOUT``.
    body
        What the JSON holds.
    source
        Its name, for messages.

    Raises
    ------
    InputError
        Another version, an unknown or missing name, a value of the wrong type or outside its limits; by its place.
    """
    found: _T = _object(kind, body, source, "")
    return found


def decode_fields(kind: type[Any], body: object, source: str) -> dict[str, Any]:
    """Return those fields of a dataclass that a JSON object names; it need not name all of them.

    Raises
    ------
    InputError
        As `decode`.
    """
    return _fields(kind, body, source, "")


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _where(source: str, place: str) -> str:
    return f"{source}: {place}" if place else source


def _object(kind: Any, body: object, source: str, place: str) -> Any:
    values = _fields(kind, body, source, place)
    required = [field.name for field in dataclasses.fields(kind) if _default(field) is dataclasses.MISSING]
    missing = [name for name in required if name not in values]
    if missing:
        raise InputError(f"{_where(source, place)} lacks {', '.join(missing)}")
    try:
        return kind(**values)
    except InputError as error:
        raise InputError(f"{_where(source, place)}: {error}") from None


def _fields(kind: Any, body: object, source: str, place: str) -> dict[str, Any]:
    where = _where(source, place)
    if not isinstance(body, dict):
        raise InputError(f"{where} must be a JSON object (it is {_short(body)})")
    layout = getattr(kind, "LAYOUT", None)
    if layout is not None:
        found = body.get("version", layout)
        if found != layout:
            raise InputError(f"{where} has version {_short(found)}; this program reads version {layout}")
        body = {name: value for name, value in body.items() if name != "version"}
    fields = {field.name: field for field in dataclasses.fields(kind)}
    values = {}
    for name, value in body.items():
        if name in getattr(kind, "GONE", ()):
            continue
        if name not in fields:
            raise InputError(f"{where} has the unknown name {name!r}; {did_you_mean(str(name), fields)}")
        inside = f"{place}.{name}" if place else name
        knob = fields[name].metadata.get("knob")
        if knob is None:
            values[name] = _value(_hints(kind)[name], value, source, inside)
        else:
            values[name] = knob.check(f"{source}: {inside}", tuple(value) if isinstance(value, list) else value)
    return values


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, value: object, source: str, place: str) -> Any:
    """Return a JSON value as the type that a field declares."""
    if hint in _PLAIN:
        return _plain(hint, value, source, place)
    if isinstance(hint, types.UnionType):
        (one,) = (option for option in typing.get_args(hint) if option is not types.NoneType)
        return None if value is None else _value(one, value, source, place)
    container, inner = typing.get_origin(hint), typing.get_args(hint)
    if container is tuple:
        if not isinstance(value, list):
            raise _wrong(value, source, place, "a list")
        return tuple(_value(inner[0], item, source, f"{place}[{k}]") for k, item in enumerate(value))
    if container is dict:
        if not isinstance(value, dict):
            raise _wrong(value, source, place, "an object")
        return {name: _value(inner[1], item, source, f"{place}.{name}") for name, item in value.items()}
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return _object(hint, value, source, place)
    text = _plain(str, value, source, place)
    try:
        return datetime.fromisoformat(text) if hint is datetime else hint(text)
    except ValueError:
        right = "a time, as 2026-01-31T09:30:00+00:00" if hint is datetime else f"one of {', '.join(hint)}"
        raise _wrong(value, source, place, right) from None


def _plain(kind: Any, value: object, source: str, place: str) -> Any:
    if kind is float and value is None:  # JSON has no NaN
        return math.nan
    valid = isinstance(value, int | float) if kind is float else isinstance(value, kind)
    if valid and isinstance(value, bool) == (kind is bool):
        try:
            return kind(value)
        except OverflowError:  # a whole number beyond all floats
            pass
    raise _wrong(value, source, place, _PLAIN[kind])


def _wrong(value: object, source: str, place: str, right: str) -> InputError:
    return InputError(f"{_where(source, place)} must be {right} (it is {_short(value)})")


def _short(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 80 else f"{text[:80]}..."
