"""`SettingField`: one answer to what a scan file leaves open, and why it was assumed."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLocale, QObject, Qt, Signal, Slot
from PySide6.QtGui import QDoubleValidator
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QPushButton, QToolButton, QWidget

from ptycho_core.scan.orientation import ORIENTATIONS, in_words
from ptycho_core.scan.settings import HELP, NUMBER, WHOLE, Assumption
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import ANSWERS

_SHOWN_IN = {
    "skip_lines": ("lines", 1.0),
    "columns": ("patterns", 1.0),
    "flyback": ("patterns", 1.0),
    "step_m": ("nm", 1e-9),
    "energy_ev": ("keV", 1e3),
    "distance_m": ("m", 1.0),
    "defocus_m": ("mm", 1e-3),
    "magnification": ("times", 1.0),
    "detector_pixel_m": ("µm", 1e-6),
    "object_pixel_m": ("nm", 1e-9),
}
_PLAIN = {"um": "µm", **{orientation: f"{orientation}: {in_words(orientation)}" for orientation in ORIENTATIONS}}


class SettingField(QWidget):
    """The control for one setting; what is typed counts once it is applied.

    Parameters
    ----------
    assumed
        Key, present value and choices.
    answered
        Whether the operator gave the value, and may withdraw it.
    """

    chosen = Signal(str, str)
    """Key and value of `scan.settings.SETTINGS`."""
    withdrawn = Signal(str)
    """Key of an answer that counts no longer."""

    def __init__(self, assumed: Assumption, answered: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.key = assumed.key
        self._line: QLineEdit | None = None
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        if assumed.choices in (NUMBER, WHOLE):
            self._make_number(assumed.value)
        else:
            self._make_choice(assumed)
        if answered:
            withdraw = QToolButton(autoRaise=True)
            withdraw.setIcon(icon("reset"))
            withdraw.setToolTip("Withdraw this answer: the scan is read again as if nobody had given it")
            withdraw.setAccessibleName(f"Withdraw {ANSWERS[self.key].lower()}")
            withdraw.clicked.connect(lambda: self.withdrawn.emit(self.key))
            self._row.addWidget(withdraw)
        self.setToolTip(HELP[self.key])

    def _make_choice(self, assumed: Assumption) -> None:
        self._combo = QComboBox()
        for value in assumed.choices:
            self._combo.addItem(_PLAIN.get(value, value), value)
        self._combo.setCurrentIndex(self._combo.findData(assumed.value))
        self._combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._combo.installEventFilter(self)
        self._combo.setMinimumContentsLength(8)
        self._combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._combo.setAccessibleName(ANSWERS[self.key])
        self._combo.activated.connect(self._choose)
        self._row.addWidget(self._combo, 1)
        self.setFocusProxy(self._combo)

    @property
    def typed(self) -> str | None:
        """What was typed and not applied yet."""
        return self._line.text() if self._line and self._line.isModified() else None

    def type(self, text: str) -> None:
        """Show what was typed before; it is not applied yet."""
        if self._line:
            self._line.setText(text)
            self._line.setModified(True)

    def _make_number(self, value: str) -> None:
        unit, factor = _SHOWN_IN[self.key]
        line = self._line = QLineEdit()
        line.setPlaceholderText("unknown")
        line.setAccessibleName(f"{ANSWERS[self.key]} in {unit}")
        validator = QDoubleValidator(0.0, 1e12, 12, line)
        validator.setLocale(QLocale.c())
        line.setValidator(validator)
        if value != "unknown":
            line.setText(f"{float(value) / factor:.10g}")
        self._apply = QPushButton("Apply")
        self._apply.setToolTip("Read the scan again with this value")
        self._apply.setAccessibleName(f"Apply {ANSWERS[self.key].lower()}")
        line.textChanged.connect(self._judge)
        line.returnPressed.connect(self._apply.click)
        self._apply.clicked.connect(self._choose_number)
        self._row.addWidget(line, 1)
        self._row.addWidget(QLabel(unit))
        self._row.addWidget(self._apply)
        self.setFocusProxy(line)
        self._judge()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: the wheel scrolls the panel, and changes nothing on its way."""
        if event.type() == QEvent.Type.Wheel and not self._combo.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    @property
    def _number(self) -> float:
        return float(self._line.text()) if self._line and self._line.hasAcceptableInput() else 0.0

    @Slot()
    def _judge(self) -> None:
        allow(self._apply, None if self._number > 0 else "Type a number above 0.")

    @Slot()
    def _choose(self) -> None:
        self.chosen.emit(self.key, str(self._combo.currentData()))

    @Slot()
    def _choose_number(self) -> None:
        if self._line:
            self._line.setModified(False)
        self.chosen.emit(self.key, f"{self._number * _SHOWN_IN[self.key][1]:.10g}")
