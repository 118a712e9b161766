"""Where the panels are, on narrow and on wide screens."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication, QMainWindow, QTabBar, QWidget

from ptycho_gui.kit.icons import icon
from ptycho_gui.window.docks import Docks

NARROW, WIDE = (1280, 800), (2560, 1440)
PANELS = {
    "scan": "left",
    "training": "left",
    "data": "main",
    "object": "main",
    "curves": "side",
    "runs": "bottom",
    "log": "bottom",
}


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    qtbot.addWidget(window)
    return window


@pytest.fixture
def docks(window):
    docks = Docks(window)
    for name, group in PANELS.items():
        docks.add(name, name.capitalize(), group, QWidget())
    return docks


def arrange(window, docks, size):
    window.resize(*size)
    docks.arrange()
    window.show()
    docks.share_room()


def tabs_of(window, docks, name):
    return {other for other in PANELS if docks[other] in window.tabifiedDockWidgets(docks[name])}


def test_on_a_narrow_screen_curves_are_a_tab_of_the_main_group(window, docks):
    arrange(window, docks, NARROW)
    assert tabs_of(window, docks, "data") == {"object", "curves"}
    assert tabs_of(window, docks, "scan") == {"training"}


@pytest.mark.parametrize("sizes", [(WIDE,), (NARROW, WIDE), (WIDE, NARROW, WIDE)], ids=str)
def test_on_a_wide_screen_curves_stand_beside_the_main_group_whatever_was_before(window, docks, qtbot, sizes):
    for size in sizes:
        arrange(window, docks, size)
    assert tabs_of(window, docks, "data") == {"object"}
    assert tabs_of(window, docks, "curves") == set()
    qtbot.waitUntil(lambda: docks["curves"].x() > docks["data"].geometry().right() > WIDE[0] // 2)


def test_on_a_wide_screen_the_object_has_half_of_the_window_and_the_rest_sensible_widths(window, docks, qtbot):
    arrange(window, docks, WIDE)
    docks.show("object")
    qtbot.waitUntil(docks.panel("object").isVisible)
    size = docks["object"].size()
    assert size.width() * size.height() >= WIDE[0] * WIDE[1] / 2
    assert 300 < docks["scan"].width() < 500
    assert 400 < docks["curves"].width() < 700
    assert docks["runs"].y() > docks["curves"].y()


def test_a_window_that_grows_and_shrinks_is_arranged_for_its_width_and_keeps_what_is_in_front(window, docks, qtbot):
    arrange(window, docks, NARROW)
    docks.show("object")
    docks["log"].hide()
    qtbot.waitUntil(docks.panel("object").isVisible)
    for size, beside in ((WIDE, set()), (NARROW, {"data", "object"})):
        window.resize(*size)
        docks.follow_width()
        assert tabs_of(window, docks, "curves") == beside
        qtbot.waitUntil(docks.panel("object").isVisible)
        assert docks["log"].isHidden()


def test_on_a_narrow_screen_the_tables_get_a_quarter_of_the_height(window, docks, qtbot):
    arrange(window, docks, NARROW)
    qtbot.waitUntil(lambda: 0 < docks["runs"].height() < NARROW[1] // 3)


def tab_of(window, text):
    return next((bar, i) for bar in window.findChildren(QTabBar) for i in range(bar.count()) if bar.tabText(i) == text)


def test_a_tab_is_marked_by_a_sign_and_a_number_and_read_out_in_words(window, docks, qtbot):
    QApplication.setWindowIcon(icon("app"))
    arrange(window, docks, NARROW)
    docks.mark("scan", "warning", 2, "2 warnings")
    for again in (lambda: None, lambda: docks["scan"].hide(), docks.arrange):
        again()
        docks["scan"].show()
        qtbot.waitUntil(lambda: tab_of(window, "Scan (2)")[0].isVisible())
        bar, index = tab_of(window, "Scan (2)")
        assert not bar.tabIcon(index).isNull()
        assert bar.accessibleTabName(index) == "Scan: 2 warnings"
        others, index = tab_of(window, "Training")
        assert others.tabIcon(index).isNull()
    docks.mark("scan", "", 0, "")
    bar, index = tab_of(window, "Scan")
    assert bar.tabIcon(index).isNull()
    assert bar.accessibleTabName(index) == "Scan"
