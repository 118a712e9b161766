"""`BestPictureDialog`: how many minutes there are, and what will be done in them."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from ptycho_core.base.errors import Fix

_MINUTES = 5
_MOST_MINUTES = 24 * 60
_PLAN = (
    "Fits the scan with the direct engine, fits once more with refined positions, brightness or more probe modes where "
    "that promises a better picture, and ends with the picture of all patterns and a verdict on it. Your settings stay "
    "as they are."
)


class BestPictureDialog(QDialog):
    """Asks for the minutes.

    Parameters
    ----------
    prepared
        What will be put right in the scan before.
    """

    def __init__(self, prepared: Iterable[Fix], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Best picture now")
        self.minutes = QSpinBox(minimum=1, maximum=_MOST_MINUTES, value=_MINUTES, suffix=" min")
        self.minutes.setAccessibleName("Minutes")
        self.minutes.setToolTip("When the picture has to be there. It is there sooner where nothing is left to improve")
        plan = QLabel(_PLAN, wordWrap=True)
        plan.setMinimumWidth(plan.fontMetrics().averageCharWidth() * 60)
        first = "".join(f"<li>{fix.label}</li>" for fix in prepared)
        self.prepared = QLabel(f"Before that:<ul>{first}</ul>" if first else "", wordWrap=True)
        self.prepared.setVisible(bool(first))
        form = QFormLayout()
        form.addRow("&Ready in", self.minutes)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.start_button = buttons.addButton("&Start", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setAutoDefault(False)
        self.start_button.setDefault(True)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        for part in (plan, self.prepared):
            column.addWidget(part)
        column.addLayout(form)
        column.addWidget(buttons)

    def done(self, result: int) -> None:
        """Qt: the dialog closes."""
        super().done(result)
        self.deleteLater()  # not left to the garbage collector, which may run in a worker's thread
