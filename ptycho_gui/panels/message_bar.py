"""`MessageBar`: what happened, what was saved, what to try; it blocks nothing."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolBar, QToolButton, QWidget

from ptycho_gui import theme
from ptycho_gui.icons import icon

SEVERITIES = {"error": "Error", "warning": "Warning", "info": "Note"}
_NOTE_MS = 20_000
"""For so long a note is shown; warnings and errors stay until they are closed."""


class MessageBar(QToolBar):
    """One message over the whole width of the window; hidden while there is none."""

    log_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Message", parent)
        self.setObjectName("message_bar")
        self.setAccessibleName("Message")
        self.setMovable(False)
        self._severity = "info"
        self._frame = QFrame()
        self._frame.setObjectName("message")
        self._icon = QLabel()
        self._text = QLabel(wordWrap=True)
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._text.setTextInteractionFlags(self._text.textInteractionFlags().TextSelectableByMouse)
        log = QPushButton("Show &log")
        log.setToolTip("Show the log, which has the details")
        log.clicked.connect(self.log_requested)
        self._log = log
        close = QToolButton(autoRaise=True)
        close.setText("×")
        close.setAccessibleName("Close message")
        close.setToolTip("Close this message (Esc)")
        close.setShortcut("Esc")
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self._frame)
        row.setContentsMargins(10, 4, 6, 4)
        row.addWidget(self._icon)
        row.addWidget(self._text, 1)
        row.addWidget(log)
        row.addWidget(close)
        self._timer = QTimer(self, singleShot=True, interval=_NOTE_MS)
        self._timer.timeout.connect(self.hide)
        self.addWidget(self._frame)
        self.hide()

    @property
    def text(self) -> str:
        """What is shown; empty while nothing is."""
        return "" if self.isHidden() else self._text.text()

    def show_message(self, severity: str, text: str) -> None:
        """Show a message in the place of the one before.

        Parameters
        ----------
        severity
            A key of `SEVERITIES`.
        text
            Sentences for the operator.
        """
        self._severity = severity
        self._text.setText(f"{SEVERITIES[severity]}: {text}")
        self._log.setVisible(severity == "error")
        self._colour()
        self.show()
        if severity == "info":
            self._timer.start()
        else:
            self._timer.stop()
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the text may take more or fewer lines."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._colour()

    def _colour(self) -> None:
        colours = theme.colours()
        colour = {"error": colours.error, "warning": colours.warning, "info": colours.good}[self._severity]
        self._icon.setPixmap(icon({"info": "ok"}.get(self._severity, self._severity)).pixmap(20, 20))
        self._frame.setStyleSheet(f"#message {{ border: 2px solid {colour}; border-radius: 4px }}")

    def _fit(self) -> None:
        """Give the text its height, which a toolbar does not ask for."""
        self._text.setFixedHeight(max(self._icon.sizeHint().height(), self._text.heightForWidth(self._text.width())))
