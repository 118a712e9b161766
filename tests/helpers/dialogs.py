"""What tests of dialogs do with any of them."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from ptycho_gui.kit.checked_dialog import CheckedDialog
from ptycho_gui.kit.checked_path import CheckedPath


def wait(qtbot: QtBot, dialog: CheckedDialog, allowed: bool) -> None:
    """Wait until a dialog has looked at what was entered, and may be accepted or not."""
    qtbot.waitUntil(
        lambda: dialog.accept_button.isEnabled() == allowed and "being looked" not in (dialog.why_not() or "")
    )


def type_into(qtbot: QtBot, path: CheckedPath, text: object) -> None:
    """Put a text in place of the path in a line."""
    path.field.line.clear()
    qtbot.keyClicks(path.field.line, str(text))
