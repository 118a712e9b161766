"""A row of controls that breaks into several where the panel is narrow."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QWidget
from superqt import QFlowLayout

_WITHIN_PX, _BETWEEN_PX = 4, 12


def flowing(*parts: QWidget | Sequence[QWidget]) -> QFlowLayout:
    """Return a layout of these, each sequence held together, such as a label and its field."""
    row = QFlowLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setHorizontalSpacing(_BETWEEN_PX)
    row.setVerticalSpacing(_WITHIN_PX)
    holders = [_together([part] if isinstance(part, QWidget) else part) for part in parts]
    tallest = max(holder.sizeHint().height() for holder in holders)
    for holder in holders:
        holder.setMinimumHeight(tallest)  # all of them lie on one line
        row.addWidget(holder)
    return row


def _together(widgets: Sequence[QWidget]) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(_WITHIN_PX)
    for widget in widgets:
        row.addWidget(widget)
    return holder
