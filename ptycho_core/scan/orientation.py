"""The eight ways to turn and mirror a pair of axes, each named by where its new axes come from: ``+y-x``, ``+x+y``.

The first sign and letter say which old axis, with which sign, is the new row axis; the second pair says the same of
the new column axis. ``+y+x`` changes nothing, ``+x+y`` swaps the axes, ``-y-x`` is half a turn. No NumPy here: the
command line's ``--help`` needs the names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ORIENTATIONS = ("+y+x", "+y-x", "-y+x", "-y-x", "+x+y", "+x-y", "-x+y", "-x-y")
"""All of them; the first changes nothing."""

Axis = tuple[int, int]
"""(old axis, sign): 0 for y and 1 for x; 1 or -1."""


def axes_of(orientation: str) -> tuple[Axis, Axis]:
    """Return where the new rows and the new columns come from."""
    signs, letters = orientation[::2], orientation[1::2]
    row, column = (("yx".index(letters[i]), 1 if signs[i] == "+" else -1) for i in (0, 1))
    return row, column


def inverse(orientation: str) -> str:
    """Return the orientation that undoes this one."""
    origins = {old: (new, sign) for new, (old, sign) in enumerate(axes_of(orientation))}
    return "".join("+-"[sign < 0] + "yx"[new] for new, sign in (origins[0], origins[1]))


def half_turn_of(orientation: str) -> str:
    """Return this orientation with both signs reversed."""
    return orientation.translate(str.maketrans("+-", "-+"))


def in_words(orientation: str) -> str:
    """Return what is done to a pair of coordinates: ``+x-y`` is "axes swapped, y reversed"."""
    parts = ["axes swapped"] if orientation[1] == "x" else []
    parts += [f"{letter} reversed" for letter in "yx" if f"-{letter}" in orientation]
    return ", ".join(parts) or "as stored"


_CLOSE = 1.05
"""A deviance below this multiple of the lowest does not tell the two orientations apart."""


@dataclass(frozen=True)
class OrientationTrial:
    """How well patterns that a short fit did not see were explained, with all patterns turned by ``orientation``.

    Parameters
    ----------
    deviance
        Mean half deviance per good pixel.
    misfit
        The same over what photon noise alone gives.
    """

    orientation: str
    deviance: float
    misfit: float


def rivals(trials: Sequence[OrientationTrial]) -> list[str]:
    """Return the orientations that fit nearly as well as the best, of trials of which the best comes first."""
    best, *others = trials
    return [trial.orientation for trial in others if trial.deviance < _CLOSE * best.deviance]
