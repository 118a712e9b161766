"""The panel of curves: what is shown, that pan and zoom survive, the values at the mouse, other runs."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt

from ptycho_core.base.config import Config
from ptycho_core.base.events import BatchDone
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.record import read_metrics
from ptycho_gui.train.curves_panel import CurvesPanel


@pytest.fixture
def panel(put_up):
    return put_up(CurvesPanel(), 860, 480)


@pytest.fixture
def history(trained):
    return RunHistory.from_run(trained.info, read_metrics(trained.folder))


def ranges(panel):
    return np.array(panel.view.plot_item.getViewBox().viewRange())


def tabs(panel):
    return [
        panel.tabs.tabText(place).replace("&", "")
        for place in range(panel.tabs.count())
        if panel.tabs.isTabVisible(place)
    ]


def words(panel):
    return [curve.words for curve in panel.view.curves]


def go_on(history, steps=300):
    first = history.steps_done
    for step in range(first, first + steps):
        history.hear(BatchDone(1 + step // 3, step, {"poisson_train_loss_step": 5.0 + step}))


def test_without_a_run_it_says_when_curves_appear(panel):
    panel.show_run(None)
    assert "appear" in panel.message.text()
    assert panel.message.isVisible()
    panel.show_run(RunHistory(Config()))
    assert panel.message.isVisible()


def test_a_run_shows_its_losses_and_its_best_epoch(panel, history):
    panel.show_run(history)
    assert words(panel)[1:] == ["training, each step, smoothed over 20", "training, mean of the epoch", "validation"]
    assert panel.view.best.value() == history.best.epoch
    assert panel.view.best.label.format == f"best epoch {history.best.epoch}: {history.best.value:.4g}"
    panel.axis.setCurrentText("Steps")
    assert panel.view.best.value() == history.best.steps


def test_the_chart_that_the_run_monitors_comes_first(panel):
    panel.show_run(RunHistory(Config(loss="mae")))
    assert tabs(panel) == ["Amplitude error", "Poisson loss", "Learning rate", "Gradient", "Speed"]
    panel.show_run(RunHistory(Config()))
    assert tabs(panel)[0] == "Poisson loss"


def test_curves_are_followed_while_they_grow(panel, history, qtbot):
    panel.show_run(history)
    before = ranges(panel)
    go_on(history)
    panel.refresh()
    qtbot.waitUntil(lambda: ranges(panel)[1, 1] > 100)
    assert before[1, 1] < 10


def test_pan_and_zoom_survive_new_values_until_all_is_fitted(panel, history, qtbot):
    panel.show_run(history)
    panel.view.setFocus()
    qtbot.keyClick(panel.view, Qt.Key.Key_Plus)
    qtbot.keyClick(panel.view, Qt.Key.Key_Right)
    mine = ranges(panel)
    go_on(history)
    panel.draw()
    np.testing.assert_array_equal(ranges(panel), mine)
    qtbot.mouseClick(panel.fit, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: ranges(panel)[1, 1] > 100)


def test_each_chart_keeps_its_own_zoom(panel, history, qtbot):
    panel.show_run(history)
    qtbot.keyClick(panel.view, Qt.Key.Key_Plus)
    mine = ranges(panel)
    panel.tabs.setCurrentIndex(3)
    assert ranges(panel)[0, 1] != mine[0, 1]
    panel.tabs.setCurrentIndex(0)
    np.testing.assert_array_equal(ranges(panel), mine)


def test_another_run_is_shown_from_end_to_end(panel, history, qtbot):
    panel.show_run(history)
    for _ in range(5):
        qtbot.keyClick(panel.view, Qt.Key.Key_Plus)
    other = RunHistory(Config())
    go_on(other)
    panel.show_run(other)
    qtbot.waitUntil(lambda: ranges(panel)[1, 1] > 100)


def test_the_values_at_the_mouse_are_read_out_and_the_latest_when_it_has_left(panel, history, qtbot):
    panel.show_run(history)
    panel.view.grab()  # only what is painted has its range
    box = panel.view.plot_item.getViewBox()
    values = history.epochs["poisson_val_loss"]
    place = box.mapViewToScene(QPointF(1.0, float(values[0])))
    panel.view.scene().sigMouseMoved.emit(place)
    assert "Epoch 1, step 3" in panel.readout.text()
    assert f"validation <b>{values[0]:.4g}</b>" in panel.readout.text()
    panel.view.scene().sigMouseMoved.emit(QPointF(-5, -5))
    assert "Epoch 3, step 9" in panel.readout.text()
    assert f"validation <b>{values[2]:.4g}</b>" in panel.readout.text()


def test_a_logarithmic_axis_shows_the_same_curves(panel, history):
    panel.show_run(history)
    panel.log.setChecked(True)
    low, high = ranges(panel)[1]
    values = history.epochs["poisson_val_loss"]
    assert low <= np.log10(values.min()) <= high
    assert [float(text) for text in panel.view.getAxis("left").tickStrings([0.0, np.log10(1.5)], 1, 0.1)] == [1, 1.5]


def test_other_runs_are_overlaid_by_name_in_other_colours_and_styles_and_removed(panel, history, qtbot):
    panel.show_run(history, "tonight")
    with qtbot.waitSignal(panel.overlays_changed) as told:
        panel.overlay("last night", history)
    assert told.args == [("last night",)]
    panel.overlay("the night before", history)
    panel.draw()
    assert "tonight: validation" in words(panel)
    assert "last night: validation" in words(panel)
    pens = {key[:2]: item.opts["pen"] for key, item in panel.view.drawn.items() if key[1] == "validation"}
    assert len({pen.color().name() for pen in pens.values()}) == 3
    assert len({pen.style() for pen in pens.values()}) == 3
    menu = panel.overlaid.menu()
    assert [action.text() for action in menu.actions()] == ["Remove last night", "Remove the night before"]
    menu.actions()[0].trigger()
    assert panel.overlays == ("the night before",)
    panel.remove_overlay("the night before")
    assert not panel.overlaid.isEnabled()
    assert "No run is overlaid" in panel.overlaid.toolTip()


def test_misfits_are_hidden_until_there_are_some(panel, history):
    panel.show_run(history)
    assert "Misfit" not in tabs(panel)
    panel.show_figures("epoch 3", 1.18, 1.19)
    panel.show_figures("epoch 3, polished", 1.15, 1.17)
    panel.tabs.setCurrentIndex(5)
    fitted, free = panel.view.curves
    assert (fitted.y.tolist(), free.y.tolist()) == ([1.18, 1.15], [1.19, 1.17])
    assert panel.view.getAxis("bottom")._tickLevels == [[(0, "epoch 3"), (1, "epoch 3, polished")]]
    assert "Epoch 3, polished" in panel.readout.text()
    assert not panel.axis.isEnabled()
    panel.show_run(history)
    assert "Misfit" not in tabs(panel)


def test_nothing_is_drawn_while_it_is_not_seen(panel, history, qtbot):
    panel.show_run(history)
    panel.hide()
    go_on(history)
    panel.draw()
    assert ranges(panel)[1, 1] < 10
    panel.show()
    qtbot.waitUntil(lambda: ranges(panel)[1, 1] > 100)


def test_many_refreshes_draw_a_few_times_only(panel, history, qtbot, monkeypatch):
    panel.show_run(history)
    drawn = []
    show = panel.view.show_curves
    monkeypatch.setattr(panel.view, "show_curves", lambda curves: (drawn.append(1), show(curves)))
    for _ in range(100):
        panel.refresh()
    qtbot.waitUntil(lambda: len(drawn) >= 1)
    assert len(drawn) <= 2
