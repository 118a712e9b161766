"""The phases of a fit by the direct engine."""

import pytest

from ptycho_core.base.config import Config
from ptycho_core.engines.course import LANDING, LIKELIHOOD, LOOSENING, RUNGS, Course


def course(**settings) -> Course:
    return Course(Config(engine="direct", **settings))


def test_amplitudes_come_before_the_likelihood_unless_there_is_a_picture():
    fit = course()
    assert [fit.rho(done) for done in (0.0, 0.9)] == [0.0, LIKELIHOOD]
    fit.from_afar = False
    assert fit.rho(0.0) == LIKELIHOOD
    assert course(loss="mae").rho(0.9) == 0.0


def test_positions_are_looked_for_from_afar_and_under_a_prior_that_is_then_given_up():
    fit, plain = course(positions="refine"), course()
    assert fit.amplitudes_until > plain.amplitudes_until
    assert [fit.prior(done) for done in (0.2, 0.65)] == [LOOSENING, 0.0]
    assert plain.prior(0.2) is None
    assert course(prior=0.5).prior(0.2) == 0.5


@pytest.mark.parametrize("epochs", [10, 50, 200])
def test_every_prior_is_tried_once_and_judged_once(epochs):
    fit = course(max_epochs=epochs)
    asked = [rung for epoch in range(epochs) if (rung := fit.rung((epoch + 1) / epochs)) is not None]
    assert asked == list(range(len(RUNGS) + 1))


def test_no_prior_is_tried_where_nothing_validates_or_one_is_given():
    for fit in (course(val_fraction=0.0), course(prior=0.5)):
        assert all(fit.rung((epoch + 1) / 50) is None for epoch in range(50))
        assert fit.rate(0.5) > fit.rate(1.0)


def test_a_patient_fit_that_lands_has_the_rest_of_the_likelihood_to_do():
    fit = course(max_epochs=30, val_fraction=0.0)
    fit.patient = True
    assert fit.rate(fit.part_done(10, 30)) == 1.0
    fit.land(fit.part_done(10, 30))
    assert not fit.landed(fit.part_done(10 + LANDING - 1, 30))
    assert fit.landed(fit.part_done(10 + LANDING, 30))
