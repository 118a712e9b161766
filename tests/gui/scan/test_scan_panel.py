"""The scan panel: what the scan is, what is wrong with it, what its file left open."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QPushButton, QToolButton

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.formats import read_scan
from ptycho_core.inspection.inspection import figures, inspect, summary
from ptycho_core.scan.scan import Patterns
from ptycho_core.scan.settings import HELP, SETTINGS
from ptycho_core.scan.source import ScanSource
from ptycho_gui.kit import theme
from ptycho_gui.kit.labels import ANSWERS
from ptycho_gui.scan.problem_list import ProblemList
from ptycho_gui.scan.scan_panel import ScanPanel
from tests.helpers import scan_files as files


@pytest.fixture
def panel(put_up):
    return put_up(ScanPanel())


@pytest.fixture
def of_unknown_geometry(tmp_path):
    arrays = {"patterns": files.counts(), "scan": files.positions(), "probe": files.probe()}
    return inspect(read_scan(files.npz(tmp_path / "a.npz", **arrays)))


def visible(panel, kind, text=""):
    QApplication.processEvents()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    return [one for one in panel.findChildren(kind) if one.isVisibleTo(panel) and (not text or text in one.text())]


def test_without_a_scan_it_invites_to_open_one(qtbot, panel):
    assert visible(panel, QLabel, "No scan is open")
    with qtbot.waitSignal(panel.open_requested):
        visible(panel, QPushButton, "Open")[0].click()


def test_it_tells_of_a_scan_what_the_command_line_tells(panel, tiny_scan):
    looked = inspect(tiny_scan)
    panel.show_scan(looked)
    shown = {label.text() for label in visible(panel, QLabel)}
    assert {text for label, text in summary(figures(looked)) if label != "File"} <= shown


def test_another_scan_takes_the_place_of_the_one_before(panel, tiny_scan):
    panel.show_scan(inspect(tiny_scan))
    panel.show_scan(inspect(tiny_scan.take(range(30))))
    assert visible(panel, QLabel, "30 of 32 x 32")
    assert not visible(panel, QLabel, "60 of 32 x 32")


def test_another_answer_is_asked_for_by_its_key_and_value(qtbot, panel, of_unknown_geometry):
    panel.show_scan(of_unknown_geometry)
    (combo,) = [box for box in visible(panel, QComboBox, "") if box.accessibleName() == "Position axes"]
    assert combo.currentData() == "+y+x"
    with qtbot.waitSignal(panel.setting_chosen) as chosen:
        combo.setFocus()
        qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert chosen.args == ["orientation", "+y-x"]


def test_an_unknown_energy_is_filled_in_with_its_unit(qtbot, panel, of_unknown_geometry):
    panel.show_scan(of_unknown_geometry)
    (line,) = [one for one in visible(panel, QLineEdit) if one.accessibleName() == "Energy in keV"]
    assert line.text() == ""
    with qtbot.waitSignal(panel.setting_chosen) as chosen:
        qtbot.keyClicks(line, "8.8")
        qtbot.keyClick(line, Qt.Key.Key_Return)
    assert chosen.args == ["energy_ev", "8800"]


@pytest.mark.parametrize("typed", ["", "0", "-3", "x"])
def test_what_is_no_positive_number_cannot_be_applied(qtbot, panel, of_unknown_geometry, typed):
    panel.show_scan(of_unknown_geometry)
    (line,) = [one for one in visible(panel, QLineEdit) if one.accessibleName() == "Energy in keV"]
    (apply,) = [one for one in visible(panel, QPushButton) if one.accessibleName() == "Apply energy"]
    line.setText(typed)
    with qtbot.assertNotEmitted(panel.setting_chosen):
        qtbot.keyClick(line, Qt.Key.Key_Return)
    assert not apply.isEnabled()
    assert apply.toolTip().endswith("Not now: Type a number above 0.")


def test_what_the_operator_set_stays_there_to_be_changed(panel, tmp_path):
    settings = {"energy_ev": "8800", "distance_m": "2", "detector_pixel_m": "75e-6"}
    arrays = {"patterns": files.counts(), "scan": files.positions(), "probe": files.probe()}
    panel.show_scan(inspect(read_scan(files.npz(tmp_path / "a.npz", **arrays), settings=settings)))
    shown = {line.accessibleName(): line.text() for line in visible(panel, QLineEdit)}
    assert shown == {"Energy in keV": "8.8", "Distance in m": "2", "Detector pixel in µm": "75"}


def test_the_near_field_is_a_choice_of_every_file_and_then_asks_for_its_defocus(qtbot, panel, tmp_path):
    def shown():
        return {line.accessibleName() for line in visible(panel, QLineEdit)}

    path = files.write(tmp_path, "cxi")
    panel.show_scan(inspect(read_scan(path)))
    (propagator,) = [one for one in visible(panel, QComboBox) if one.accessibleName() == "Propagator"]
    assert propagator.currentData() == "far"
    assert not shown() & {"Defocus in mm", "Magnification in times"}
    with qtbot.waitSignal(panel.setting_chosen) as chosen:
        propagator.setCurrentIndex(propagator.findData("near"))
        propagator.activated.emit(propagator.currentIndex())
    assert chosen.args == ["propagator", "near"]
    panel.show_scan(inspect(read_scan(path, settings={"propagator": "near"})))
    assert {"Defocus in mm", "Magnification in times"} <= shown()


def test_what_was_typed_stays_when_another_answer_has_the_scan_read_again(qtbot, panel, of_unknown_geometry):
    def lines():
        return {line.accessibleName(): line for line in visible(panel, QLineEdit)}

    panel.show_scan(of_unknown_geometry)
    qtbot.keyClicks(lines()["Distance in m"], "2.5")
    qtbot.keyClicks(lines()["Energy in keV"], "8.8")
    with qtbot.waitSignal(panel.setting_chosen):
        qtbot.keyClick(lines()["Energy in keV"], Qt.Key.Key_Return)
    path = of_unknown_geometry.scan.source.path
    panel.show_scan(inspect(read_scan(path, settings={"energy_ev": "9000"})))
    assert {name: line.text() for name, line in lines().items()} == {
        "Distance in m": "2.5",
        "Detector pixel in µm": "",
        "Energy in keV": "9",
    }
    panel.show_scan(
        inspect(of_unknown_geometry.scan.replace(source=ScanSource(path.with_name("other.npz"), format="plain-npz")))
    )
    assert not any(line.text() for line in lines().values())


def test_the_keyboard_stays_where_it_was_when_the_scan_is_read_again(qtbot, panel, of_unknown_geometry):
    panel.show_scan(of_unknown_geometry)
    with qtbot.waitActive(panel):
        panel.activateWindow()
    visible(panel, QComboBox)[0].setFocus()
    name = QApplication.focusWidget().accessibleName()
    panel.show_scan(inspect(of_unknown_geometry.scan))
    visible(panel, QComboBox)
    assert QApplication.focusWidget().accessibleName() == name == "Position axes"


def test_turning_the_wheel_over_a_choice_changes_nothing(qtbot, panel, of_unknown_geometry):
    panel.show_scan(of_unknown_geometry)
    combo = visible(panel, QComboBox)[0]
    wheel = QWheelEvent(
        QPointF(5, 5), combo.mapToGlobal(QPointF(5, 5)), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    before = combo.currentIndex()
    QApplication.sendEvent(combo, wheel)
    assert combo.currentIndex() == before


def test_a_problem_is_said_with_a_button_for_each_way_out(qtbot, panel, tiny_scan):
    panel.show_scan(inspect(tiny_scan.replace(probe=np.ones((1, 20, 20), np.complex64))))
    assert visible(panel, QLabel, "Prevents a reconstruction:</b> the probe is 20 x 20 pixels")
    with qtbot.waitSignal(panel.fix_requested) as fixed:
        visible(panel, QPushButton, "Start from a guess")[0].click()
    assert fixed.args == [Fix("start from a guess", "probe", "ignore")]


def test_empty_patterns_can_be_shown(qtbot, panel, tiny_scan):
    stack = tiny_scan.patterns[:].copy()
    stack[5] = 0
    panel.show_scan(inspect(tiny_scan.replace(patterns=Patterns(stack))))
    with qtbot.waitSignal(panel.show_requested) as shown:
        visible(panel, QPushButton, "Show")[0].click()
    assert shown.args[0].field == "patterns"


def test_errors_stand_before_warnings(qtbot, tiny_scan):
    looked = inspect(tiny_scan.replace(probe=None, positions=np.zeros((60, 2))))
    assert {problem.severity for problem in looked.problems} == {"error", "warning"}
    problems = ProblemList()
    qtbot.addWidget(problems)
    problems.show_problems(tuple(reversed(looked.problems)))
    sentences = [label.text() for label in problems.findChildren(QLabel) if label.text()]
    assert sentences[0].startswith("<b>Prevents")
    assert sentences[-1].startswith("<b>Warning")


def test_a_sound_scan_has_no_list_of_problems(panel, tiny_scan):
    panel.show_scan(inspect(tiny_scan.replace(positions=np.zeros((60, 2)))))
    panel.show_scan(inspect(tiny_scan))
    assert not visible(panel, QLabel, "Prevents")


def test_the_history_unfolds(qtbot, panel, of_unknown_geometry):
    panel.show_scan(of_unknown_geometry)
    assert not visible(panel, QLabel, "Read a.npz as plain-npz")
    panel.history.button.click()
    assert visible(panel, QLabel, "Read a.npz as plain-npz")


def test_loading_is_shown_above_the_scan_before_and_can_be_cancelled(qtbot, panel, tiny_scan):
    panel.show_scan(inspect(tiny_scan))
    panel.show_loading("reading the file", None)
    assert visible(panel, QLabel, "Reading the file")
    assert visible(panel, QLabel, "60 of 32 x 32")
    with qtbot.waitSignal(panel.cancel_requested):
        visible(panel, QPushButton, "Cancel")[0].click()
    panel.show_scan(inspect(tiny_scan))
    assert not visible(panel, QPushButton, "Cancel")


def test_a_file_that_cannot_be_opened_leaves_the_scan_before(panel, tiny_scan):
    panel.show_scan(inspect(tiny_scan))
    panel.show_loading("reading the file", 0.5)
    panel.show_error("a.h5 does not exist")
    assert visible(panel, QLabel, "a.h5 does not exist")
    assert visible(panel, QLabel, "60 of 32 x 32")
    panel.show_scan(inspect(tiny_scan))
    assert not visible(panel, QLabel, "a.h5 does not exist")


def test_every_setting_of_a_file_has_a_label_and_a_help():
    assert ANSWERS.keys() == SETTINGS.keys() == HELP.keys()


def test_a_long_path_makes_the_panel_no_wider(panel, tiny_scan):
    panel.resize(340, 560)
    panel.show_scan(inspect(tiny_scan.replace(note="read " + "/a_long_folder" * 20)))
    panel.show_error("x" * 300)
    assert panel.minimumSizeHint().width() <= 340


ERROR, ODD = Problem("probe", "it is broken"), Problem("mask", "it is odd", "warning")


@pytest.mark.parametrize(
    ("problems", "told"),
    [
        ((), ["", 0, ""]),
        ((ODD,), ["warning", 1, "1 warning"]),
        ((ODD, ODD), ["warning", 2, "2 warnings"]),
        ((ODD, ERROR), ["error", 2, "1 prevents a reconstruction, 1 warning"]),
        ((ERROR, ERROR), ["error", 2, "2 prevent a reconstruction"]),
    ],
)
def test_how_many_problems_there_are_is_told_for_its_tab(qtbot, panel, tiny_scan, problems, told):
    with qtbot.waitSignal(panel.marked) as marked:
        panel.show_scan(dataclasses.replace(inspect(tiny_scan), problems=problems))
    assert marked.args == told


def test_a_problem_follows_light_and_dark(qtbot, panel, tiny_scan):
    theme.choose("light")
    try:
        panel.show_scan(dataclasses.replace(inspect(tiny_scan), problems=(ODD,)))
        sentence = visible(panel, QLabel, "odd")[0]
        theme.choose("dark")
        qtbot.waitUntil(lambda: sentence.palette().windowText() == QApplication.palette().windowText())
        edge = panel.problems.grab().toImage().pixelColor(1, 10).name()
        assert edge == theme.colours().warning
    finally:
        theme.choose("system")


def withdrawals(panel):
    return [one for one in visible(panel, QToolButton) if one.accessibleName().startswith("Withdraw")]


def test_what_the_operator_answered_can_be_withdrawn_and_nothing_else(qtbot, panel, tmp_path):
    arrays = {"patterns": files.counts(), "scan": files.positions(), "probe": files.probe()}
    path = files.npz(tmp_path / "a.npz", **arrays)
    panel.show_scan(inspect(read_scan(path)))
    assert not withdrawals(panel)
    panel.show_scan(inspect(read_scan(path, settings={"energy_ev": "8000"})))
    (withdraw,) = withdrawals(panel)
    assert withdraw.accessibleName() == "Withdraw energy"
    with qtbot.waitSignal(panel.setting_withdrawn) as told:
        withdraw.click()
    assert told.args == ["energy_ev"]
