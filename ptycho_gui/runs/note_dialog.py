"""`NoteDialog`: what the operator writes to a run."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QPlainTextEdit, QWidget

from ptycho_core.runs.note import Note


class NoteDialog(QDialog):
    """Asks for sample and comment; is for one use.

    Parameters
    ----------
    name
        What the note is on.
    note
        As it is now.
    """

    def __init__(self, name: str, note: Note, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Note: {name}")
        self.sample = QLineEdit(note.sample)
        self.sample.setToolTip("Stands on the logbook page and in exported pictures")
        self.comment = QPlainTextEdit(note.comment)
        self.comment.setToolTip("As long as you like; stands on the logbook page and in exported files")
        self.comment.setTabChangesFocus(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Sa&mple:", self.sample)
        form.addRow("&Comment:", self.comment)
        form.addRow(buttons)
        self.resize(480, 260)

    @property
    def note(self) -> Note:
        """What was written."""
        return Note(self.sample.text().strip(), self.comment.toPlainText().strip())

    def done(self, result: int) -> None:
        """Qt: the dialog closes."""
        super().done(result)
        self.deleteLater()  # not left to the garbage collector, which may run in a worker's thread
