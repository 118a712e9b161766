"""`PreprocessingFigures`: what a scan is before and after preprocessing, in figures."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from ptycho_core.preprocessing.preview import Effect, Look

_COLUMNS = ("Patterns", "Pattern size", "Object pixel", "Counts per pattern", "Masked pixels")
_UNKNOWN = "unknown"
_WHOLE = 100


class PreprocessingFigures(QWidget):
    """One line for the scan before, one for after; parts of what there was in percent."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        grid = QGridLayout(self)
        grid.setContentsMargins(2, 0, 2, 0)
        grid.setVerticalSpacing(1)
        grid.setHorizontalSpacing(18)
        for column, text in enumerate(("", *_COLUMNS)):
            grid.addWidget(
                QLabel(text), 0, column, Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
            )
            grid.setColumnStretch(column, 1 if column else 0)
        self._cells: list[list[QLabel]] = []
        for row, name in enumerate(("Before", "After"), start=1):
            grid.addWidget(QLabel(f"<b>{name}</b>"), row, 0)
            self._cells.append([QLabel() for _ in _COLUMNS])
            for column, cell in enumerate(self._cells[-1], start=1):
                cell.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                grid.addWidget(cell, row, column, Qt.AlignmentFlag.AlignRight)

    @property
    def texts(self) -> list[list[str]]:
        """What is shown before and after."""
        return [[cell.text() for cell in row] for row in self._cells]

    def show_effect(self, effect: Effect | None) -> None:
        """Show figures; None for none."""
        nothing = [""] * len(_COLUMNS)
        before = _figures(effect.before) if effect else nothing
        after = _figures(effect.after) if effect else nothing
        if effect:
            after[0] += _part(effect.after.n, effect.before.n)
            after[3] += _part(effect.after.counts, effect.before.counts)
        for cells, texts in zip(self._cells, (before, after), strict=True):
            for cell, text in zip(cells, texts, strict=True):
                cell.setText(text)


def _figures(look: Look) -> list[str]:
    masked = int(np.count_nonzero(~look.mask))
    return [
        _count(look.n),
        f"{look.size} × {look.size} px",
        _length(look.pixel_size_m),
        _count(look.counts) if look.counts >= _WHOLE else f"{look.counts:.3g}",
        f"{_count(masked)} ({masked / look.mask.size:.2%})".replace("%", " %") if masked else "0",
    ]


def _count(number: float) -> str:
    return f"{number:,.0f}".replace(",", "\u2009")


def _length(pixel: tuple[float, float] | None) -> str:
    if pixel is None:
        return _UNKNOWN
    y, x = (f"{side * 1e9:.4g}" for side in pixel)
    return f"{y} nm" if y == x else f"{y} × {x} nm"


def _part(after: float, before: float) -> str:
    return f" ({after / before:.1%})".replace("%", " %") if before and after != before else ""
