"""The operator guide and the pages that it links to, readable without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QUrl
from PySide6.QtGui import (
    QDesktopServices,
    QImage,
    QKeySequence,
    QShortcut,
    QTextBlock,
    QTextCursor,
    QTextDocument,
    QTextFormat,
)
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from ptycho_core.base.resource_files import resource
from ptycho_gui.kit import theme
from ptycho_gui.kit.icons import icon

FIRST_PAGE = "docs/guide.md"
_SIZE = (860, 760)
_BESIDE_PICTURES_PX = 70


class GuideWindow(QWidget):
    """Shows the pages of docs/, with links among them, and finds words on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Operator guide")
        self.resize(*_SIZE)
        self._page = _Page(openLinks=False)
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
        self._page.go_to(url)

    def _follow(self, url: QUrl) -> None:
        url = self._page.source().resolved(url)
        if url.isLocalFile() and url.fileName().endswith(".md"):
            self._show(url)
        elif not url.isLocalFile():
            QDesktopServices.openUrl(url)

    def _find(self) -> None:
        if not self._page.find(self._search.text()):
            self._page.moveCursor(QTextCursor.MoveOperation.Start)
            self._page.find(self._search.text())


class _Page(QTextBrowser):
    """Shows pictures no wider than itself, light or dark as it is, and knows headings by the names that links give."""

    def loadResource(self, kind: int, name: QUrl | str) -> Any:
        """Qt: a picture has its own resolution."""
        content = super().loadResource(kind, name)
        if kind != QTextDocument.ResourceType.ImageResource.value:
            return content
        picture = QImage(self._as_the_window(self.source().resolved(QUrl(name)).toLocalFile()))
        picture.setDevicePixelRatio(max(1.0, picture.width() / (_SIZE[0] - _BESIDE_PICTURES_PX)))
        return picture

    def _as_the_window(self, path: str) -> str:
        """Return the dark one of a picture of the window, where that is dark and there is one."""
        dark = path.replace("-light.", "-dark.")
        return dark if theme.is_dark() and Path(dark).exists() else path

    def go_to(self, url: QUrl) -> None:
        """Show a page from the heading that the fragment names, or else from its beginning."""
        heading, page = url.fragment(), QUrl(url)
        page.setFragment("")
        if page != self.source():
            self.setSource(page)
            self._space_out()
        headings = (block for block in self._blocks() if block.blockFormat().headingLevel())
        block = next((block for block in headings if anchor_of(block.text()) == heading), self.document().begin())
        top = self.document().documentLayout().blockBoundingRect(block).top()
        self.verticalScrollBar().setValue(round(top))

    def changeEvent(self, event: QEvent) -> None:
        """Qt: links have the colour that they had when the page was read."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and not self.source().isEmpty():
            place = self.verticalScrollBar().value()
            self.reload()
            self._space_out()
            self.verticalScrollBar().setValue(place)

    def _blocks(self) -> Iterator[QTextBlock]:
        block = self.document().begin()
        while block.isValid():
            yield block
            block = block.next()

    def _space_out(self) -> None:
        """Set headings and commands apart from the text."""
        shade = self.palette().alternateBase()
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        for block in self._blocks():
            form = block.blockFormat()
            if form.headingLevel() > 1:
                form.setTopMargin(1.5 * self.fontMetrics().height())
            elif form.hasProperty(QTextFormat.Property.BlockCodeFence):
                form.setBackground(shade)
            else:
                continue
            cursor.setPosition(block.position())
            cursor.setBlockFormat(form)
        cursor.endEditBlock()


def anchor_of(heading: str) -> str:
    """Return the name by which links know a heading: as code hosts make it, from its letters and figures."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
