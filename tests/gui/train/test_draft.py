from __future__ import annotations

import pytest

from ptycho_core.base.build_config import build_config
from ptycho_core.base.choices import PRESETS
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.inspection.inspection import inspect
from ptycho_gui.train.draft import Draft


@pytest.fixture
def draft(qapp):
    return Draft()


@pytest.fixture(scope="module")
def looked(tiny_scan):
    return inspect(tiny_scan)


def test_an_untouched_draft_is_the_default_config(draft):
    assert draft.config() == Config()
    assert draft.settings() == {}


def test_what_is_set_wins_over_the_preset_and_what_is_not_follows_it(draft):
    draft.set("model_width", Config().model_width)
    draft.set("max_epochs", 7)
    draft.set("preset", "best")
    assert draft.config() == build_config({"preset": "best", "max_epochs": 7})
    assert draft.value("model_width") == PRESETS["best"]["pinn"]["model_width"]


def test_a_setting_is_changed_where_it_differs_from_what_the_preset_gives(draft):
    draft.set("preset", "best")
    assert draft.is_changed("preset")
    assert not draft.is_changed("model_width")
    draft.set("model_width", 12)
    assert draft.is_changed("model_width")
    draft.reset("model_width")
    assert draft.value("model_width") == PRESETS["best"]["pinn"]["model_width"]
    assert not draft.is_changed("model_width")
    assert draft.settings() == {"preset": "best"}


def test_a_text_that_is_not_valid_leaves_no_config_until_it_is_put_right(draft):
    draft.set_text_error("gridsize", "gridsize must be a whole number")
    assert draft.config() is None
    assert draft.value("gridsize") == 2
    assert draft.is_changed("gridsize")
    assert [p.message for p in draft.problems()] == ["gridsize must be a whole number"]
    draft.set("gridsize", 2)
    assert draft.config() == Config()
    assert not draft.is_changed("gridsize")


def test_reset_all_forgets_settings_and_texts(draft):
    draft.set("seed", 7)
    draft.set_text_error("gridsize", "no")
    draft.reset_all()
    assert (draft.settings(), draft.problems(), draft.config()) == ({}, [], Config())


def test_loading_a_whole_config_sets_only_what_its_preset_does_not_give(draft):
    body = build_config({"preset": "quick", "seed": 7}).to_dict()
    del body["version"]
    draft.load(body)
    assert draft.settings() == {"preset": "quick", "seed": 7}


@pytest.mark.parametrize("call", [lambda d: d.load({"seed": -1}), lambda d: d.set("seed", -1)])
def test_a_wrong_value_is_refused_and_changes_nothing(draft, call):
    draft.set("seed", 7)
    with pytest.raises(InputError, match="seed must be"):
        call(draft)
    assert draft.settings() == {"seed": 7}


def test_changes_are_told_once_and_only_where_something_changed(draft, looked):
    told = []
    draft.changed.connect(lambda: told.append(1))
    draft.set("seed", 7)
    draft.set("seed", 7)
    assert len(told) == 1
    draft.set_text_error("seed", "")
    assert len(told) == 1
    draft.set_scan(looked)
    assert len(told) == 2


def test_grouping_is_checked_against_the_scan(draft, looked):
    draft.set("neighbor_count", 4)
    draft.set("gridsize", 3)
    assert draft.problems() == []
    draft.set_scan(looked)
    (problem,) = draft.problems_of("neighbor_count")
    assert problem.message == "gridsize 3 groups 9 patterns, so neighbor count must be at least 9 (it is 4)"
    assert draft.reason_not_to_start() == problem.message
    draft.set(problem.fixes[0].field, problem.fixes[0].value)
    assert draft.reason_not_to_start() is None


def test_what_is_wrong_with_a_field_that_holds_a_wrong_text_is_that_text_alone(draft, looked):
    draft.set_scan(looked)
    draft.set("gridsize", 3)
    draft.set("neighbor_count", 4)
    draft.set_text_error("neighbor_count", "not a number")
    assert [p.message for p in draft.problems() if p.field == "neighbor_count"] == ["not a number"]


def test_problems_of_the_scan_itself_are_among_the_problems(draft, tiny_scan):
    wide = inspect(tiny_scan.replace(positions=tiny_scan.positions * 1e4))
    assert wide.problems
    draft.set_scan(wide)
    assert set(wide.problems) <= set(draft.problems())


def test_nothing_starts_without_a_scan(draft, looked):
    assert draft.reason_not_to_start() == draft.reason_not_to_submit() == "Open a scan first."
    draft.set_scan(looked)
    assert draft.reason_not_to_start() is None


@pytest.mark.parametrize(
    ("name", "value"), [("devices", 2), ("devices", "auto"), ("num_nodes", 2), ("strategy", "ddp")]
)
def test_several_devices_are_for_jobs(draft, looked, name, value):
    draft.set_scan(looked)
    draft.set(name, value)
    assert "the window itself trains on one device" in draft.reason_not_to_start()
    assert draft.reason_not_to_submit() is None
    (problem,) = draft.problems_of(name)
    draft.set(name, problem.fixes[0].value)
    assert draft.reason_not_to_start() is None


def test_a_wrong_text_does_not_outlive_the_engine_that_uses_its_setting(draft):
    draft.set_text_error("model_width", "model_width must be a whole number")
    assert draft.config() is None
    draft.set("engine", "direct")
    assert draft.config() == Config(engine="direct")
    draft.set("engine", "pinn")
    assert draft.config() == Config()


def test_settings_of_the_other_engine_are_kept_and_not_used(draft):
    draft.load({"gridsize": 3, "seed": 7, "engine": "direct"})
    assert draft.used_settings() == {"seed": 7, "engine": "direct"}
    draft.set("engine", "pinn")
    assert draft.used_settings() == {"gridsize": 3, "seed": 7}
