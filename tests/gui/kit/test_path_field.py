"""A line for a path."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog

from ptycho_gui.kit.forms.path_field import PathField


def test_a_path_is_entered_by_return_and_by_choosing_once_each(qtbot, tmp_path, monkeypatch):
    field = PathField("folder", "Folder")
    qtbot.addWidget(field)
    entered = []
    field.path_entered.connect(entered.append)
    qtbot.keyClicks(field.line, "~/runs")
    qtbot.keyClick(field.line, Qt.Key.Key_Return)
    qtbot.keyClick(field.line, Qt.Key.Key_Return)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *words: str(tmp_path))
    field.button.click()
    assert entered == [Path.home() / "runs", tmp_path]
    assert field.path == tmp_path
