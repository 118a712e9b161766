"""A question before something is done that cannot be undone by a key."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget


def confirmed(parent: QWidget, title: str, question: str, verb: str) -> bool:
    """Ask, and return whether the answer was the verb; Cancel is what Return and Escape choose."""
    box = QMessageBox(QMessageBox.Icon.Warning, title, question, parent=parent)
    do = box.addButton(verb, QMessageBox.ButtonRole.DestructiveRole)
    box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
    box.exec()
    agreed = box.clickedButton() is do
    box.deleteLater()
    return agreed
