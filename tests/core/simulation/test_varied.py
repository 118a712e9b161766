"""Objects drawn at random."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.simulation.varied import KINDS, varied_object


def drawn(number, seed=0, shape=(70, 96)):
    return varied_object(shape, np.random.default_rng([seed, number]), number)


@pytest.mark.parametrize("number", range(2 * len(KINDS)))
def test_every_object_absorbs_and_shifts_the_phase_somewhere_and_amplifies_nowhere(number):
    object = drawn(number)
    assert object.shape == (70, 96)
    assert object.dtype == np.complex64
    assert np.isfinite(object).all()
    assert abs(object).max() <= 1 + 1e-6
    assert np.ptp(np.angle(object)) > 0.1


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_an_object_is_another_one_each_time_and_the_same_for_the_same_draw(number):
    assert np.array_equal(drawn(number), drawn(number))
    assert not np.allclose(drawn(number), drawn(number, seed=1), atol=0.05)
