"""`MessageBar`: what happened, what was saved, what to try, in a strip of its own that is always there."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QTimer, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWhatsThis, QWidget
from superqt import QElidingLabel

from ptycho_gui.kit import theme
from ptycho_gui.kit.framed import Framed
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import worded

SEVERITIES = {"error": "Error", "warning": "Warning", "info": "Note"}
_ICONS = {"error": "error", "warning": "warning", "info": "ok"}
_NOTE_MS = 20_000
"""For so long a note is shown; warnings and errors stay until they are closed or out of date."""
_ICON_PX, _BORDER_PX = 18, 2


class MessageBar(Framed):
    """One message in one line, empty while there is none; nothing moves when one comes. *More* has the whole of it."""

    log_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._severity = ""
        self._icon, self._text = QLabel(), QElidingLabel()
        self._text.setAccessibleName("Message")
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._text.setTextInteractionFlags(self._text.textInteractionFlags().TextSelectableByMouse)
        self._more = self._button("More", "Read the whole message", self._show_whole)
        self._log = self._button("Show log", "Show the log, which has the details", self.log_requested.emit)
        close = QToolButton(autoRaise=True)
        close.setText("×")
        close.setAccessibleName("Close message")
        close.setToolTip("Close this message (Esc)")
        close.setShortcut("Esc")
        close.clicked.connect(self.clear)
        self._parts = (self._icon, self._text, self._more, self._log, close)
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(8, 1, 4, 1)
        for part in self._parts:
            row.addWidget(part, 1 if part is self._text else 0)
        self.setFixedHeight(self._log.sizeHint().height() + 2 + 2 * _BORDER_PX)
        self._timer = QTimer(self, singleShot=True, interval=_NOTE_MS)
        self._timer.timeout.connect(self.clear)
        self.clear()

    @property
    def text(self) -> str:
        """What is shown; empty while nothing is."""
        return self._text.text() if self._severity else ""

    def show_message(self, severity: str, text: str) -> None:
        """Show a message in the place of the one before.

        Parameters
        ----------
        severity
            A key of `SEVERITIES`.
        text
            Sentences for the operator; settings are called by their labels.
        """
        self._severity = severity
        said = f"{SEVERITIES[severity]}: {worded(text)}"
        self._text.setText(said)
        self._text.setToolTip(said)
        for part in self._parts:
            part.show()
        self._log.setVisible(severity == "error")
        self._fit()
        self._apply_colours()
        if severity == "info":
            self._timer.start()
        else:
            self._timer.stop()

    @Slot()
    def clear(self) -> None:
        """Show nothing."""
        self._severity = ""
        self._timer.stop()
        for part in self._parts:
            part.hide()
        self._apply_colours()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: more of the message may fit, or less."""
        super().resizeEvent(event)
        if self._severity:
            self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._apply_colours()

    def _button(self, text: str, tip: str, slot: object) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(slot)
        return button

    @Slot()
    def _show_whole(self) -> None:
        QWhatsThis.showText(self.mapToGlobal(self.rect().topLeft()), self.text, self)

    def _fit(self) -> None:
        others = sum(part.sizeHint().width() for part in self._parts if not part.isHidden() and part is not self._text)
        room = self.width() - others - self._row.spacing() * len(self._parts)
        self._more.setVisible(self._text.fontMetrics().horizontalAdvance(self._text.text()) > room)

    def _apply_colours(self) -> None:
        colours = theme.colours()
        colour = {"error": colours.error, "warning": colours.warning, "info": colours.good}.get(self._severity)
        if self._severity:
            self._icon.setPixmap(icon(_ICONS[self._severity]).pixmap(_ICON_PX, _ICON_PX))
        self.set_border(colour, _BORDER_PX, _BORDER_PX)
