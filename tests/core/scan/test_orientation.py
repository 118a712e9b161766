"""Orientations in words."""

from __future__ import annotations

import pytest

from ptycho_core.scan.orientation import ORIENTATIONS, in_words


@pytest.mark.parametrize(
    ("orientation", "words"),
    [
        ("+y+x", "as stored"),
        ("+y-x", "x reversed"),
        ("-y-x", "y reversed, x reversed"),
        ("+x+y", "axes swapped"),
        ("+x-y", "axes swapped, y reversed"),
    ],
)
def test_words_say_what_is_done_to_the_coordinates(orientation, words):
    assert in_words(orientation) == words


def test_no_two_orientations_are_called_the_same():
    assert len({in_words(orientation) for orientation in ORIENTATIONS}) == len(ORIENTATIONS)
