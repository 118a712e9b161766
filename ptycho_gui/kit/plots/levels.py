"""`LevelsButton`: the values of the first and the last colour, by keyboard."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QMenu, QToolButton, QWidget, QWidgetAction

_LARGEST = 1e12
_DIGITS = 4


class LevelsButton(QToolButton):
    """Opens a small form: from, to, and automatic."""

    chosen = Signal(object)
    """(low, high), or None for automatic."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setText("Levels")
        self.setToolTip("Values of the first and the last colour")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextOnly)
        self.automatic = QCheckBox("Automatic")
        self.automatic.setToolTip("Take the levels from the data")
        self.low, self.high = self._number("Value of the first colour"), self._number("Value of the last colour")
        form = QWidget()
        rows = QFormLayout(form)
        rows.addRow(self.automatic)
        rows.addRow("From", self.low)
        rows.addRow("Up to", self.high)
        menu, action = QMenu(self), QWidgetAction(self)
        action.setDefaultWidget(form)
        menu.addAction(action)
        self.setMenu(menu)
        self.automatic.clicked.connect(self._choose_automatic)

    def show_levels(self, low: float, high: float, automatic: bool) -> None:
        """Show the levels in force."""
        for box, value in ((self.low, low), (self.high, high)):
            box.blockSignals(True)
            box.setDecimals(max(0, _DIGITS - math.ceil(math.log10(max(abs(high - low), 1e-9)))))
            box.setValue(value)
            box.blockSignals(False)
        self.automatic.setChecked(automatic)

    def _number(self, what: str) -> QDoubleSpinBox:
        box = QDoubleSpinBox(minimum=-_LARGEST, maximum=_LARGEST)
        box.setKeyboardTracking(False)
        box.setToolTip(what)
        box.setAccessibleName(what)
        box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        box.valueChanged.connect(self._choose)
        return box

    @Slot()
    def _choose(self) -> None:
        self.automatic.setChecked(False)
        self.chosen.emit((self.low.value(), max(self.low.value(), self.high.value())))

    @Slot(bool)
    def _choose_automatic(self, automatic: bool) -> None:
        self.chosen.emit(None if automatic else (self.low.value(), self.high.value()))
