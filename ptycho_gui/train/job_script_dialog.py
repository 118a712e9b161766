"""`JobScriptDialog`: what a cluster is asked for, before the script is written."""

from __future__ import annotations

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.runs.command_line import JobLimits

_AS_THE_SITE = "as the site has it"


class JobScriptDialog(QDialog):
    """Time, memory and partition; each may be left to the site.

    Parameters
    ----------
    limits
        Shown first.
    parent
        Over which it appears.
    """

    def __init__(self, limits: JobLimits, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save job script")
        self.minutes = QSpinBox(maximum=100_000, singleStep=15, suffix=" min")
        self.minutes.setSpecialValueText(_AS_THE_SITE)
        self.minutes.setToolTip("After so long the cluster ends the job; it is asked to stop in good order before")
        self.minutes.setValue(limits.minutes or 0)
        self.memory = QDoubleSpinBox(maximum=100_000, decimals=0, suffix=" GB")
        self.memory.setSpecialValueText(_AS_THE_SITE)
        self.memory.setToolTip("Of each node; proposed is twice what this run is estimated to take")
        self.memory.setValue(limits.memory_gb or 0)
        self.partition = QLineEdit(limits.partition, placeholderText=_AS_THE_SITE)
        self.partition.setToolTip("The queue of the cluster, such as gpu")
        form = QFormLayout()
        for text, field in (("&Time", self.minutes), ("&Memory", self.memory), ("&Partition", self.partition)):
            label = QLabel(text)
            label.setBuddy(field)
            field.setAccessibleName(text.replace("&", ""))
            form.addRow(label, field)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        buttons.addButton("&Choose file…", QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(buttons)

    @property
    def limits(self) -> JobLimits:
        """What is to be asked for."""
        minutes, memory = self.minutes.value() or None, self.memory.value() or None
        return JobLimits(minutes, memory, self.partition.text().strip())
