"""About: versions of everything that a result depends on, and licences of what is shipped."""

from __future__ import annotations

import pyqtgraph
import PySide6
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QTabWidget, QTextBrowser, QVBoxLayout, QWidget

from ptycho_core import __version__
from ptycho_core.base.environment import host, versions
from ptycho_core.base.resource_files import resource

_LICENCES = "docs/licences.md"


def all_versions() -> dict[str, str]:
    """Return the versions of the core and its packages, and those of the window's."""
    return {**versions(), "PySide6": PySide6.__version__, "pyqtgraph": pyqtgraph.__version__}


class AboutDialog(QDialog):
    """Says what this is and what it is made of."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About ptycho")
        self.resize(640, 480)
        column = QVBoxLayout(self)
        column.addWidget(
            QLabel(
                f"<h2>ptycho {__version__}</h2>"
                "<p>Ptychographic reconstruction for beamlines: physics-informed networks and a direct solver.<br>"
                "BSD-3-Clause.</p>"
            )
        )
        tabs = QTabWidget()
        machine = host()
        lines = [*all_versions().items(), *((name, str(value)) for name, value in machine.items())]
        rows = QTextBrowser()
        rows.setAccessibleName("Versions")
        rows.setMarkdown("| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in lines))
        tabs.addTab(rows, "Versions")
        licences = QTextBrowser(openExternalLinks=True)
        licences.setAccessibleName("Licences")
        licences.setMarkdown(resource(_LICENCES).read_text(encoding="utf-8"))
        tabs.addTab(licences, "Licences")
        column.addWidget(tabs, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("&Copy versions", QDialogButtonBox.ButtonRole.ActionRole)
        self._text = "\n".join(f"{name}: {value}" for name, value in lines)
        copy.clicked.connect(self._copy)
        buttons.rejected.connect(self.reject)
        column.addWidget(buttons)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text)
