"""Fields of the mapping form: names of arrays that can be typed, chosen, dragged or taken from the tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QComboBox, QCompleter, QHBoxLayout, QLabel, QLineEdit, QWidget

from ptycho_core.scan.mapping import OPEN, Coordinate, Quantity
from ptycho_core.scan.units import UNITS

_COLUMN = re.compile(r"(.*)\[(\d+)\]")
_MOST_OFFERED = 300
_SHORTEST = 9
"""Characters that a field of a name shows at the least."""


class KeyField(QComboBox):
    """The name of an array: typed, chosen from those that fit, or dropped from the tree.

    Parameters
    ----------
    name
        What it is for, for screen readers.
    hint
        Shown while it is empty.
    tip
        Tooltip.
    """

    def __init__(self, name: str, hint: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(_SHORTEST)
        self.setAccessibleName(name)
        self.setToolTip(tip)
        self.setAcceptDrops(True)
        self._line = QLineEdit(placeholderText=hint)
        self._line.setAcceptDrops(False)
        self.setLineEdit(self._line)
        completer = QCompleter(self.model(), self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.setCompleter(completer)

    @property
    def key(self) -> str:
        """What it says; empty for nothing."""
        return self.currentText().strip()

    def offer(self, likely: Iterable[str], others: Iterable[str]) -> None:
        """Offer names, those that are likely first; what it says stays."""
        text = self.currentText()
        self.blockSignals(True)
        self.clear()
        self.addItems(list(dict.fromkeys((*likely, *others)))[:_MOST_OFFERED])
        self.setEditText(text)
        self.blockSignals(False)

    def say(self, key: str | None) -> None:
        """Put a name in; what is still open is left empty."""
        self.setEditText("" if key in (None, OPEN) else key)
        self._line.end(False)  # the last part of a path tells most

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Qt: a row of the tree comes."""
        if event.mimeData().hasText():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Qt: a row of the tree is here."""
        self.say(event.mimeData().text())
        event.acceptProposedAction()


class _WithUnit(QWidget):
    """A name and a unit beside it."""

    changed = Signal()

    def __init__(self, name: str, hint: str, tip: str, units: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = KeyField(name, hint, tip)
        self.unit = QComboBox()
        for unit in units:
            self.unit.addItem(_spelled(unit), unit)
        self.unit.setAccessibleName(f"{name}: unit")
        self.unit.setToolTip("The unit of the stored numbers")
        self.field.currentTextChanged.connect(self.changed)
        self.unit.currentIndexChanged.connect(self.changed)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.addWidget(self.field, 1)
        self.row.addWidget(self.unit)
        self.setFocusProxy(self.field)

    def say_unit(self, unit: str) -> None:
        """Choose a unit, also one that is not among the usual ones."""
        if self.unit.findData(unit) < 0:
            self.unit.addItem(_spelled(unit), unit)
        self.unit.setCurrentIndex(self.unit.findData(unit))


class CoordinateField(_WithUnit):
    """A coordinate of the positions: array, column, multiplier and unit.

    Parameters
    ----------
    name
        "y" or "x".
    tip
        Tooltip.
    """

    def __init__(self, name: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(name, "required", tip, list(UNITS), parent)
        self.multiplier = QLineEdit("1")
        self.multiplier.setAccessibleName(f"{name}: multiplier")
        self.multiplier.setToolTip("The stored numbers times this; -1 reverses the axis")
        self.multiplier.setMaximumWidth(self.multiplier.fontMetrics().horizontalAdvance("-1.00e-6") + 8)
        self.multiplier.textChanged.connect(self.changed)
        self.row.insertWidget(1, QLabel("×"))
        self.row.insertWidget(2, self.multiplier)
        self._angle: tuple[str, str | None] = ("", None)

    def say(self, of: Coordinate) -> None:
        """Show a coordinate."""
        self.field.say(of.key if of.column is None else f"{of.key}[{of.column}]")
        self.say_unit(of.unit)
        self.multiplier.setText(f"{of.multiplier:.12g}")
        self._angle = (of.key, of.angle)

    def body(self) -> dict[str, object]:
        """Return what it says as the JSON of a `Coordinate`."""
        column = _COLUMN.fullmatch(self.field.key)
        try:
            multiplier: object = float(self.multiplier.text().replace(",", "."))
        except ValueError:
            multiplier = self.multiplier.text()
        place = {"key": column[1], "column": int(column[2])} if column else {"key": self.field.key}
        angle = self._angle[1] if self._angle[0] == place["key"] else None
        return {**place, "unit": self.unit.currentData(), "multiplier": multiplier, "angle": angle}


class QuantityField(_WithUnit):
    """A number with its unit, or the name of the array or attribute that holds it."""

    def say(self, of: Quantity | None) -> None:
        """Show a quantity, or none."""
        self.field.say("" if of is None else of.key or f"{of.value:.12g}")
        if of is not None:
            self.say_unit(of.unit)

    def body(self) -> dict[str, object] | None:
        """Return what it says as the JSON of a `Quantity`, None where it says nothing."""
        text = self.field.key
        if not text:
            return None
        try:
            return {"value": float(text.replace(",", ".")), "unit": self.unit.currentData()}
        except ValueError:
            return {"key": text, "unit": self.unit.currentData()}


def _spelled(unit: str) -> str:
    return {"um": "µm", "angstrom": "Å"}.get(unit, unit)
