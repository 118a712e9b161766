"""The phases of a fit by the direct engine."""

import pytest

from ptycho_core.base.config import Config
from ptycho_core.engines.phases import (
    FEWEST,
    FEWEST_OF_ALL,
    LANDING,
    LIKELIHOOD,
    LOOSENING,
    POSITIONS_STAND,
    RUNG,
    RUNGS,
    Phases,
)


def phases(**settings) -> Phases:
    return Phases(Config(engine="direct", **settings))


def levelled_off(fit: Phases, epochs: int) -> None:
    """See epochs that take nothing off the deviance."""
    for epoch in range(epochs):
        fit.look(epoch + 1, 1.0)


def test_amplitudes_come_before_the_likelihood_unless_there_is_a_picture():
    fit = phases()
    assert [fit.rho(at) for at in (0.0, 49.0)] == [0.0, LIKELIHOOD]
    fit.from_afar = False
    assert fit.rho(0.0) == LIKELIHOOD
    assert phases(loss="mae").rho(49.0) == 0.0


def test_a_fit_ends_by_itself_when_its_deviance_has_levelled_off():
    fit = phases()
    assert fit.end == 50
    levelled_off(fit, FEWEST - 1)
    assert fit.end == 50
    levelled_off(fit, FEWEST)
    assert fit.amplitudes_until == FEWEST
    assert fit.end == FEWEST + LANDING + RUNG * len(RUNGS)


def test_a_deviance_that_falls_keeps_a_fit_going_until_there_is_just_time_for_the_rest():
    fit = phases()
    for epoch in range(50):
        fit.look(epoch + 1, 0.9**epoch)
    assert fit.amplitudes_until == 50 - LANDING - RUNG * len(RUNGS)
    assert fit.end == 50


def test_a_fit_goes_on_from_its_state():
    fit, resumed = phases(), phases(max_epochs=100)
    levelled_off(fit, FEWEST)
    resumed.go_on(fit.state)
    assert resumed.end == fit.end
    resumed.begin()
    assert resumed.end == 100


def test_a_fit_of_few_epochs_begins_with_amplitudes_all_the_same():
    for epochs in range(2, 10):
        fit = phases(max_epochs=epochs)
        assert fit.amplitudes_until >= 1
        assert fit.end == epochs


def test_a_fit_that_was_put_back_takes_all_its_epochs():
    fit = phases()
    fit.slow_down()
    levelled_off(fit, 2 * FEWEST)
    assert fit.end == 50


def test_positions_are_looked_for_from_afar_and_under_a_prior_that_is_then_given_up():
    fit, plain = phases(positions="refine"), phases()
    assert 0 < fit.probe_stands_from < fit.amplitudes_until
    assert [fit.finds_common(at) for at in (1.0, fit.probe_stands_from)] == [False, True]
    assert [fit.prior(at) for at in (1.0, fit.amplitudes_until)] == [LOOSENING, 0.0]
    assert plain.prior(1.0) is None
    assert phases(prior=0.5).prior(1.0) == 0.5


def test_positions_are_looked_for_until_they_stand_where_the_probe_does_not_vary():
    fit, varied = phases(positions="refine"), phases(positions="refine", probe_variation=2)
    for each in (fit, varied):
        for epoch in range(30):
            each.look(epoch + 1, 1.0, moved=0.5 if epoch < 15 else 0.5 * POSITIONS_STAND)
    assert fit.amplitudes_until == 16
    assert fit.end == 16 + LANDING + RUNG * len(RUNGS)
    assert varied.end == 50


def test_positions_do_not_stand_before_the_whole_scan_could_be_bent():
    fit = phases(positions="refine")
    for epoch in range(30):
        fit.look(epoch + 1, 1.0, moved=0.0)
    assert fit.amplitudes_until == FEWEST + FEWEST_OF_ALL


@pytest.mark.parametrize("epochs", [6, 10, 50, 200])
@pytest.mark.parametrize("positions", ["off", "refine"])
def test_every_prior_is_tried_once_and_judged_once(epochs, positions):
    fit = phases(max_epochs=epochs, positions=positions)
    asked = [rung for epoch in range(epochs) if (rung := fit.rung(epoch + 1)) is not None]
    assert asked == list(range(len(RUNGS) + 1))
    assert fit.end == epochs


def test_no_prior_is_tried_where_nothing_validates_or_one_is_given():
    for fit in (phases(val_fraction=0.0), phases(prior=0.5)):
        assert not fit.tries_priors
        assert all(fit.rung(epoch + 1) is None for epoch in range(50))
        assert fit.end - fit.amplitudes_until == LANDING
        assert fit.rate(fit.amplitudes_until) == 1.0
        assert fit.rate(50.0) == fit.rate(60.0) < 0.1
