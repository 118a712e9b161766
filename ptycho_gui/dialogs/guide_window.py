"""The operator guide and the pages that it links to, readable without a network."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from ptycho_gui.icons import icon
from ptycho_gui.resource_files import resource

FIRST_PAGE = "docs/guide.md"


class GuideWindow(QWidget):
    """Shows the pages of docs/, with links among them, and finds words on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Operator guide")
        self.resize(820, 760)
        self._page = QTextBrowser(openLinks=False)
        self._page.setAccessibleName("Guide")
        self._page.anchorClicked.connect(self._follow)
        back = QPushButton(icon("previous"), "&Contents")
        back.setToolTip("Back to the beginning of the operator guide")
        back.clicked.connect(self._home)
        self._search = QLineEdit(placeholderText="Find on this page", clearButtonEnabled=True)
        self._search.setAccessibleName("Find on this page")
        self._search.returnPressed.connect(self._find)
        QShortcut(QKeySequence("Ctrl+F"), self, self._search.setFocus)
        QShortcut(QKeySequence("Esc"), self, self.close)
        row = QHBoxLayout()
        row.addWidget(back)
        row.addStretch()
        row.addWidget(self._search)
        column = QVBoxLayout(self)
        column.addLayout(row)
        column.addWidget(self._page, 1)
        self._home()

    @property
    def page(self) -> QTextBrowser:
        """What is read."""
        return self._page

    def _home(self) -> None:
        self._show(QUrl.fromLocalFile(str(resource(FIRST_PAGE))))

    def _show(self, url: QUrl) -> None:
        self._page.setSource(url)

    def _follow(self, url: QUrl) -> None:
        url = self._page.source().resolved(url)
        if url.isLocalFile() and url.fileName().endswith(".md"):
            self._show(url)
        elif not url.isLocalFile():
            QDesktopServices.openUrl(url)

    def _find(self) -> None:
        if not self._page.find(self._search.text()):
            self._page.moveCursor(self._page.textCursor().MoveOperation.Start)
            self._page.find(self._search.text())
