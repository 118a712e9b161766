"""Labels whose text wraps wherever it must, and never makes a panel wider."""

from __future__ import annotations

import html
import re

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSizePolicy

_LONG_WORD = re.compile(r"\S{24,}")
_BREAK_AFTER = re.compile(r"([/\\_,=.-])(?=\w)")


def wrapped(markup: str, text: str = "") -> QLabel:
    """Return a label of markup and then plain text, which can be selected; paths and the like may break."""
    label = QLabel(markup + html.escape(_LONG_WORD.sub(_breakable, text), quote=False))
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def _breakable(word: re.Match[str]) -> str:
    return _BREAK_AFTER.sub("\\1\u200b", word.group())
