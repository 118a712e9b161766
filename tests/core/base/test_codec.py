"""Dataclasses as JSON, there and back, and the sentences on what is wrong in a file."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ptycho_core.base import codec
from ptycho_core.base.codec import decode, decode_fields, encode, json_ready, read_json
from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import knob


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    LAYOUT: ClassVar[int] = 3

    width: int
    weight: float = 1.0

    def __post_init__(self):
        if self.width < 0:
            raise InputError("width must not be negative")


@dataclass(frozen=True)
class Thing:
    name: str
    parts: tuple[Part, ...] = ()
    main: Part | None = None
    colour: Colour = Colour.RED
    file: Path | None = None
    made: datetime = datetime(2026, 1, 31, tzinfo=UTC)
    whole: bool = True
    values: dict[str, float] = field(default_factory=dict)
    rest: Any = None
    size: int = knob(8, int, "Detector", "Width", minimum=8)
    words: tuple[str, ...] = knob(("csv",), tuple, "Logging", "Where to", choices=("csv", "none"))


FULL = Thing(
    "µ\n",
    (Part(1), Part(2, 0.1 + 0.2)),
    Part(3),
    Colour.BLUE,
    Path("/a/b"),
    datetime(2026, 1, 31, 9, 30, 0, 5, UTC),
    False,
    {"x": 1.5},
    {"free": [1]},
    9,
    ("csv", "none"),
)


@pytest.mark.parametrize("defaults", [True, False])
@pytest.mark.parametrize("thing", [FULL, Thing("plain")], ids=lambda thing: thing.name)
def test_every_kind_of_field_survives_json(thing, defaults):
    assert decode(Thing, json.loads(json.dumps(encode(thing, defaults=defaults))), "it") == thing


def test_what_is_default_can_be_left_out_and_a_layout_is_always_told():
    assert encode(Thing("plain", main=Part(2)), defaults=False) == {"name": "plain", "main": {"version": 3, "width": 2}}
    assert encode(Part(2)) == {"version": 3, "width": 2, "weight": 1.0}


def test_numbers_that_are_not_finite_come_back_as_nan():
    body = encode(Thing("it", values={"a": math.inf, "b": math.nan}))
    assert body["values"] == {"a": None, "b": None}
    assert all(map(math.isnan, decode(Thing, body, "it").values.values()))


def test_an_enum_is_plain_text_in_json():
    assert type(encode(Thing("it"))["colour"]) is str


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"nane": "x"}, "a.json has the unknown name 'nane'; did you mean name?"),
        ({"zzz": 1}, "a.json has the unknown name 'zzz'; there are name, parts, main, "),
        ({"name": 3}, "a.json: name must be a text (it is 3)"),
        ({"whole": 1}, "a.json: whole must be true or false (it is 1)"),
        ({"parts": {"width": 1}}, "a.json: parts must be a list (it is "),
        ({"parts": [{"width": 1}, {"width": True}]}, "a.json: parts[1].width must be a whole number (it is true)"),
        ({"parts": [{"width": 1.5}]}, "a.json: parts[0].width must be a whole number (it is 1.5)"),
        ({"main": {}}, "a.json: main lacks width"),
        ({"main": [1]}, "a.json: main must be a JSON object (it is [1])"),
        ({"main": {"width": -1}}, "a.json: main: width must not be negative"),
        ({"main": {"width": 1, "weight": "1"}}, 'a.json: main.weight must be a number (it is "1")'),
        ({"main": {"width": 1, "weight": 10**400}}, "a.json: main.weight must be a number (it is 1000"),
        ({"main": {"width": 1, "version": 4}}, "a.json: main has version 4; this program reads version 3"),
        ({"colour": "green"}, 'a.json: colour must be one of red, blue (it is "green")'),
        ({"file": 3}, "a.json: file must be a text (it is 3)"),
        ({"made": "today"}, 'a.json: made must be a time, as 2026-01-31T09:30:00+00:00 (it is "today")'),
        ({"values": [1]}, "a.json: values must be an object (it is [1])"),
        ({"values": {"x": "y"}}, 'a.json: values.x must be a number (it is "y")'),
        ({"size": 7}, "a.json: size must be a whole number of at least 8 (it is 7)"),
        ({"words": ["cvs"]}, "a.json: words must be csv or none (it is ('cvs',))"),
        ({"name": ["x" * 200]}, "xxx...)"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_file_and_place(change, sentence):
    with pytest.raises(InputError) as raised:
        decode(Thing, {"name": "it", **change}, "a.json")
    assert sentence in str(raised.value)


def test_what_is_missing_is_named_unless_only_some_fields_are_asked_for():
    with pytest.raises(InputError, match=r"a\.json lacks name"):
        decode(Thing, {"size": 9}, "a.json")
    assert decode_fields(Thing, {"size": 9.0, "words": ["none"]}, "a.json") == {"size": 9, "words": ("none",)}


def test_numpy_becomes_plain_and_what_json_cannot_say_is_an_error():
    assert json_ready({"a": np.array([[1, 2]]), "b": np.float32("nan")}) == {"a": [[1, 2]], "b": None}
    with pytest.raises(TypeError, match="complex"):
        json_ready({"a": [1j]})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"{", "the list .* is not JSON"),
        (b"\xff", "the list .* is not JSON"),
        (b"[" * 100_000, "the list .* is not JSON"),
        (b" " * 21, "the list .* is larger than"),
        (None, "cannot read the list .*: No such file"),
    ],
)
def test_a_file_that_is_no_json_is_named(tmp_path, monkeypatch, data, sentence):
    if data is not None:
        monkeypatch.setattr(codec, "LARGEST_FILE", 20 if data.isspace() else 2**20)
        (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=sentence):
        read_json(tmp_path / "a.json", "the list")


def test_the_codec_comes_without_numpy():
    code = "import sys; import ptycho_core.base.codec; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
