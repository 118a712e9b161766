"""A question before something is done that cannot be undone by a key."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget


def confirmed(parent: QWidget, title: str, question: str, verb: str, otherwise: str = "Cancel") -> bool:
    """Ask, and return whether the answer was the verb; ``otherwise`` is what Return and Escape choose."""
    box = QMessageBox(QMessageBox.Icon.Warning, title, question, parent=parent)
    do = box.addButton(verb, QMessageBox.ButtonRole.DestructiveRole)
    other = box.addButton(otherwise, QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(other)
    box.setEscapeButton(other)
    box.exec()
    agreed = box.clickedButton() is do
    box.deleteLater()
    return agreed
