"""What is drawn of an object and a probe: plain data, made by `ptycho_core.quality.picture_making` in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptycho_core.quality.pyramid import Pyramid

if TYPE_CHECKING:
    from ptycho_core.formats.writers.images import Style


@dataclass(frozen=True)
class Options:
    """What is done to the phase for display only."""

    remove_ramp: bool = False
    unwrap: bool = False

    @property
    def note(self) -> str:
        """What to write onto the picture."""
        done = [name for name, on in (("ramp removed", self.remove_ramp), ("unwrapped", self.unwrap)) if on]
        return f"display only: {', '.join(done)}" if done else ""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is to be shown.

    Parameters
    ----------
    object
        (h, w) complex64.
    covered
        (h, w): where the picture counts.
    probe
        (M, N, N) complex64.
    positions_px
        (n, 2) on the object, (y, x) in its own pixels; None where they are not known.
    pixel_size_m
        Of an object pixel that is not binned (y, x).
    binning
        How many of those lie along a pixel of ``object``.
    """

    object: NDArray[np.complex64]
    covered: NDArray[np.bool_]
    probe: NDArray[np.complex64]
    positions_px: NDArray[np.float64] | None
    pixel_size_m: tuple[float, float] | None
    binning: int = 1


@dataclass(frozen=True, eq=False)
class Picture:
    """A complex image, ready to be drawn.

    Parameters
    ----------
    field
        (h, w) complex64: without mean phase, and without ramp if that was asked for.
    images
        By "amplitude" and "phase".
    styles
        How to show them, by the same names.
    dark
        1 where there was no light.
    box
        (x, y, width, height) in object pixels of what there was light on.
    """

    field: NDArray[np.complex64]
    images: dict[str, Pyramid]
    styles: dict[str, Style]
    dark: Pyramid
    box: tuple[float, float, float, float]
    options: Options


@dataclass(frozen=True, eq=False)
class Pictures:
    """A subject and its pictures; the probe (M, N, N) without the mean phase of its first mode."""

    subject: Subject
    object: Picture
    probe: NDArray[np.complex64]
