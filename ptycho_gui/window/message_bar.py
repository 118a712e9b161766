"""`MessageBar`: what happened, what was saved, what to try; it blocks nothing and moves nothing."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from ptycho_core.base.errors import Fix
from ptycho_gui.kit import theme
from ptycho_gui.kit.icons import icon

SEVERITIES = {"error": "Error", "warning": "Warning", "info": "Note"}
_ICONS = {"error": "error", "warning": "warning", "info": "ok"}
_NOTE_MS = 20_000
"""For so long a note is shown; warnings and errors stay until they are closed or out of date."""
_MARGIN_PX, _BORDER_PX = 8, 2


class MessageBar(QFrame):
    """One message over the lower edge of its parent, which keeps its layout; hidden while there is none."""

    log_requested = Signal()
    fix_chosen = Signal(object)
    """A `Fix` that the message offers; of several, one after another."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("message_bar")
        self.setAccessibleName("Message")
        self._severity, self._look, self._parent = "info", "", parent
        self._icon, self._text = QLabel(), QLabel(wordWrap=True)
        self._text.setTextInteractionFlags(self._text.textInteractionFlags().TextSelectableByMouse)
        self._log = QPushButton("Show log")
        self._log.setToolTip("Show the log, which has the details")
        self._log.clicked.connect(self.log_requested)
        self._fixes: tuple[Fix, ...] = ()
        self._use = QPushButton()
        self._use.clicked.connect(self._choose)
        close = QToolButton(autoRaise=True)
        close.setText("×")
        close.setAccessibleName("Close message")
        close.setToolTip("Close this message (Esc)")
        close.setShortcut("Esc")
        close.clicked.connect(self.hide)
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(10, 6, 6, 6)
        row.addWidget(self._icon)
        row.addWidget(self._text, 1)
        row.addWidget(self._use)
        row.addWidget(self._log)
        row.addWidget(close)
        self._timer = QTimer(self, singleShot=True, interval=_NOTE_MS)
        self._timer.timeout.connect(self.hide)
        parent.installEventFilter(self)
        self.hide()

    @property
    def text(self) -> str:
        """What is shown; empty while nothing is."""
        return "" if self.isHidden() else self._text.text()

    def show_message(self, severity: str, text: str, fixes: Sequence[Fix] = ()) -> None:
        """Show a message in the place of the one before.

        Parameters
        ----------
        severity
            A key of `SEVERITIES`.
        text
            Sentences for the operator.
        fixes
            What a button does about it, all at once; a note that has one stays.
        """
        self._severity = severity
        self._text.setText(f"{SEVERITIES[severity]}: {text}")
        self._log.setVisible(severity == "error")
        self._fixes = tuple(fixes)
        self._use.setVisible(bool(fixes))
        words = " and ".join(fix.label for fix in fixes)
        self._use.setText(f"Use {words}")
        self._use.setToolTip(f"Set for the next run: {words}")
        self._colour()
        self.show()
        self.raise_()
        self._place()
        if severity == "info" and not fixes:
            self._timer.start()
        else:
            self._timer.stop()

    @Slot()
    def _choose(self) -> None:
        self.hide()
        for fix in self._fixes:
            self.fix_chosen.emit(fix)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: stay at the edge of the parent."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._colour()

    def _colour(self) -> None:
        colours = theme.colours()
        colour = {"error": colours.error, "warning": colours.warning, "info": colours.good}[self._severity]
        self._icon.setPixmap(icon(_ICONS[self._severity]).pixmap(20, 20))
        look = f"background: {colours.background}; border: {_BORDER_PX}px solid {colour}; border-radius: 4px"
        if look != self._look:  # a style sheet changes the palette in its turn
            self._look = look
            self.setStyleSheet(f"#message_bar {{ {look} }}")

    def _place(self) -> None:
        around = self._parent.rect().adjusted(_MARGIN_PX, _MARGIN_PX, -_MARGIN_PX, -_MARGIN_PX)
        height = self._row.heightForWidth(around.width()) + 4 * _BORDER_PX  # of which the layout does not know
        self.setGeometry(around.left(), around.bottom() - height, around.width(), height)
