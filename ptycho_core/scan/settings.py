"""The ``--set key=value`` pairs that answer what a file leaves open."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ptycho_core.base.errors import Fix, InputError, did_you_mean
from ptycho_core.scan.orientation import ORIENTATIONS
from ptycho_core.scan.radiation import PROPAGATORS, SOURCES
from ptycho_core.scan.units import UNITS

_T = TypeVar("_T")

_OF_FAULTS = ("missing", "bad_positions")
"""Settings that answer a fault: where it has been mended since, they still hold."""
NUMBER = ("a positive number",)
WHOLE = ("a whole number from 0 on",)

SETTINGS: dict[str, tuple[str, ...]] = {
    "data": ("amplitude", "counts", "log", "log10", "log2", "plain-log", "plain-log10", "plain-log2"),
    "dc": ("centre", "corner", "top", "left"),
    "axes": ("nyx", "yxn", "nxy"),
    "square": ("crop", "pad"),
    "bad_pixels": ("mask", "drop", "zero", "fill"),
    "skip_lines": WHOLE,
    "bad_positions": ("drop",),
    "mask": ("file", "invert", "ignore", "common"),
    "dark": ("subtract", "ignore"),
    "scan_index": (),
    "pairing": ("order", "value"),
    "missing": ("skip",),
    "angle": ("correct", "ignore"),
    "position_unit": tuple(UNITS),
    "columns": WHOLE,
    "snake": ("no", "yes"),
    "flyback": WHOLE,
    "step_m": NUMBER,
    "orientation": ORIENTATIONS,
    "probe": ("file", "ignore", "crop", "resample"),
    "source": SOURCES,
    "energy_ev": NUMBER,
    "propagator": PROPAGATORS,
    "distance_m": NUMBER,
    "defocus_m": NUMBER,
    "magnification": NUMBER,
    "detector_pixel_m": NUMBER,
    "object_pixel_m": NUMBER,
}
"""Every setting and its valid values; none listed: they depend on the file."""

HELP = {
    "data": "What the stored numbers are: photon counts, amplitudes (their roots), or logarithms: of 1 + counts, or "
    "plain ones",
    "dc": "Where a stored pattern has its centre, the undiffracted beam",
    "axes": "Which axes of the stored array are pattern (n), row (y) and column (x)",
    "square": "What makes the patterns square: crop them, or pad them with masked pixels",
    "bad_pixels": "Values that are no counts: mask the pixels, drop the patterns, set to zero, or fill with the mean",
    "skip_lines": "Lines at the beginning of a table of positions that are passed over",
    "bad_positions": "What is done with patterns whose position is not a finite number: they are left out",
    "mask": "Take the mask in the file, invert it, ignore it; of one for each pattern mask what is bad in half of them",
    "dark": "Whether the dark frame in the file is subtracted",
    "scan_index": "Which of the scans in the file is read",
    "pairing": "Whether patterns and positions belong together by order or by the value of their indexes",
    "missing": "Whether to go on without patterns that the file speaks of and does not hold",
    "angle": "Whether x is shortened by the angle to which the sample is turned",
    "position_unit": "The unit of the stored positions",
    "columns": "Patterns in a line of a raster whose positions the file does not hold",
    "snake": "Whether every second line of such a raster runs backwards",
    "flyback": "Patterns at the end of each line of such a raster that were taken on the way back, and are left out",
    "step_m": "From one pattern of such a raster to the next",
    "orientation": "Which stored coordinate of the positions, with which sign, is the row, then which is the column",
    "probe": "Take the probe in the file, ignore it and guess one, or crop or resample it to the patterns' size",
    "source": "What the beam is made of: photons, or electrons, whose wavelength is another at the same energy",
    "energy_ev": "Energy of a photon, or the kinetic energy of an electron (its voltage)",
    "propagator": "Whether the detector is in the far field, where patterns are Fourier transforms, or in the near "
    "field, where they are shadows blurred by Fresnel diffraction",
    "distance_m": "From sample to detector",
    "defocus_m": "From the beam's focus to the sample behind it, in the near field: with the distance it tells the "
    "magnification",
    "magnification": "Of the sample's shadow on the detector, in the near field, in place of the defocus: 1 in a "
    "parallel beam",
    "detector_pixel_m": "Pitch of the detector's pixels",
    "object_pixel_m": "Size of a pixel of the object, in place of what energy, distance and detector pixel give",
}
"""What each setting means, in a sentence."""


@dataclass(frozen=True)
class Assumption:
    """What a file left open and the reader decided; settable with ``--set key=value``, and so ``answered``.

    What is ``doubtful`` may as well be otherwise: it is a problem of the scan until it is answered.
    """

    key: str
    value: str
    choices: tuple[str, ...]
    reason: str
    answered: bool = False
    doubtful: bool = False


class Settings:
    """What the operator set, asked for key by key while a file is read; collects what was assumed instead.

    Raises
    ------
    InputError
        On creation for a key that does not exist or a value that is not valid.
    """

    def __init__(self, path: Path, given: Mapping[str, str] | None) -> None:
        self._path = path
        self.given = dict(given or {})
        self._asked: set[str] = set()
        self.assumptions: list[Assumption] = []
        for key, value in self.given.items():
            if key not in SETTINGS:
                raise InputError(f"{path}: there is no setting '{key}'; {did_you_mean(key, SETTINGS)}")
            if SETTINGS[key] == NUMBER:
                _positive(key, value)
            elif SETTINGS[key] == WHOLE:
                if not value.isdecimal():
                    raise InputError(f"{key}={value} is not valid; it must be a whole number from 0 on")
            elif SETTINGS[key] and value not in SETTINGS[key]:
                raise InputError(f"{path}: {key}={value} is not valid; it is one of {', '.join(SETTINGS[key])}")

    def get(self, key: str, choices: Sequence[str] = ()) -> str | None:
        """Return what was set, or None; ``choices`` are the values valid for this file, if not all are."""
        self._asked.add(key)
        value = self.given.get(key)
        if value is not None and choices and value not in choices:
            raise InputError(f"{self._path}: {key}={value} is not valid here; it is one of {', '.join(choices)}")
        return value

    def number(self, key: str) -> float | None:
        """Return the positive number that was set, or None."""
        value = self.get(key)
        return None if value is None else _positive(key, value)

    def unless_answered(
        self, key: str, read: Callable[[], _T], ignore: str | None = None, choices: Iterable[str] = ()
    ) -> _T | None:
        """Return what a file states, unless the operator has answered: then it does not matter what is wrong with it.

        Parameters
        ----------
        key
            The setting.
        read
            Reads it.
        ignore
            The one answer that makes it useless, where others do not.
        choices
            The answers to offer, where it is no number.

        Raises
        ------
        InputError
            What is there cannot be used; the sentence names the setting, and `InputError.fixes` has it.
        """
        given = self.get(key)
        if ignore and given == ignore:
            return None
        answered = given is not None and ignore is None
        try:
            found = read()  # even then: it tells what it was asked for and what it assumed
            return None if answered else found
        except InputError as error:
            if answered:
                return None
            if ignore:
                fixes, answer = [Fix(f"leave out the {key}", key, ignore)], f"{key}={ignore}"
            else:
                fixes, answer = [Fix(f"it is in {one}", key, one) for one in choices] or [Fix("say it", key, None)], key
            raise InputError(f"{error}; or set {answer}", [*error.fixes, *fixes]) from error

    def assume(
        self, key: str, default: str, reason: str, choices: Sequence[str] = (), *, doubtful: bool = False
    ) -> str:
        """Return what was set, else ``default``; either is recorded as an `Assumption`."""
        valid = tuple(choices) or SETTINGS[key]
        value = self.get(key, () if valid in (NUMBER, WHOLE) else valid)
        if value is None:
            made = Assumption(key, default, valid, reason, doubtful=doubtful)
        else:
            made = Assumption(key, value, valid, "set by the operator", answered=True)
        self.assumptions.append(made)
        return made.value

    def check_all_asked(self) -> list[str]:
        """Return the answers to faults that this file does not have, for a remark.

        Raises
        ------
        InputError
            Other settings mean nothing for this file: none is ignored in silence.
        """
        spare = [key for key in self.given if key not in self._asked and key in _OF_FAULTS]
        unused = [key for key in self.given if key not in self._asked and key not in _OF_FAULTS]
        if unused:
            raise InputError(
                f"{self._path}: the setting {', '.join(unused)} does not apply to this file; "
                f"those that do: {', '.join(sorted(self._asked))}"
            )
        return spare


def _positive(key: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise InputError(f"{key}={value} is not valid; it must be a positive number")
    return number
