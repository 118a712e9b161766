"""One setting's declaration: what it accepts, in words, as JSON and as text."""

from __future__ import annotations

import math

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import Knob

WHOLE = Knob(int, "S", "h", minimum=1, maximum=8)
PART = Knob(float, "S", "h", above=0.0, maximum=1.0)
MAYBE = Knob(int, "S", "h", minimum=1, none="auto")
WORD = Knob(str, "S", "h", choices=("adam", "adamw"))
SWITCH = Knob(bool, "S", "h")
SEVERAL = Knob(tuple, "S", "h", choices=("csv", "none", "mlflow"))
DEVICES = Knob(int, "S", "h", minimum=1, choices=("auto",))


@pytest.mark.parametrize(
    ("knob", "words"),
    [
        (WHOLE, "a whole number from 1 to 8"),
        (PART, "a number above 0 up to 1"),
        (MAYBE, "a whole number of at least 1 or auto"),
        (WORD, "adam or adamw"),
        (SWITCH, "true or false"),
        (SEVERAL, "csv, none or mlflow"),
        (DEVICES, "auto or a whole number of at least 1"),
    ],
)
def test_the_limits_are_said_in_words(knob, words):
    assert knob.valid() == words


@pytest.mark.parametrize(
    ("knob", "given", "value"),
    [
        (WHOLE, 1, 1),
        (WHOLE, 8.0, 8),
        (PART, 1, 1.0),
        (MAYBE, None, None),
        (WORD, "adamw", "adamw"),
        (SWITCH, False, False),
        (SEVERAL, ["csv", "mlflow"], ("csv", "mlflow")),
        (DEVICES, "auto", "auto"),
    ],
)
def test_valid_values_are_taken_in_the_knobs_own_type(knob, given, value):
    taken = knob.check("x", given)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        (WHOLE, 0),
        (WHOLE, 9),
        (WHOLE, 2.5),
        (WHOLE, True),
        (WHOLE, "2"),
        (WHOLE, None),
        (WHOLE, math.inf),
        (PART, 0.0),
        (PART, 1.1),
        (PART, math.nan),
        (MAYBE, "auto"),
        (WORD, "sgd"),
        (WORD, 1),
        (SWITCH, 1),
        (SWITCH, "true"),
        (SEVERAL, ()),
        (SEVERAL, "csv"),
        (SEVERAL, ("csv", "wandb")),
        (DEVICES, 0),
        (DEVICES, "all"),
    ],
)
def test_other_values_are_refused_with_name_limits_and_value(knob, value):
    with pytest.raises(InputError) as raised:
        knob.check("x", value)
    assert str(raised.value) == f"x must be {knob.valid()} (it is {value!r})"


@pytest.mark.parametrize(
    ("knob", "text", "value"),
    [
        (WHOLE, " 3 ", 3),
        (PART, "1e-1", 0.1),
        (MAYBE, "AUTO", None),
        (MAYBE, "4", 4),
        (WORD, "adam", "adam"),
        (SWITCH, "True", True),
        (SWITCH, "false", False),
        (SEVERAL, "csv, mlflow", ("csv", "mlflow")),
        (SEVERAL, "none", ("none",)),
        (DEVICES, "2", 2),
        (DEVICES, "auto", "auto"),
    ],
)
def test_text_is_read_as_it_is_meant(knob, text, value):
    assert knob.parse("x", text) == value


@pytest.mark.parametrize(
    ("knob", "text"), [(WHOLE, "three"), (WHOLE, "2.5"), (WHOLE, ""), (SWITCH, "yes"), (WORD, "auto"), (SEVERAL, ",")]
)
def test_text_that_means_nothing_is_refused(knob, text):
    with pytest.raises(InputError, match="x must be "):
        knob.parse("x", text)


@pytest.mark.parametrize(
    ("knob", "value"),
    [(WHOLE, 8), (PART, 1e-7), (MAYBE, None), (WORD, "adamw"), (SWITCH, False), (SEVERAL, ("csv", "mlflow"))],
)
def test_the_text_of_a_value_means_that_value(knob, value):
    assert knob.parse("x", knob.text(value)) == value
