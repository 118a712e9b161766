"""`WelcomePanel`: the three steps, at first start."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptycho_gui.kit.icons import icon

_STEPS = (
    (
        "1. Open a scan",
        "Choose a file, or drop it on this window. The program says at once what it holds and whether it is sound.",
    ),
    (
        "2. Best picture now, or Start",
        "The first asks for the minutes that you have, and for nothing else. Start trains as Training is set, which is "
        "good as it is. You may stop at any time and keep what there is; a verdict tells how good it is.",
    ),
    (
        "3. Export",
        "The object, the probe and the best checkpoint go to files that other programs read, with one click each.",
    ),
)


class WelcomePanel(QWidget):
    """Says in three steps how to get from a scan to a picture."""

    open_requested = Signal()
    demo_requested = Signal()
    guide_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis("The three steps from a scan file to a picture. Help > First steps shows them again.")
        column = QVBoxLayout()
        heading = QLabel("From a scan to a picture in three steps")
        font = heading.font()
        font.setPointSizeF(1.5 * font.pointSizeF())
        heading.setFont(font)
        column.addWidget(heading)
        for title, text in _STEPS:
            step = QLabel(f"<p><b>{title}</b><br>{text}</p>", wordWrap=True, textFormat=Qt.TextFormat.RichText)
            step.setMaximumWidth(560)
            column.addWidget(step)
        buttons = QHBoxLayout()
        for text, name, tip, signal in (
            ("Open a scan", "open", "Choose a scan file (Ctrl+O)", self.open_requested),
            ("Open the demo scan", "play", "Simulate a small scan and open it: a few seconds", self.demo_requested),
            ("Operator guide", "help", "From a scan file to an exported checkpoint (F1)", self.guide_requested),
        ):
            button = QPushButton(icon(name), text)
            button.setToolTip(tip)
            button.clicked.connect(signal)
            buttons.addWidget(button)
        buttons.addStretch()
        column.addSpacing(12)
        column.addLayout(buttons)
        outer = QVBoxLayout(self)
        outer.addStretch()
        row = QHBoxLayout()
        row.addStretch()
        row.addLayout(column)
        row.addStretch()
        outer.addLayout(row)
        outer.addStretch()
