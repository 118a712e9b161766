"""Colour maps by the names that the core's styles use, without importing matplotlib, which takes long."""

from __future__ import annotations

from functools import cache

import numpy as np

import PySide6  # noqa: F401  isort: skip  before pyqtgraph
import pyqtgraph as pg  # isort: skip

# Every 21st or 22nd colour of twilight by Bastian Bechtold (CC0); between them it is linear to within 2 of 255.
_TWILIGHT = (
    "#e2d9e2", "#d1d5da", "#b3c6ce", "#95b5c7", "#7ba1c2", "#6b8cbf", "#6276ba", "#5f5eb3", "#5e43a5", "#592a8f",
    "#4e186f", "#3d114d", "#2f1436", "#3f123d", "#581647", "#741e4f", "#8e2c50", "#a24050", "#b25652", "#be6f5b",
    "#c6896c", "#cca389", "#d4bcac", "#ddd0ce", "#e2d9e2",
)  # fmt: skip


@cache
def colour_map(name: str, last: float = 1.0) -> pg.ColorMap:
    """Return a colour map: "gray", "viridis" or the cyclic "twilight".

    Parameters
    ----------
    name
        Of the map.
    last
        Only its beginning up to this part (0 to 1).
    """
    if name == "viridis":
        whole = pg.colormap.get("viridis")
    else:
        colours = ("#000000", "#ffffff") if name == "gray" else _TWILIGHT
        whole = pg.ColorMap(np.linspace(0, 1, len(colours)), [pg.mkColor(colour) for colour in colours])
    stops = np.linspace(0, 1, 256)
    return pg.ColorMap(stops, whole.map(stops * last, mode="byte"))
