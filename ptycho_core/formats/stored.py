"""What a reader hands over: what a file holds, in the file's own values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ptycho_core.scan.scan import ArraySource, Geometry, GoodPixels, PatternStep


@dataclass(eq=False)
class Stored:
    """What a reader found, in the file's own values; its axes already (n, y, x) and (y, x).

    Parameters
    ----------
    source
        Patterns as stored, (n, y, x) after ``steps``.
    positions
        (n, 2) float64 (y, x) of the probe on the sample, of the patterns at ``rows``, in ``unit``.
    values
        What the format holds where the numbers do not tell: "counts", "amplitude", or of `conversions.LOGARITHMS`.
    unit
        A key of `UNITS`; ``unit_reason`` says why.
    axes_reason
        Why the rows of the patterns run along y, and their columns along x.
    steps
        What turns the stored patterns so that their axes are those of the positions.
    rows
        (n,) patterns of the source that have a position; None for all.
    mask
        (y, x) bool, True where good, or (n, y, x) masks of all patterns of the source.
    dark
        (y, x) counts without beam.
    probe
        (M, y, x) complex, any size.
    notes
        Sentences for the history.
    growing
        Whether the file was still being written.
    """

    source: ArraySource
    positions: NDArray[np.float64]
    values: str = "counts"
    unit: str = "px"
    unit_reason: str = "the format's convention"
    axes_reason: str = "positions and patterns are taken to share their axes"
    steps: tuple[PatternStep, ...] = ()
    rows: NDArray[np.int64] | None = None
    mask: GoodPixels | None = None
    dark: NDArray[np.float32] | None = None
    probe: NDArray[np.complex64] | None = None
    geometry: Geometry = field(default_factory=Geometry)
    indexes: NDArray[np.int64] | None = None
    object_guess: NDArray[np.complex64] | None = None
    notes: list[str] = field(default_factory=list)
    growing: bool = False
