"""`ColourBar`: what the colours of a plot mean; dragging its handles sets the levels."""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QApplication

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit.plots.colour_maps import colour_map

_STEPS = 1000
_FEW_NUMBERS = [(0, 0.8), (1, 0.4)]
"""What part of the axis numbers may take that stand between others."""
_DECADES = range(-30, 31)
_PLAIN = (1e-2, 1e4)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class ColourBar(pg.ColorBarItem):  # type: ignore[misc]
    """Stands at the right of a plot.

    Parameters
    ----------
    item
        What it colours: a `pyqtgraph.ImageItem` or `Dots`.
    plot_item
        Beside which it stands.
    colours
        A name of `colour_map`.
    """

    def __init__(self, item: Any, plot_item: pg.PlotItem, colours: str) -> None:
        super().__init__(colorMap=colour_map(colours), colorMapMenu=False, width=12)
        self.axis.setWidth()  # as its numbers need
        self.axis.setStyle(textFillLimits=_FEW_NUMBERS)
        half_line = QFontMetrics(QApplication.font()).height() // 2
        for end in ("top", "bottom"):  # where the first and the last number stick out
            self.getAxis(end).setHeight(half_line)
        self.setImageItem(item, insert_in=plot_item)

    def show_levels(self, low: float, high: float) -> None:
        """Give the first and the last colour these values."""
        if not high > low:
            high = low + (abs(low) or 1.0)
        self.rounding = (high - low) / _STEPS
        self.setLevels((low, high))

    def set_logarithmic(self, on: bool) -> None:
        """Say whether what is coloured are logarithms, to the base of 10, of what the numbers shall say."""
        self.axis.setTicks([_log_ticks(1), _log_ticks(2, 5), _log_ticks(3, 4, 6, 7, 8, 9)] if on else None)

    def set_label(self, text: str) -> None:
        """Say what is coloured."""
        self.getAxis("left").setLabel(text)


def _log_ticks(*factors: int) -> list[tuple[float, str]]:
    """Return where these multiples of the powers of ten are among logarithms, and what is written there."""
    return [(decade + math.log10(factor), _number(factor, decade)) for decade in _DECADES for factor in factors]


def _number(factor: int, decade: int) -> str:
    if _PLAIN[0] <= (value := factor * 10.0**decade) < _PLAIN[1]:
        return f"{value:g}"
    return f"{'' if factor == 1 else f'{factor}·'}10{str(decade).translate(_SUPERSCRIPTS)}"
