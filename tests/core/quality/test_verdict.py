"""The verdict: what signs make a picture good, doubtful or poor, and what is proposed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.base.codec import encode
from ptycho_core.base.config import Config
from ptycho_core.base.verdict import POLISH, SEARCH_ORIENTATION, Level, verdict_in
from ptycho_core.quality.deviance import expected_half_deviance, half_deviance
from ptycho_core.quality.verdict import Excess, Signs, judge, judge_nothing

DIRECT = Config(engine="direct")
GOOD = Signs(
    patterns=40,
    error=0.02,
    uncertain=0.01,
    worst=0.03,
    fitted=0.015,
    blank=0.3,
    halves=0.02,
    overlap=0.8,
    edge_light=0.02,
    epochs=50,
)


def judged(config=DIRECT, **signs):
    return judge(dataclasses.replace(GOOD, **signs), config)


@pytest.mark.parametrize(
    ("signs", "level", "reason"),
    [
        ({}, Level.GOOD, "met to 2.0%"),
        ({"error": 0.07}, Level.DOUBTFUL, "missed by 7%"),
        ({"error": 0.2}, Level.POOR, "missed by 20%"),
        ({"error": 0.08, "blank": 0.09}, Level.POOR, "explains 21% of what an empty one"),
        ({"halves": 0.07}, Level.DOUBTFUL, "differ by 7%"),
        ({"halves": 0.07, "halves_error": 0.028}, Level.DOUBTFUL, "differ by 7%"),
        ({"halves": 0.07, "halves_error": 0.07}, Level.GOOD, "whose views overlap less, differ by 7.0%"),
        ({"halves": 0.2}, Level.POOR, "differ by 20%"),
        ({"halves": None}, Level.GOOD, "met to 2.0%"),
        ({"error": 0.0, "uncertain": 0.2}, Level.DOUBTFUL, "too few photons"),
        ({"error": 0.03, "uncertain": 0.07}, Level.GOOD, "met to 7.0%"),
        ({"error": 0.03, "uncertain": 0.07, "halves": None}, Level.DOUBTFUL, "too few photons"),
        ({"patterns": 2}, Level.DOUBTFUL, "only 2 patterns were kept apart"),
        ({"patterns": 0, "error": np.nan, "uncertain": np.nan}, Level.DOUBTFUL, "no patterns were kept apart"),
        ({"patterns": 0, "error": np.nan, "uncertain": np.nan, "halves": 0.2}, Level.POOR, "differ by 20%"),
        ({"worst": 0.4}, Level.DOUBTFUL, "there, patterns are missed by 40%"),
        ({"helps": {"positions": "refine"}}, Level.DOUBTFUL, "refined positions would explain the patterns better"),
        ({"helps": {"positions": "refine"}, "bent_px": 1.2}, Level.POOR, "the picture is bent by 1.2 pixels"),
        ({"helps": {"positions": "refine"}, "bent_px": 0.4}, Level.DOUBTFUL, "refined positions would explain"),
        ({"helps": {"intensity": "refine"}}, Level.GOOD, "met to 2.0%"),
        ({"helps": {"intensity": "refine"}, "error": 0.06}, Level.DOUBTFUL, "refined brightness would explain them"),
        ({"edge_light": 0.3}, Level.DOUBTFUL, "30% of the beam lies at the edge"),
        ({"edge_light": 0.3, "near_field": True}, Level.GOOD, "met to 2.0%"),
        ({"rolled_back": 1}, Level.DOUBTFUL, "diverged"),
        ({"late": True}, Level.GOOD, "met to 2.0%"),
        ({"late": True, "error": 0.07}, Level.DOUBTFUL, "the time limit ended the run"),
        ({"stray": (3, 17)}, Level.DOUBTFUL, "2 patterns are missed far more than the others: 3 17"),
        ({"halves": 0.07, "overlap": 0.1}, Level.DOUBTFUL, "smaller steps"),
    ],
)
def test_each_sign_has_its_level_and_says_why(signs, level, reason):
    verdict = judged(**signs)
    assert verdict.level == level
    assert reason in str(verdict)


def test_a_run_that_did_not_look_at_its_positions_is_doubtful_and_proposes_that():
    verdict = judged(DIRECT.replace(positions="off"))
    assert verdict.level == Level.DOUBTFUL
    assert "it was not checked whether the positions are right" in str(verdict)
    assert ("positions", "check") in [(fix.field, fix.value) for fix in verdict.actions]


def test_the_worst_sign_decides_and_is_told_first():
    verdict = judged(error=0.07, halves=0.2)
    assert verdict.level == Level.POOR
    assert "halves" in verdict.reasons[0]


def test_a_good_picture_needs_nothing():
    assert judged(DIRECT.replace(probe_search=False), epochs=4).actions == ()


@pytest.mark.parametrize(
    ("config", "signs", "field", "value"),
    [
        (DIRECT, {"helps": {"positions": "refine"}}, "positions", "refine"),
        (DIRECT, {"error": 0.07, "helps": {"intensity": "refine"}}, "intensity", "refine"),
        (DIRECT.replace(probe_search=False), {"error": 0.2}, "probe_search", True),
        (DIRECT.replace(probe_trainable=False), {"error": 0.2}, "probe_trainable", True),
        (DIRECT.replace(max_epochs=5), {"error": 0.2, "epochs": 5}, "max_epochs", 50),
        (DIRECT.replace(max_time=0.5), {"error": 0.2, "late": True}, "max_time", None),
        (DIRECT.replace(max_epochs=28), {"error": 0.2, "epochs": 28}, "max_epochs", 56),
        (DIRECT, {"error": 0.2}, SEARCH_ORIENTATION, None),
        (DIRECT, {"stray": (3, 17)}, "--drop-patterns", "3 17"),
        (DIRECT, {"error": 0.07, "fitted": 0.06}, "probe_modes", None),
        (DIRECT, {"error": 0.28, "fitted": 0.25}, "propagator", "near"),
        (DIRECT, {"error": 0.28, "fitted": 0.25, "near_field": True}, "propagator", "far"),
        (DIRECT, {"error": 0.2, "rolled_back": 1}, "learning_rate", 1e-4),
        (Config(engine="pinn"), {"error": 0.2, "polished": False}, POLISH, 10),
        (Config(engine="pinn"), {"error": 0.2}, "engine", "direct"),
        (DIRECT, {"error": 0.2, "helps": {"probe_variation": 2}}, "probe_variation", 2),
        (DIRECT, {"error": 0.2, "own_probe_left": True}, "probe_search", False),
    ],
)
def test_what_may_help_is_proposed(config, signs, field, value):
    assert (field, value) in [(action.field, action.value) for action in judged(config, **signs).actions]


def test_more_epochs_are_not_proposed_for_a_run_that_ended_by_itself_before():
    fields = [action.field for action in judged(DIRECT.replace(max_epochs=50), error=0.2, epochs=17).actions]
    assert "max_epochs" not in fields


def test_a_run_that_its_time_limit_ended_needs_more_time_after_what_helps_and_before_all_else_if_it_tells_nothing():
    config = DIRECT.replace(max_time=0.5)
    helped = judged(config, error=0.07, fitted=0.06, late=True, helps={"positions": "refine"})
    assert [fix.field for fix in helped.actions] == ["positions", "max_time", "probe_modes"]
    empty = judged(config, error=0.3, blank=0.3, fitted=0.3, late=True)
    assert [fix.field for fix in empty.actions] == ["max_time", SEARCH_ORIENTATION]


def test_a_run_that_was_cut_short_has_no_picture_yet_and_one_that_was_not_has_none():
    few = DIRECT.replace(max_epochs=2)
    early, late = judge_nothing("nothing fits", few, False, 2), judge_nothing("nothing fits", DIRECT, False)
    assert early.reasons == ("there is no picture yet: the run ended after 2 epochs", "nothing fits")
    assert [action.field for action in early.actions] == ["max_epochs", SEARCH_ORIENTATION]
    assert late.reasons == ("nothing fits",)
    assert [action.field for action in late.actions] == [SEARCH_ORIENTATION]


def test_patterns_whose_refined_places_are_wrong_are_told_and_stay():
    verdict = judged(DIRECT.replace(positions="refine"), stray=(3, 17))
    assert (verdict.level, verdict.actions) == (Level.GOOD, ())
    assert verdict.reasons == ("2 patterns are missed far more than the others: 3 17",)


def test_refined_positions_are_proposed_before_guesses():
    assert judged(error=0.2, helps={"positions": "refine"}).actions[0].field == "positions"


def test_a_probe_that_varies_is_proposed_to_the_engine_that_has_it_alone():
    verdict = judged(Config(engine="pinn"), error=0.2, helps={"probe_variation": 2})
    assert any("the beam varies" in reason for reason in verdict.reasons)
    assert {action.field for action in verdict.actions} & {"engine", "probe_variation"} == {"engine"}


def test_other_axes_are_proposed_first_where_the_picture_explains_nothing():
    verdict = judged(error=0.3, blank=0.3, edge_light=0.3, helps={"positions": "refine"})
    assert verdict.actions[0].field == SEARCH_ORIENTATION
    assert not any("lens" in reason or "refined" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("searched", "own_probe_left", "proposed"),
    [(False, False, [True]), (True, True, [False]), (True, False, [])],
)
def test_where_no_picture_came_the_other_way_to_a_beam_is_proposed(searched, own_probe_left, proposed):
    verdict = judge_nothing("nothing fits", Config(probe_search=searched), own_probe_left)
    assert (verdict.level, verdict.reasons) == (Level.POOR, ("nothing fits",))
    assert verdict.actions[0].field == SEARCH_ORIENTATION
    assert [(fix.field, fix.value) for fix in verdict.actions[1:]] == [("probe_search", value) for value in proposed]


def test_the_error_of_patterns_is_that_of_their_amplitudes_at_any_dose():
    rng = np.random.default_rng(1)
    for dose in (0.5, 5, 500):
        true = dose * rng.uniform(0.5, 2, (40, 64, 64))
        wrong = true * (1 + 0.1 * rng.choice((-1, 1), true.shape)) ** 2
        counts = rng.poisson(true)
        deviance, noise = half_deviance(counts, wrong), expected_half_deviance(wrong)
        excess = Excess(*(part.sum(axis=(1, 2)) for part in (deviance, noise, counts)))
        assert excess.error == pytest.approx(0.1, rel=0.4)
        assert excess.uncertain < 0.06


def test_patterns_that_are_explained_have_no_error_but_what_chance_leaves():
    rng = np.random.default_rng(2)
    true = rng.uniform(0.1, 2, (40, 64, 64))
    counts = rng.poisson(true)
    parts = half_deviance(counts, true), expected_half_deviance(true), counts
    excess = Excess(*(part.sum(axis=(1, 2)) for part in parts))
    assert excess.error < 1.5 * excess.uncertain


def test_patterns_of_few_photons_are_not_stray_for_what_chance_makes_of_some():
    rng = np.random.default_rng(3)
    true = np.full((200, 48, 48), 0.5)
    counts = rng.poisson(true)
    counts[7] = rng.poisson(true[0] * np.linspace(0.2, 1.8, 48) ** 2)
    parts = half_deviance(counts, true), expected_half_deviance(true), counts
    assert Excess(*(part.sum(axis=(1, 2)) for part in parts)).stray.tolist() == [7]


def test_few_patterns_that_are_missed_far_more_are_stray_and_many_are_not():
    ones = np.ones(100)
    squares = np.full(100, 0.02**2)
    squares[[5, 60]] = 0.3**2
    assert Excess(1 + 2 * squares, ones, ones).stray.tolist() == [5, 60]
    squares[:20] = 0.3**2
    assert len(Excess(1 + 2 * squares, ones, ones).stray) == 0


def test_a_verdict_is_read_back_from_metrics_and_old_metrics_have_none():
    verdict = judged(error=0.2, helps={"positions": "refine"})
    assert verdict_in({"verdict": encode(verdict)}) == verdict
    assert verdict_in({}) is None
    assert verdict_in({"verdict": {"level": "splendid"}}) is None
