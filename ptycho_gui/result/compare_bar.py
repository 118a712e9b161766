"""`CompareBar`: how two objects are compared: side by side, or one after the other in the same place."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QButtonGroup, QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QWidget
from superqt import QElidingLabel

from ptycho_gui.kit.keyed_button import KeyedButton
from ptycho_gui.result.complex_view import Slots
from ptycho_gui.result.object_content import LETTERS


class CompareBar(QWidget):
    """Hidden while there is nothing to compare.

    Parameters
    ----------
    panel
        Its keys work there.
    """

    arranged = Signal(object)
    """`Slots` for the pictures."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._in_front = 0
        self.names = QElidingLabel()
        self.names.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.side_by_side = KeyedButton(panel, "Side by side", "S", "Show A at the left and B at the right")
        self.blink = KeyedButton(panel, "Blink", "K", "Show A and B in turn in the same place: changes catch the eye")
        modes = QButtonGroup(self)
        for button in (self.side_by_side, self.blink):
            modes.addButton(button)
        self.side_by_side.setChecked(True)
        self.quantity = QComboBox()
        self.quantity.setToolTip("What is shown of both objects side by side")
        self.quantity.addItem("Amplitude", "amplitude")
        self.quantity.addItem("Phase", "phase")
        self.quantity.setCurrentIndex(1)
        self.quantity.setAccessibleName("Compare amplitude or phase")
        self._quantity_label = QLabel("Quantity:")
        self._quantity_label.setBuddy(self.quantity)
        self.interval = QDoubleSpinBox(minimum=0, maximum=5, singleStep=0.1, decimals=1, value=0.7, suffix=" s")
        self.interval.setSpecialValueText("by hand")
        self.interval.setToolTip("How long each of the two is shown; at the lowest value only the flip key changes")
        self.interval.setAccessibleName("Blink interval")
        self._interval_label = QLabel("Every:")
        self._interval_label.setBuddy(self.interval)
        self.flip = KeyedButton(panel, "Flip", "I", "Show the other object now", checkable=False)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._flip)
        self.flip.clicked.connect(self._flip)
        modes.buttonToggled.connect(self._change)
        self.quantity.currentIndexChanged.connect(self._change)
        self.interval.valueChanged.connect(self._change)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.names, 1)
        for widget in (
            self.side_by_side,
            self.blink,
            self._quantity_label,
            self.quantity,
            self._interval_label,
            self.interval,
            self.flip,
        ):
            row.addWidget(widget)
        self.hide()

    def begin(self, names: tuple[str, str]) -> None:
        """Two objects are compared; tell how to show them."""
        text = "     ".join(f"{letter}: {name}" for letter, name in zip(LETTERS, names, strict=True))
        self.names.setText(text)
        self.names.setToolTip(text)
        self._in_front = 0
        self.show()
        self._change()

    @property
    def slots(self) -> Slots:
        """What the two pictures are to show."""
        if self.blink.isChecked():
            return (self._in_front, "amplitude"), (self._in_front, "phase")
        quantity = self.quantity.currentData()
        return (0, quantity), (1, quantity)

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: blink on."""
        super().showEvent(event)
        self._time()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: nobody sees it."""
        super().hideEvent(event)
        self._timer.stop()

    @Slot()
    def _change(self) -> None:
        blinking = self.blink.isChecked()
        for still in (self._quantity_label, self.quantity):
            still.setVisible(not blinking)
        for moving in (self._interval_label, self.interval, self.flip):
            moving.setVisible(blinking)
        self._time()
        self.arranged.emit(self.slots)

    @property
    def blinking(self) -> bool:
        """Whether the two are shown in turn, by themselves."""
        return self._timer.isActive()

    @Slot()
    def _flip(self) -> None:
        if not self.blink.isChecked():
            return
        self._in_front = 1 - self._in_front
        self._time()
        self.arranged.emit(self.slots)

    def _time(self) -> None:
        """Begin the present interval anew; no time runs while nothing blinks."""
        if self.blink.isChecked() and self.interval.value() > 0 and self.isVisible():
            self._timer.start(round(1000 * self.interval.value()))
        else:
            self._timer.stop()
