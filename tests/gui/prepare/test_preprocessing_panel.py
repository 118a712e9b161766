"""Preprocessing steps edited, previewed before and after, and applied."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog

from ptycho_core.inspection.inspection import inspect
from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import (
    Centre,
    Crop,
    Every,
    MaskFile,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Orient,
    Region,
)
from ptycho_core.scan.steps_json import read_steps
from ptycho_gui.prepare import preprocessing_preview
from ptycho_gui.prepare.preprocessing_panel import PreprocessingPanel
from ptycho_gui.prepare.preprocessing_preview import PreprocessingPreview


@dataclasses.dataclass
class Pair:
    """Panel and preview, wired as the window does, and what happened."""

    panel: PreprocessingPanel
    preview: PreprocessingPreview
    qtbot: object
    outcomes: list
    chosen: list

    def open(self, scan: Scan) -> None:
        looked = inspect(scan)
        self.settle(lambda: (self.preview.show_scan(looked), self.panel.show_scan(looked)))

    def settle(self, edit=lambda: None):
        seen = len(self.outcomes)
        edit()
        self.qtbot.waitUntil(lambda: len(self.outcomes) > seen)
        return self.outcomes[-1]

    @property
    def texts(self) -> list[list[str]]:
        return self.preview.figures.texts

    @property
    def state(self) -> str:
        return self.panel.state.text()


@pytest.fixture
def pair(qtbot, monkeypatch):
    monkeypatch.setattr(preprocessing_preview, "PAUSE_MS", 10)
    panel, preview = PreprocessingPanel(), PreprocessingPreview()
    outcomes, chosen = [], []
    panel.steps_edited.connect(preview.show_steps)
    preview.step_drawn.connect(panel.insert_step)
    preview.effect_ready.connect(panel.show_effect)
    preview.effect_ready.connect(outcomes.append)
    panel.steps_chosen.connect(chosen.append)
    for widget in (panel, preview):
        qtbot.addWidget(widget)
        widget.show()
    yield Pair(panel, preview, qtbot, outcomes, chosen)
    panel.shut_down()
    preview.shut_down()


@pytest.fixture
def opened(pair, tiny_scan):
    pair.open(tiny_scan)
    return pair


def add(panel, kind):
    kinds = (action for menu in panel.list.add.menu().actions() for action in menu.menu().actions())
    next(action for action in kinds if action.data() is kind).trigger()


def test_without_a_scan_nothing_can_be_added_and_it_says_why(pair):
    assert pair.state == "Open a scan first."
    for control in (pair.panel.list.add, pair.panel.apply_button, pair.panel.orientation_button):
        assert not control.isEnabled()
        assert "No scan is open" in control.toolTip()


def test_a_scan_is_seen_as_it_is_before_any_step(opened):
    assert opened.texts[0][:2] == ["60", "32 × 32 px"]
    assert opened.texts[1] == opened.texts[0]
    assert opened.state == "The scan is used as it is in the file."
    assert "They are applied" in opened.panel.apply_button.toolTip()


def test_a_step_from_the_menu_is_edited_in_place_and_seen_live(opened):
    effect = opened.settle(lambda: add(opened.panel, Crop))
    assert effect.after.size == 16
    field = opened.panel.form.fields["size"]
    line = field.editor.focusProxy()
    line.setFocus()
    effect = opened.settle(lambda: (line.selectAll(), opened.qtbot.keyClicks(line, "24")))
    assert effect.after.size == 24
    assert opened.texts[1][1] == "24 × 24 px"
    assert "cropped the patterns from 32 to 24" in opened.panel.form.note.text().lower()
    assert opened.state.startswith("Not applied yet")


def test_applying_tells_the_steps_that_are_switched_on(opened):
    for step in (Centre(), Every(2)):
        opened.settle(lambda step=step: opened.panel.insert_step(step))
    opened.settle(lambda: opened.panel.model.set_active(0, False))
    opened.panel.apply_button.click()
    assert opened.chosen == [(Every(2),)]


def test_a_scan_that_comes_back_with_the_steps_keeps_the_list_and_what_can_be_undone(opened, tiny_scan):
    opened.settle(lambda: opened.panel.insert_step(Every(2)))
    opened.settle(lambda: opened.panel.insert_step(Centre()))
    opened.settle(lambda: opened.panel.model.set_active(1, False))
    opened.panel.show_scan(inspect(preprocess(tiny_scan, [Every(2)])))
    assert opened.state == "Applied: the scan is loaded with these steps."
    assert len(opened.panel.model.entries) == 2
    opened.panel.list.undo.trigger()
    assert opened.state.startswith("Not applied yet")


def test_edits_that_are_not_applied_survive_that_the_same_scan_is_read_again(opened, tiny_scan):
    opened.settle(lambda: opened.panel.insert_step(Every(2)))
    opened.open(tiny_scan)
    assert opened.panel.model.steps() == (Every(2),)
    assert opened.outcomes[-1].after.n == 30


def test_another_scan_begins_with_its_own_steps(opened, tiny_scan):
    opened.settle(lambda: opened.panel.insert_step(Every(2)))
    opened.panel.show_scan(inspect(preprocess(tiny_scan.replace(source=ScanSource(format="other")), [Crop(16)])))
    assert opened.panel.model.steps() == (Crop(16),)
    assert not opened.panel.model.undo.canUndo()
    opened.panel.show_scan(None)
    assert opened.panel.model.entries == ()


def test_the_preview_shows_the_scan_after_the_chosen_step_and_new_ones_go_there(opened):
    for step in (Every(2), Crop(16)):
        opened.settle(lambda step=step: opened.panel.insert_step(step))
    effect = opened.settle(lambda: opened.panel.list.choose(0))
    assert (effect.n_shown, effect.after.size, effect.after.n) == (1, 32, 30)
    opened.settle(lambda: opened.preview.step_drawn.emit(MaskRectangle(1, 1, 4, 4)))
    assert opened.panel.model.steps() == (Every(2), MaskRectangle(1, 1, 4, 4), Crop(16))
    assert opened.panel.list.current == 1


def test_a_step_that_cannot_be_done_is_marked_and_stops_applying(opened):
    opened.settle(lambda: opened.panel.insert_step(Every(2)))
    effect = opened.settle(lambda: opened.panel.insert_step(Crop(64)))
    assert effect.after.n == 30
    assert "size must be at most" in opened.panel.form.problem.text
    assert opened.state.startswith("Cannot be applied: crop: size must be at most")
    assert not opened.panel.apply_button.isEnabled()
    opened.settle(opened.panel.list.undo.trigger)
    assert opened.panel.apply_button.isEnabled()


def test_text_that_is_no_number_stops_applying_and_says_so(opened):
    opened.settle(lambda: opened.panel.insert_step(Crop(16)))
    line = opened.panel.form.fields["size"].editor.focusProxy()
    line.selectAll()
    opened.qtbot.keyClicks(line, "x")
    assert "must be a whole number" in opened.state
    assert not opened.panel.apply_button.isEnabled()


def test_the_list_is_worked_by_keyboard(opened):
    for step in (Every(2), Centre()):
        opened.settle(lambda step=step: opened.panel.insert_step(step))
    view, key = opened.panel.list.view, Qt.Key
    opened.panel.activateWindow()
    view.setFocus()
    opened.qtbot.waitUntil(view.hasFocus)
    control = Qt.KeyboardModifier.ControlModifier
    opened.settle(lambda: opened.qtbot.keyClick(view, key.Key_Up, control))
    assert opened.panel.model.steps() == (Centre(), Every(2))
    opened.settle(lambda: opened.qtbot.keyClick(view, key.Key_Space))
    assert opened.panel.model.steps() == (Every(2),)
    opened.settle(lambda: opened.qtbot.keyClick(view, key.Key_Z, control))
    opened.settle(lambda: opened.qtbot.keyClick(view, key.Key_Delete))
    assert opened.panel.model.steps() == (Every(2),)


def test_a_step_that_takes_a_file_asks_for_it(opened, tmp_path):
    mask = np.ones((32, 32))
    mask[3, 4] = 0
    np.save(tmp_path / "mask.npy", mask)
    add(opened.panel, MaskFile)
    dialog = opened.panel.form.findChild(QFileDialog)
    effect = opened.settle(lambda: dialog.fileSelected.emit(str(tmp_path / "mask.npy")))
    dialog.close()
    assert np.argwhere(~effect.after.mask).tolist() == [[3, 4]]
    assert opened.texts[1][4].startswith("1 (")


def test_steps_are_saved_and_loaded_and_a_bad_file_is_one_sentence(opened, tmp_path):
    opened.settle(lambda: opened.panel.insert_step(Every(2)))
    menu, path = opened.panel.list.menu, tmp_path / "steps.json"
    with opened.qtbot.waitSignal(menu.told):
        menu.save(str(path))
    assert read_steps(path) == (Every(2),)
    opened.settle(lambda: opened.panel.list.remove.trigger())
    opened.settle(lambda: menu.load(str(path)))
    assert opened.panel.model.steps() == (Every(2),)
    path.write_text("{}")
    with opened.qtbot.waitSignal(menu.told):
        menu.load(str(path))
    assert "steps.json lacks steps" in opened.state


def test_flags_are_copied_where_there_are_some(opened):
    opened.settle(lambda: opened.panel.insert_step(Orient("-y+x")))
    opened.panel.list.menu.copy_flags()
    assert QGuiApplication.clipboard().text() == "--orient=-y+x"
    opened.settle(lambda: opened.panel.insert_step(MaskPolygon("1,1 1,9 9,5")))
    opened.panel.list.menu.copy_flags()
    assert "save the steps and give their file with --steps" in opened.state


def test_a_pattern_is_chosen_by_number_or_by_its_place(opened, tiny_scan):
    preview = opened.preview
    preview.view.setCurrentText("One pattern")
    effect = opened.settle(lambda: preview.index.setValue(7))
    np.testing.assert_array_equal(effect.before.pattern, tiny_scan.patterns[7])
    opened.settle(lambda: opened.panel.insert_step(Every(5)))
    effect = opened.settle(lambda: preview.places_after.clicked.emit(2))
    assert (effect.row, preview.index.value()) == (10, 10)
    np.testing.assert_array_equal(effect.after.pattern, tiny_scan.patterns[10])


def test_the_chosen_pattern_stays_when_the_scan_is_read_again(opened, tiny_scan):
    opened.settle(lambda: opened.preview.index.setValue(7))
    opened.open(tiny_scan)
    assert opened.outcomes[-1].row == 7


def test_the_tool_chooses_the_view_that_it_draws_on(opened):
    tools, view = opened.preview.tools, opened.preview.view
    tools.buttons["region"].click()
    assert view.currentText() == "Positions"
    tools.buttons["brush"].click()
    assert view.currentText() == "Mean pattern"
    headings = [picture.plot.header.title for picture in (opened.preview.before, opened.preview.after)]
    assert ["Draw here" in heading.text() for heading in headings] == [False, True]
    tools.put_down()
    assert "Draw here" not in headings[1].text()


def test_a_threshold_on_the_histogram_becomes_a_step(opened):
    preview = opened.preview
    preview.tools.buttons["threshold"].click()
    assert preview.threshold.isVisible()
    limit = float(np.percentile(opened.outcomes[-1].after.mean, 99))
    preview.threshold.high.setValue(limit)
    effect = opened.settle(preview.threshold.accept_button.click)
    (step,) = opened.panel.model.steps()
    assert isinstance(step, MaskThreshold)
    assert step.above == pytest.approx(limit, abs=1e-4)
    assert 0 < np.count_nonzero(~effect.after.mask) <= 11
    assert not preview.threshold.isVisible()


def test_of_quick_edits_only_the_last_is_shown(opened):
    opened.panel.insert_step(Crop(16))
    seen = len(opened.outcomes)
    for size in range(17, 25):
        opened.panel.model.set_value(0, "size", size)
    opened.qtbot.waitUntil(lambda: len(opened.outcomes) > seen)
    assert [effect.after.size for effect in opened.outcomes[seen:]] == [24]


def test_another_scan_replaces_one_that_is_being_looked_at(opened, tiny_scan):
    opened.preview.index.setValue(3)
    opened.qtbot.waitUntil(lambda: opened.preview.looking)
    effect = opened.settle(lambda: opened.preview.show_scan(inspect(tiny_scan.take(range(20)))))
    assert effect.before.n == 20


def test_a_scan_that_cannot_be_read_again_is_one_sentence(pair, tiny_scan):
    pair.preview.show_scan(inspect(preprocess(tiny_scan, [Crop(16)])))
    pair.qtbot.waitUntil(lambda: "was not read from a file" in pair.preview.problem.text)


def test_no_scan_empties_the_preview(opened):
    opened.preview.show_scan(None)
    assert opened.texts == [[""] * 5] * 2
    assert not opened.preview.tools.buttons["rectangle"].isEnabled()


def test_a_region_is_counted_in_the_pixels_of_the_step_before(opened):
    opened.settle(lambda: opened.panel.insert_step(Crop(16)))
    opened.settle(lambda: add(opened.panel, Region))
    region = opened.panel.model.steps()[1]
    positions = opened.outcomes[-1].after.positions
    assert region.bottom == np.ceil(positions[:, 0].max())
    assert opened.outcomes[-1].after.n == 60
