"""The log: from any thread to the panel and the file, filtered, bounded, and copied for a bug report."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import warnings

import pytest
from PySide6.QtCore import Qt, qWarning
from PySide6.QtGui import QGuiApplication

from ptycho_core.base.config import Config
from ptycho_gui.log.log_bridge import CRASHES, FILE, LogEntry, start_logging
from ptycho_gui.log.log_lines import MOST_LINES, LogFilter, LogLines
from ptycho_gui.log.log_panel import LogPanel

_log = logging.getLogger("ptycho_core.test")


@pytest.fixture
def bridge(tmp_path):
    enabled = faulthandler.is_enabled()
    bridge = start_logging(tmp_path / "log")
    yield bridge
    bridge.stop()
    if enabled:
        faulthandler.enable()


@pytest.fixture
def heard(bridge, qtbot):
    entries = []
    bridge.emitter.logged.connect(entries.append)
    return entries


@pytest.fixture
def panel(put_up):
    return put_up(LogPanel(), 1260, 200)


def entry(text, level=logging.INFO):
    return LogEntry(1.7e9, level, "ptycho_core.test", text)


def shown(panel):
    return [panel.shown.index(row, 2).data() for row in range(panel.shown.rowCount())]


def test_what_any_thread_logs_reaches_the_panel_in_the_windows_thread(bridge, panel, qtbot):
    bridge.emitter.logged.connect(panel.add)
    thread = threading.Thread(target=_log.info, args=("from a %s", "thread"))
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: shown(panel) == ["from a thread"])


def test_the_file_keeps_everything_with_tracebacks(bridge, tmp_path):
    try:
        raise ValueError("no such luck")
    except ValueError:
        _log.debug("a detail", exc_info=True)
    text = (tmp_path / "log" / FILE).read_text()
    assert "DEBUG ptycho_core.test: a detail" in text
    assert "ValueError: no such luck" in text
    assert (tmp_path / "log" / CRASHES).exists()


def test_a_folder_that_cannot_be_written_is_told_and_nothing_else_fails(tmp_path, qtbot):
    (tmp_path / "file").write_text("")
    bridge = start_logging(tmp_path / "file" / "log")
    entries = []
    bridge.emitter.logged.connect(entries.append)
    _log.info("still heard")
    bridge.stop()
    assert [one.text for one in entries] == ["still heard"]


def test_a_warning_is_told_once(heard):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(3):
            warnings.warn("this will change", FutureWarning, stacklevel=1)
    assert [one.level for one in heard] == [logging.WARNING]
    assert "this will change" in heard[0].text


def test_other_libraries_are_heard_from_warnings_on(heard):
    logging.getLogger("somebody.else").info("chatter")
    logging.getLogger("somebody.else").warning("trouble")
    assert [one.text for one in heard] == ["trouble"]


def test_what_qt_complains_of_is_logged(heard):
    qWarning("a layout is wrong")
    assert ("qt", "a layout is wrong") in [(one.source, one.text) for one in heard]


def test_an_unexpected_error_is_logged_with_its_traceback_and_printed_as_before(tmp_path, monkeypatch, qtbot):
    entries, printed = [], []
    monkeypatch.setattr(sys, "excepthook", lambda *error: printed.append(error))
    bridge = start_logging(tmp_path)
    bridge.emitter.logged.connect(entries.append)
    error = KeyError("lost")
    sys.excepthook(KeyError, error, None)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    bridge.stop()
    (told,) = entries
    assert told.level == logging.CRITICAL
    assert "internal error: KeyError: 'lost'" in told.text
    assert [kind for kind, *_ in printed] == [KeyError, KeyboardInterrupt]


def test_when_it_is_stopped_all_is_as_before(tmp_path):
    before = (sys.excepthook, threading.excepthook, [*logging.getLogger().handlers], faulthandler.is_enabled())
    level = logging.getLogger("ptycho_core").level
    start_logging(tmp_path).stop()
    assert before[:2] == (sys.excepthook, threading.excepthook)
    assert before[2:] == ([*logging.getLogger().handlers], faulthandler.is_enabled())
    assert logging.getLogger("ptycho_core").level == level


def test_the_models_behave_as_qt_expects(qtmodeltester):
    lines = LogLines()
    lines.add([entry("one\ntwo"), entry("three", logging.ERROR)])
    qtmodeltester.check(lines)
    qtmodeltester.check(LogFilter(lines))


def test_only_so_many_lines_are_kept(panel):
    for part in range(3):
        for number in range(MOST_LINES // 2):
            panel.add(entry(f"{part}-{number}"))
        panel.take_in()
    assert len(panel.lines.lines) == MOST_LINES
    assert panel.lines.lines[-1].text == f"2-{MOST_LINES // 2 - 1}"
    assert panel.lines.lines[0].text == "1-0"
    panel.lines.add([entry("\n".join("abc" * MOST_LINES))])
    assert len(panel.lines.lines) == MOST_LINES


def test_it_shows_what_is_important_enough_and_has_the_words(panel, qtbot):
    panel.lines.add(
        [entry("read star.npz"), entry("a detail", logging.DEBUG), entry("it failed\nTraceback of STAR", logging.ERROR)]
    )
    assert shown(panel) == ["read star.npz", "it failed", "Traceback of STAR"]
    panel.level.setCurrentText("Everything")
    assert len(shown(panel)) == 4
    panel.level.setCurrentText("Errors")
    assert shown(panel) == ["it failed", "Traceback of STAR"]
    panel.level.setCurrentText("Information")
    qtbot.keyClicks(panel.words, "star")
    assert shown(panel) == ["read star.npz", "it failed", "Traceback of STAR"]
    qtbot.keyClicks(panel.words, ".npz")
    assert shown(panel) == ["read star.npz"]


def test_a_level_is_told_by_word_and_icon_too(panel):
    panel.lines.add([entry("calm"), entry("careful", logging.WARNING), entry("bad", logging.CRITICAL)])
    cells = [panel.lines.index(row, 1) for row in range(3)]
    assert [cell.data() for cell in cells] == ["info", "warning", "error"]
    icons = [cell.data(Qt.ItemDataRole.DecorationRole) for cell in cells]
    assert icons[0] is None
    assert not icons[1].isNull()
    assert not icons[2].isNull()


def test_a_bug_report_has_the_log_versions_settings_and_the_run(panel, tmp_path, qtbot):
    panel.set_config(Config(gridsize=3))
    panel.set_run_folder(tmp_path)
    panel.add(entry("a detail", logging.DEBUG))
    panel.add(entry("it failed\n  in line 3", logging.ERROR))
    qtbot.mouseClick(panel.copy_button, Qt.MouseButton.LeftButton)
    report = QGuiApplication.clipboard().text()
    for part in ("torch: ", "PySide6-Essentials: ", "pyqtgraph: ", "cpu_count: ", '"gridsize": 3', str(tmp_path)):
        assert part in report
    assert "DEBUG ptycho_core.test: a detail" in report
    assert "ERROR ptycho_core.test: it failed\n  in line 3" in report


def test_selected_lines_are_copied_by_the_keyboard(panel, qtbot):
    panel.lines.add([entry("one"), entry("two")])
    panel.view.setFocus()
    qtbot.keyClick(panel.view, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(panel.view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert [line.split("\t")[1:] for line in lines] == [["info", "one"], ["info", "two"]]
