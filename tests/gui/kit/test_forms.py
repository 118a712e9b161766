"""Fields of forms: what is typed is told as it is, nothing is corrected in silence, and changes are marked."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QPushButton, QToolButton

from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix, Problem
from ptycho_core.scan.steps import STEPS
from ptycho_gui.kit.forms.editors import NumberEditor
from ptycho_gui.kit.forms.knob_field import KnobField
from ptycho_gui.kit.labels import label_of, worded
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.draft_fields import DraftFields


class Heard:
    """What a field tells."""

    def __init__(self, field):
        self.values, self.errors = [], []
        field.value_changed.connect(lambda name, value: self.values.append(value))
        field.error_changed.connect(lambda name, sentence: self.errors.append(sentence))


@pytest.fixture
def make(qtbot):
    def field(name, value=None):
        made = KnobField(name, KNOBS[name])
        qtbot.addWidget(made)
        qtbot.addWidget(made.label)
        default = getattr(Config(), name)
        made.set_default(default)
        made.set_value(default if value is None else value)
        made.show()
        return made, Heard(made)

    return field


def line(field):
    return field.editor.box.lineEdit()


def enter(field, text):
    line(field).selectAll()
    QTest.keyClicks(line(field), text)


@pytest.mark.parametrize("name", KNOBS)
def test_every_setting_has_a_field_that_shows_its_default_and_tells_nothing_of_it(make, name):
    field, heard = make(name)
    assert field.knob.parse(name, field.editor.text()) == getattr(Config(), name)
    assert (heard.values, heard.errors, field.is_changed) == ([], [], False)


@pytest.mark.parametrize("kind", STEPS.values(), ids=STEPS)
def test_settings_of_steps_have_fields_too(qtbot, kind):
    for name, knob in kind.knobs().items():
        field = KnobField(name, knob)
        qtbot.addWidget(field)
        assert field.editor.isEnabled()


def test_a_number_is_told_with_each_key(make):
    field, heard = make("max_epochs")
    enter(field, "120")
    assert heard.values == [1, 12, 120]


def test_a_float_may_be_written_in_scientific_notation_and_stays_as_it_is_written(make):
    field, heard = make("learning_rate")
    enter(field, "2e-04")
    assert heard.values[-1] == 2e-4
    field.set_value(2e-4)
    assert field.editor.text() == "2e-04"


def test_what_is_not_valid_stays_in_the_field_with_the_sentence_beneath(make):
    field, heard = make("gridsize")
    enter(field, "9")
    assert field.editor.text() == "9"
    assert heard.values == []
    assert heard.errors == ["Gridsize must be a whole number from 1 to 8 (it is 9)"]
    assert field.shown_problem == heard.errors[0]
    enter(field, "3")
    assert (heard.values, heard.errors[-1], field.shown_problem) == ([3], "", "")


def test_leaving_the_field_corrects_nothing(make, qtbot):
    field, _ = make("gridsize")
    enter(field, "77")
    QTest.keyClick(line(field), Qt.Key.Key_Return)
    field.editor.box.clearFocus()
    assert field.editor.text() == "77"


def test_arrows_stay_within_the_limits(make):
    field, heard = make("gridsize", 7)
    for _ in range(3):
        QTest.keyClick(field.editor.box, Qt.Key.Key_Up)
    assert set(heard.values) == {8}
    assert field.editor.text() == "8"


def test_the_word_that_stands_for_a_number_has_a_check_box(make):
    field, heard = make("neighbor_count")
    check = field.findChild(QCheckBox)
    assert check.text() == "auto"
    assert check.isChecked()
    field.set_start(8)
    check.click()
    assert heard.values == [8]
    enter(field, "auto")
    assert heard.values[-1] is None
    assert check.isChecked()


def test_devices_may_be_a_number_or_auto(make):
    field, heard = make("devices")
    field.findChild(QCheckBox).click()
    enter(field, "4")
    assert heard.values == ["auto", 4]


def test_a_choice_is_a_list_of_its_words(make):
    field, heard = make("optimizer")
    combo = field.findChild(QComboBox)
    assert [combo.itemData(i) for i in range(combo.count())] == list(KNOBS["optimizer"].choices)
    QTest.keyClick(combo, Qt.Key.Key_Down)
    assert heard.values == ["adamw"]


def test_a_switch_that_may_be_automatic_has_three_choices(make):
    field, heard = make("pin_memory")
    combo = field.findChild(QComboBox)
    for _ in range(2):
        QTest.keyClick(combo, Qt.Key.Key_Down)
    assert [combo.itemText(i) for i in range(3)] == ["auto", "yes", "no"]
    assert heard.values == [True, False]


def test_several_words_are_check_boxes_and_none_of_them_means_none(make):
    field, heard = make("logger")
    boxes = {box.text(): box for box in field.findChildren(QCheckBox)}
    assert list(boxes) == ["csv", "tensorboard", "mlflow"]
    boxes["mlflow"].click()
    boxes["csv"].click()
    boxes["mlflow"].click()
    assert heard.values == [("csv", "mlflow"), ("mlflow",), ("none",)]


def test_a_changed_field_is_marked_and_resets_to_its_default(make):
    field, heard = make("max_epochs", 70)
    assert field.label.text() == "• Epochs"
    assert field.label.font().bold()
    assert "the default is 50" in field.editor.toolTip()
    field.findChild(QToolButton).click()
    assert heard.values == [50]
    assert field.label.text() == "Epochs"
    assert not field.label.font().bold()


def test_resetting_replaces_a_text_that_is_not_valid(make):
    field, heard = make("max_epochs")
    enter(field, "x")
    assert field.is_changed
    field.findChild(QToolButton).click()
    assert (field.editor.text(), heard.errors[-1], field.is_changed) == ("50", "", False)


def test_the_tooltip_is_the_help_of_the_command_line(make):
    field, _ = make("learning_rate")
    for text in (KNOBS["learning_rate"].help, KNOBS["learning_rate"].valid(), "0.001"):
        assert text in field.editor.toolTip()
        assert text in field.label.toolTip()


def test_ways_out_of_a_problem_are_buttons(make, qtbot):
    field, _ = make("neighbor_count", 4)
    fixes = (Fix("neighbor count 9", "neighbor_count", 9), Fix("gridsize 2", "gridsize", 2))
    field.show_problems([Problem("neighbor_count", "too few", fixes=fixes)])
    buttons = field.findChildren(QPushButton)
    assert [button.text() for button in buttons] == ["Use neighbor count 9", "Use gridsize 2"]
    with qtbot.waitSignal(field.fix_chosen) as chosen:
        buttons[1].click()
    assert chosen.args == [fixes[1]]
    field.show_problems([])
    assert field.shown_problem == ""


def test_an_error_is_shown_before_a_warning_and_a_wrong_text_before_both(make):
    field, _ = make("gridsize")
    field.show_problems([Problem("gridsize", "loose", "warning"), Problem("gridsize", "wrong")])
    assert field.shown_problem == "wrong"
    enter(field, "x")
    assert "must be a whole number" in field.shown_problem


def test_the_wheel_changes_nothing_that_was_not_clicked(make):
    for name in ("max_epochs", "optimizer"):
        field, heard = make(name)
        widget = field.editor.focusProxy()
        widget.clearFocus()
        wheel = QWheelEvent(
            QPointF(5, 5),
            widget.mapToGlobal(QPointF(5, 5)),
            QPoint(0, 0),
            QPoint(0, 120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(widget, wheel)
        assert heard.values == []


def test_labels_say_units_and_no_two_settings_share_one():
    assert label_of("max_time") == "Time limit (min)"
    assert len({label_of(name) for name in KNOBS}) == len(KNOBS)


def test_a_sentence_calls_settings_as_forms_do():
    said = worded("Try a smaller batch_size, gridsize or model_width; the early_stop_patience stays; say the energy_ev")
    assert said == "Try a smaller Batch size, gridsize or Model width; the Early stop stays; say the Energy"


@pytest.fixture
def bound(qtbot):
    draft = Draft()
    fields = DraftFields(draft, KNOBS, draft).fields
    for field in fields.values():
        qtbot.addWidget(field)
        qtbot.addWidget(field.label)
    return draft, fields


def test_fields_and_draft_are_kept_alike(bound):
    draft, fields = bound
    enter(fields["max_epochs"], "7")
    assert draft.settings() == {"max_epochs": 7}
    draft.set("seed", 5)
    assert fields["seed"].editor.text() == "5"


def test_a_preset_shows_in_fields_that_were_not_set_and_marks_none_of_them(bound):
    draft, fields = bound
    draft.set("preset", "best")
    assert fields["max_epochs"].editor.text() == "80"
    assert not fields["max_epochs"].is_changed
    assert fields["preset"].is_changed


def test_a_wrong_text_survives_changes_elsewhere_and_goes_with_a_reset(bound):
    draft, fields = bound
    enter(fields["gridsize"], "9")
    draft.set("seed", 5)
    assert fields["gridsize"].editor.text() == "9"
    assert draft.config() is None
    draft.reset_all()
    assert fields["gridsize"].editor.text() == "2"
    assert fields["gridsize"].shown_problem == ""


def test_a_text_on_its_way_from_wrong_to_right_is_not_overwritten(bound):
    draft, fields = bound
    enter(fields["learning_rate"], "5e-4")
    assert fields["learning_rate"].editor.text() == "5e-4"
    assert draft.value("learning_rate") == 5e-4


def test_a_chosen_way_out_is_set(bound):
    draft, fields = bound
    draft.set("val_fraction", 0)
    fields["val_fraction"].findChild(QPushButton).click()
    assert draft.value("val_fraction") == 0.05
    assert draft.problems() == []


def test_number_editors_name_both_their_parts(make):
    field, _ = make("max_time")
    assert isinstance(field.editor, NumberEditor)
    assert field.editor.box.accessibleName() == "Time limit (min)"
    assert field.findChild(QCheckBox).accessibleName() == "Time limit (min): none"
