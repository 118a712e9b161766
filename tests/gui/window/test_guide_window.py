"""The guide as the window shows it."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QLineEdit, QPushButton

from ptycho_gui.kit import theme
from ptycho_gui.window.guide_window import GuideWindow, anchor_of


@pytest.fixture
def guide(qtbot):
    guide = GuideWindow()
    qtbot.addWidget(guide)
    with qtbot.waitExposed(guide):
        guide.show()
    yield guide
    theme.choose("system")


def top_line(guide):
    return guide.page.cursorForPosition(QPoint(5, 12)).block().text()


def test_a_link_leads_to_its_heading(guide):
    guide.page.anchorClicked.emit(QUrl("#12-at-3-am"))
    assert top_line(guide) == "12. At 3 a.m."


def test_a_link_leads_to_a_heading_of_another_page_and_contents_leads_back(guide, qtbot):
    guide.page.anchorClicked.emit(QUrl("formats.md#preprocessing"))
    assert guide.page.source().fileName() == "formats.md"
    assert top_line(guide) == "Preprocessing"
    qtbot.mouseClick(guide.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert guide.page.source().fileName() == "guide.md"
    assert top_line(guide) == "Operator guide"


def test_pictures_are_shown_and_nothing_is_wider_than_the_window(guide):
    assert "￼" in guide.page.toPlainText()  # stands for a picture
    assert guide.page.horizontalScrollBar().maximum() == 0


def test_words_are_found_again_from_the_beginning(guide, qtbot):
    line = guide.findChild(QLineEdit)
    qtbot.keyClicks(line, "operator guide")
    for _ in range(2):
        qtbot.keyClick(line, Qt.Key.Key_Return)
        assert guide.page.textCursor().selectedText().lower() == "operator guide"


def test_links_follow_light_and_dark_and_the_page_stays_where_it_is(guide):
    guide.page.anchorClicked.emit(QUrl("#7-the-object"))
    for scheme in ("dark", "light"):
        theme.choose(scheme)
        assert top_line(guide) == "7. The object"
        text = guide.page.toHtml()
        assert guide.page.palette().link().color().name() in text


def test_pictures_of_the_window_are_light_or_dark_as_it_is(guide):
    kind = QTextDocument.ResourceType.ImageResource.value
    shade = {}
    for scheme in ("light", "dark"):
        theme.choose(scheme)
        picture = guide.page.loadResource(kind, "images/training-light.png")
        shade[scheme] = picture.pixelColor(5, 5).lightness()
    assert shade["dark"] < 110 < shade["light"]


def test_headings_are_named_as_code_hosts_name_them():
    assert anchor_of("12. At 3 a.m.") == "12-at-3-am"
    assert anchor_of("Any other HDF5 or NPZ: mappings") == "any-other-hdf5-or-npz-mappings"
