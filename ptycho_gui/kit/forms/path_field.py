"""`PathField`: a path, typed or chosen."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from ptycho_core.scan.source import ENDINGS

SCANS = f"Scans ({' '.join(f'*{ending}' for ending in ENDINGS)} *.xml);;All files (*)"
"""Filters of a dialog that opens scans."""


class PathField(QWidget):
    """A line for a path and a button that opens the system's dialog.

    Parameters
    ----------
    kind
        "open" for a file that is there, "save" for one to be written, "folder" for a folder.
    title
        Of the dialog; also the accessible name.
    button
        The button's words, with its mnemonic.
    filters
        Of the dialog, as Qt takes them.
    """

    path_changed = Signal(Path)
    """Another path was typed or chosen."""
    path_entered = Signal(Path)
    """A path was typed to its end (Return, or the line was left), or chosen."""

    def __init__(
        self, kind: str, title: str, button: str = "&Browse…", filters: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._kind, self._title, self._filters = kind, title, filters
        self.line = QLineEdit(clearButtonEnabled=False)
        self.line.setAccessibleName(title)
        self.line.setMinimumWidth(120)
        self.line.textEdited.connect(self._tell_changed)
        self.line.editingFinished.connect(self._tell_entered)
        self.button = QPushButton(button)
        self.button.setAutoDefault(False)
        self.button.setToolTip(title)
        self.button.setAccessibleName(title)
        self.button.clicked.connect(self._choose)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.setFocusProxy(self.line)
        self._entered = ""

    @property
    def path(self) -> Path | None:
        """What is in the line; None while it is empty."""
        text = self.line.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path | None) -> None:
        """Show a path, without telling."""
        self._entered = str(path) if path else ""
        self.line.setText(self._entered)
        self.line.setToolTip(self._entered)

    @Slot()
    def _tell_changed(self) -> None:
        self.path_changed.emit(self.path or Path())

    @Slot()
    def _tell_entered(self) -> None:
        if self.line.text() != self._entered and self.path is not None:
            self._entered = self.line.text()
            self.path_entered.emit(self.path)

    @Slot()
    def _choose(self) -> None:
        start = str(self.path or Path.home())
        if self._kind == "folder":
            chosen = QFileDialog.getExistingDirectory(self, self._title, start)
        elif self._kind == "open":
            chosen, _ = QFileDialog.getOpenFileName(self, self._title, start, self._filters)
        else:
            # The dialog of the caller says itself what will be replaced.
            option = QFileDialog.Option.DontConfirmOverwrite
            chosen, _ = QFileDialog.getSaveFileName(self, self._title, start, self._filters, options=option)
        if chosen:
            self.set_path(Path(chosen))
            self.path_changed.emit(Path(chosen))
            self.path_entered.emit(Path(chosen))
