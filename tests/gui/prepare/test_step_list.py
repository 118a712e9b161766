"""The list of preprocessing steps while it is edited."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt

from ptycho_core.base.errors import InputError
from ptycho_core.preprocessing.preview import StepsPreview
from ptycho_core.scan.steps import STEPS, Bin, Centre, Crop, Every, FromFile, MaskPolygon, Step
from ptycho_gui.prepare.step_entry import StepEntry, new_entry, title
from ptycho_gui.prepare.step_list import StepList

CHECK = Qt.ItemDataRole.CheckStateRole


@pytest.fixture
def model(qapp):
    model = StepList()
    model.load([Centre(), Crop(64), Every(2)])
    return model


def texts(model):
    return [model.data(model.index(row)) for row in range(model.rowCount())]


def test_it_is_an_item_model(model, qtmodeltester):
    qtmodeltester.check(model)
    model.insert(1, StepEntry.of(Bin(2)))
    model.remove(0)
    qtmodeltester.check(model)


def test_a_row_tells_the_kind_and_what_is_not_at_its_default(model):
    assert texts(model) == ["1  Centre", "2  Crop: size 64", "3  Every: k 2"]
    model.insert(3, StepEntry.of(MaskPolygon("1,2 3,4 5,0", outside=True)))
    assert texts(model)[3] == "4  Mask polygon: 3 points, outside true"


def test_every_edit_is_undone_and_redone_one_by_one(model):
    begun = model.entries
    states = [begun]
    for edit in (
        lambda: model.insert(1, StepEntry.of(Bin(2))),
        lambda: model.move(1, 1),
        lambda: model.set_value(1, "size", 32),
        lambda: model.set_active(0, False),
        lambda: model.remove(3),
        lambda: model.replace_all([Crop(16)], "load steps"),
    ):
        edit()
        states.append(model.entries)
    assert len({str(state) for state in states}) == 7
    for state in reversed(states[:-1]):
        model.undo.undo()
        assert model.entries == state
    for state in states[1:]:
        model.undo.redo()
        assert model.entries == state


def test_typing_into_one_setting_is_one_change(model):
    begun = model.entries
    for size in (3, 32, 320):
        model.set_value(1, "size", size)
    model.set_value(2, "k", 5)
    model.undo.undo()
    assert model.entries[1].values == {"size": 320}
    model.undo.undo()
    assert model.entries == begun


def test_a_move_beyond_the_end_changes_nothing(model):
    model.move(0, -1)
    model.move(2, 1)
    assert not model.undo.canUndo()


def test_a_step_that_is_switched_off_is_left_out_and_says_so(model):
    assert model.setData(model.index(1), Qt.CheckState.Unchecked.value, CHECK)
    assert model.steps() == (Centre(), Every(2))
    assert texts(model)[1].endswith("(off)")
    assert model.data(model.index(1), CHECK) == Qt.CheckState.Unchecked


def test_settings_that_are_not_valid_stop_the_steps_there_and_say_why(model):
    model.set_value(0, "how", "given")
    assert model.valid_steps() == ()
    assert "y and x must be set" in model.first_problem()
    with pytest.raises(InputError, match="y and x must be set"):
        model.steps()
    model.set_value(0, "y", 3)
    model.set_value(0, "x", 4)
    assert model.steps()[0] == Centre("given", 3, 4)
    model.set_value(0, "how", "symmetry")
    assert model.steps()[0] == Centre("symmetry")


def test_a_step_that_could_not_be_done_is_marked_until_the_next_edit(model):
    model.show_failure(1, "too large")
    assert model.first_problem() == "too large"
    assert model.data(model.index(1), Qt.ItemDataRole.DecorationRole) is not None
    assert model.data(model.index(1), Qt.ItemDataRole.ToolTipRole) == "too large"
    model.set_value(1, "size", 32)
    assert model.first_problem() == ""


def test_every_kind_of_step_is_offered_by_a_title_of_its_own():
    kinds = {*Step.__subclasses__(), *FromFile.__subclasses__()} - {FromFile}
    assert kinds == set(STEPS.values())
    assert len({title(kind) for kind in kinds}) == len(kinds)


@pytest.mark.parametrize("kind", [kind for kind in STEPS.values() if not issubclass(kind, FromFile)])
def test_a_new_step_can_be_done_at_once(kind, tiny_scan):
    from ptycho_core.base.events import StopToken

    def outcome(*steps):
        return StepsPreview(tiny_scan).look(steps, 1, 0, StopToken())

    step = new_entry(kind, outcome().after, highest=40.0).step()
    assert outcome(step).failure == ""
