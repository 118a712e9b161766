"""All settings of a run: limits, layers, JSON, and what is wrong between them."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptycho_core.base.build_config import build_config, check_used, fewest_settings, read_settings
from ptycho_core.base.choices import ENGINES, METRICS, PRESETS
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError


def values(setting):
    """Valid values of a setting."""
    kinds = {
        int: st.integers(int(setting.minimum or 0), int(min(setting.maximum or 10**6, 10**6))),
        float: st.floats(
            setting.minimum if setting.above is None else setting.above,
            setting.maximum,
            exclude_min=setting.above is not None,
            allow_nan=False,
            allow_infinity=False,
        ),
        bool: st.booleans(),
        str: st.sampled_from(setting.choices or ("x",)),
        tuple: st.sampled_from([("csv",), ("none",), ("mlflow", "tensorboard")]),
    }
    found = kinds[setting.kind]
    return found | st.none() if setting.none else found


@given(st.fixed_dictionaries({name: values(setting) for name, setting in KNOBS.items()}))
def test_every_config_survives_json(settings):
    config = Config(**settings)
    assert Config.from_dict(json.loads(config.to_json())) == config


def test_a_config_is_data_that_nothing_changes():
    config = Config()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.gridsize = 3
    assert config.replace(gridsize=3).gridsize == 3
    assert config.gridsize == 2
    assert hash(config) == hash(Config())


def test_every_default_is_valid_and_every_setting_has_help():
    for name, setting in KNOBS.items():
        assert setting.check(name, getattr(Config(), name)) == getattr(Config(), name)
        assert setting.help.endswith(".")


def test_a_wrong_setting_is_refused_by_name_wherever_it_comes_from(tmp_path):
    sentence = "gridsize must be a whole number from 1 to 8 \\(it is 9\\)"
    file = tmp_path / "config.json"
    file.write_text('{"gridsize": 9}')
    for make in (
        lambda: Config(gridsize=9),
        lambda: Config().replace(gridsize=9),
        lambda: Config.from_dict({"gridsize": 9}),
        lambda: build_config({"gridsize": 9}),
        lambda: read_settings(file),
    ):
        with pytest.raises(InputError, match=sentence):
            make()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1]", "must be a JSON object (it is [1])"),
        ("{", "is not JSON"),
        ('{"grid_size": 2}', "has the unknown name 'grid_size'; did you mean gridsize?"),
        ('{"zzz": 2}', "has the unknown name 'zzz'; there are preset, engine"),
        ('{"version": 2}', "has version 2; this program reads version 1"),
    ],
)
def test_a_file_of_settings_that_is_wrong_is_one_sentence_with_its_name(tmp_path, text, sentence):
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(InputError) as raised:
        read_settings(file)
    assert str(file) in str(raised.value)
    assert sentence in str(raised.value)


def test_later_layers_win_and_the_preset_lies_below_all():
    name, value = next(iter(PRESETS["best"]["pinn"].items()))
    assert getattr(build_config({"preset": "best"}), name) == value
    assert getattr(build_config({name: 7}, {"preset": "best"}), name) == 7
    assert getattr(build_config({name: 7}, {name: 8}), name) == 8


def test_presets_hold_valid_settings_and_leave_the_standard_alone():
    assert build_config({"preset": "standard"}) == Config()
    assert build_config({"preset": "standard", "engine": "direct"}) == Config(engine="direct")
    for preset, engines in PRESETS.items():
        assert set(engines) == set(ENGINES)
        for engine, settings in engines.items():
            config = build_config({"preset": preset, "engine": engine})
            assert (config.preset, config.engine) == (preset, engine)
            assert {name: getattr(config, name) for name in settings} == settings
            assert all(KNOBS[name].serves(engine) for name in settings)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("preset", PRESETS)
def test_only_what_the_preset_does_not_give_has_to_be_set(preset, engine):
    config = build_config({"preset": preset, "engine": engine, "seed": 7, "max_epochs": 50, "logger": ("csv",)})
    fewest = fewest_settings(config)
    assert build_config(fewest) == config
    assert all(build_config({n: v for n, v in fewest.items() if n != name}) != config for name in fewest)


def test_no_logger_goes_with_none():
    with pytest.raises(InputError, match="logger none cannot be combined"):
        Config(logger=("csv", "none"))


@pytest.mark.parametrize(("loss", "metric"), [("poisson", "poisson_val_loss"), ("mae", "mae_val_loss")])
def test_val_loss_means_that_of_the_chosen_loss(loss, metric):
    assert Config(loss=loss).monitor == metric
    assert Config(loss=loss, checkpoint_monitor="grad_norm").monitor == "grad_norm"


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, True),
        ({"checkpoint_monitor": "mae_val_loss"}, True),
        ({"checkpoint_monitor": "grad_norm"}, False),
        ({"val_fraction": 0.05}, False),
        ({"checkpoint_save_top_k": 0}, True),
        ({"enable_checkpointing": False}, True),
        ({"early_stop_patience": 0}, True),
        ({"checkpoint_save_top_k": 0, "early_stop_patience": 0}, False),
        ({"enable_checkpointing": False, "early_stop_patience": 0}, False),
        ({"enable_checkpointing": False, "early_stop_patience": 0, "scheduler": "plateau"}, True),
    ],
)
def test_what_is_watched_must_be_logged(settings, wrong):
    problems = Config(**{"val_fraction": 0, **settings}).check()
    assert bool(problems) is wrong
    if wrong:
        assert problems[0].severity == "error"
        assert problems[0].fixes[0].field == "val_fraction"
        assert all(name in problems[0].message for name in METRICS if not name.endswith("_val_loss"))


def test_settings_that_an_engine_does_not_use_are_told_by_name():
    found = check_used(["seed", "gridsize", "model_width"], "direct")
    assert [(problem.field, problem.severity) for problem in found] == [
        ("gridsize", "warning"),
        ("model_width", "warning"),
    ]
    assert found[0].message == "gridsize changes nothing: the direct engine does not use it"
    assert [problem.field for problem in check_used(KNOBS, "pinn")] == ["probe_variation"]


def test_every_engine_that_a_setting_belongs_to_is_one():
    assert set(KNOBS["engine"].choices) == set(ENGINES)
    assert {engine for setting in KNOBS.values() for engine in setting.engines} <= set(ENGINES)


def test_what_makes_the_model_or_chooses_the_data_cannot_change_in_a_resumed_run():
    resumable = {name for name, setting in KNOBS.items() if setting.resumable}
    fixed = {"engine", "gridsize", "seed", "deterministic", "model_width", "loss", "scheduler", "batch_size"}
    assert resumable.isdisjoint(fixed)
    assert {"max_epochs", "max_time", "num_workers", "accelerator", "logger"} <= resumable


def test_an_unknown_setting_is_named_with_the_one_most_like_it():
    with pytest.raises(InputError, match=r"there is no setting 'max_epoch'; did you mean max_epochs\?"):
        build_config(max_epoch=3)
