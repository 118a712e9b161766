"""Lengths in words: in metres with a fitting prefix where the pixel size is known, else in pixels."""

from __future__ import annotations

import PySide6  # noqa: F401  isort: skip  before pyqtgraph
import pyqtgraph as pg  # isort: skip


def length_text(length: float, in_metres: bool) -> str:
    """Return such as "84 nm" or "3.2 px"."""
    return pg.siFormat(length, precision=3, suffix="m") if in_metres else f"{length:.3g} px"


def place_text(x: float, y: float, pixel_size_m: tuple[float, float] | None) -> str:
    """Return where an object pixel lies, from the upper left corner of the canvas."""
    if pixel_size_m is None:
        return f"x {x:.0f}, y {y:.0f} px"
    return f"x {x * pixel_size_m[1] * 1e6:.3f} µm, y {y * pixel_size_m[0] * 1e6:.3f} µm"
