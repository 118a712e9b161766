"""`NumberBox`: a spin box that takes any text, so that what is wrong with it can be said."""

from __future__ import annotations

import math

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import QAbstractSpinBox, QLineEdit, QSizePolicy, QWidget

from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import Knob

_FLAGS = QAbstractSpinBox.StepEnabledFlag


class NumberBox(QAbstractSpinBox):
    """Text is left as it is typed; arrows, for whole numbers, step within the limits.

    Parameters
    ----------
    knob
        Kind and limits.
    parent
        Owner.
    """

    typed = Signal()
    """By keys, arrows or the wheel."""

    def __init__(self, knob: Knob, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._knob = knob
        self._least = -math.inf if knob.minimum is None else knob.minimum
        self._most = math.inf if knob.maximum is None else knob.maximum
        self.start = int(min(max(1, self._least), self._most))
        if knob.kind is float:
            self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.lineEdit().textEdited.connect(self.typed)

    def show_text(self, text: str) -> None:
        """Show another text, without telling."""
        self.lineEdit().setText(text)

    def validate(self, text: str, place: int) -> tuple[QValidator.State, str, int]:
        """Qt: everything may be typed."""
        return QValidator.State.Acceptable, text, place

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        """Qt: whether the arrows do something."""
        return _FLAGS.StepUpEnabled | _FLAGS.StepDownEnabled if self._knob.kind is int else _FLAGS.StepNone

    def stepBy(self, steps: int) -> None:
        """Qt: an arrow or the wheel; what is no number steps from where numbers start."""
        try:
            value = self._knob.parse("", self.text())
        except InputError:
            value = None
        number = value + steps if isinstance(value, int) else self.start
        self.show_text(str(int(min(max(number, self._least), self._most))))
        self.selectAll()
        self.typed.emit()

    def sizeHint(self) -> QSize:
        """Qt: ten digits."""
        return self._size(10)

    def minimumSizeHint(self) -> QSize:
        """Qt: a few digits."""
        return self._size(4)

    def _size(self, digits: int) -> QSize:
        wide = self.fontMetrics().horizontalAdvance("0" * digits)
        return QSize(wide + 2 * self.fontMetrics().height(), QLineEdit().sizeHint().height())
