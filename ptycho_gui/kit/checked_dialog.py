"""`CheckedDialog`: a dialog that can be accepted once its paths are found to be right."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.checked_path import CheckedPath


class CheckedDialog(QDialog):
    """Has buttons and paths that are looked at; is for one use.

    Parameters
    ----------
    title
        Of the window.
    verb
        The words of the button that accepts, with their mnemonic.
    does
        What that button does.
    """

    def __init__(self, title: str, verb: str, does: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._paths: tuple[CheckedPath, ...] = ()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.accept_button = self.buttons.addButton(verb, QDialogButtonBox.ButtonRole.AcceptRole)
        self.accept_button.setToolTip(does)
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setAutoDefault(False)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

    def why_not(self) -> str | None:
        """Return the reason why the dialog cannot be accepted yet; None if it can."""
        return next((path.reason for path in self._paths if path.reason), None)

    def accept(self) -> None:
        """Qt: only what is right is accepted, also by Return."""
        if self.why_not() is None:
            super().accept()

    def done(self, result: int) -> None:
        """Qt: the dialog closes."""
        for path in self._paths:
            path.shut_down()
        super().done(result)
        self.deleteLater()  # not left to the garbage collector, which may run in a worker's thread

    def _watch(self, *paths: CheckedPath) -> None:
        self._paths = paths
        for path in paths:
            path.looked.connect(self._follow)

    def _lay_out(self, said: str, rows: Iterable[tuple[str, QWidget]]) -> None:
        """Put words over a form of labels and fields, and the buttons below it."""
        words = QLabel(said, wordWrap=True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for label, field in rows:
            form.addRow(self._label(label, field) if isinstance(field, CheckedPath) else label, field)
        layout = QVBoxLayout(self)
        layout.addWidget(words)
        layout.addLayout(form)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(640)

    @staticmethod
    def _label(words: str, path: CheckedPath) -> QLabel:
        label = QLabel(words)
        label.setBuddy(path.field.line)
        return label

    @Slot()
    def _follow(self) -> None:
        allow(self.accept_button, self.why_not())
        self.accept_button.setDefault(True)  # Qt gives that up while it is disabled
        QTimer.singleShot(0, self, self._grow)  # once the layout knows of what is shown now

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: as high as its words need."""
        super().showEvent(event)
        self.resize(self.width(), self._needed_height())

    @Slot()
    def _grow(self) -> None:
        self.resize(self.width(), max(self.height(), self._needed_height()))

    def _needed_height(self) -> int:
        layout = self.layout()
        if layout is None:
            return 0
        layout.activate()
        return max(layout.totalHeightForWidth(self.width()), layout.totalMinimumSize().height())
