from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.quality import comparison
from ptycho_core.quality.comparison import compare
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Geometry
from ptycho_core.simulation import Simulation, simulate

GEOMETRY = Geometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(55e-6, 55e-6))


@pytest.fixture(scope="module")
def known(tiny_sim: Simulation) -> Reconstruction:
    truth = simulate(dataclasses.replace(tiny_sim.spec, n_patterns=225)).truth
    return Reconstruction(
        object=truth.object.astype(np.complex64),
        probe=truth.probe,
        coverage=np.ones(truth.object.shape, np.float32),
        positions_px=truth.positions_px,
        pattern_index=np.arange(len(truth.positions_px)),
        geometry=GEOMETRY,
    )


def noisy(recon: Reconstruction, seed: int, share: float = 0.05) -> Reconstruction:
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, *recon.object.shape)) * share
    return dataclasses.replace(recon, object=(recon.object + noise[0] + 1j * noise[1]).astype(np.complex64))


def with_ramp(recon: Reconstruction) -> Reconstruction:
    y, x = np.indices(recon.object.shape)
    return dataclasses.replace(
        recon, object=(1.7 * recon.object * np.exp(1j * (0.4 + 0.03 * y - 0.02 * x))).astype(np.complex64)
    )


def error(found: comparison.Comparison) -> float:
    inside = np.s_[20:-20, 20:-20]
    return float(abs(found.second - found.first)[inside].mean())


def test_the_second_object_takes_phase_ramp_and_scale_of_the_first(known: Reconstruction) -> None:
    assert error(compare(known, with_ramp(known))) < 0.01


def test_canvases_of_different_origin_are_put_together_by_the_patterns_that_both_used(known: Reconstruction) -> None:
    moved = dataclasses.replace(
        with_ramp(known),
        object=with_ramp(known).object[5:, 9:],
        coverage=known.coverage[5:, 9:],
        positions_px=(known.positions_px - (5, 9))[::2],
        pattern_index=known.pattern_index[::2],
    )
    found = compare(known, moved)
    assert found.origin == (5, 9)
    assert found.first.shape == found.second.shape == moved.object.shape
    assert error(found) < 0.01


def test_reconstructions_without_a_common_pattern_are_put_together_by_their_middles(known: Reconstruction) -> None:
    other = dataclasses.replace(known, pattern_index=known.pattern_index + 1000)
    assert compare(known, other).origin == (0, 0)


def test_what_is_found_in_the_middle_is_undone_everywhere(known: Reconstruction, monkeypatch) -> None:
    monkeypatch.setattr(comparison, "LARGEST_PART", 48)
    found = compare(known, with_ramp(known))
    assert found.part_shape == (48, 48)
    assert error(found) < 0.02


def test_a_shift_between_the_objects_is_undone(known: Reconstruction) -> None:
    moved = dataclasses.replace(known, object=np.roll(known.object, (2, -1), axis=(0, 1)))
    found = compare(known, moved)
    assert found.shift_px == pytest.approx((2, -1), abs=0.02)
    assert error(found) < 0.01


def test_noise_limits_the_resolution_and_the_pixel_size_turns_it_into_metres(known: Reconstruction) -> None:
    rings = compare(noisy(known, 1, 0.4), noisy(known, 2, 0.4)).frc
    assert rings.resolution_px is not None
    assert rings.resolution_px > 1
    assert rings.resolution_m == pytest.approx(rings.resolution_px * known.pixel_size_m[0])


def test_a_pixel_counts_as_covered_where_it_is_in_both(known: Reconstruction) -> None:
    dark = known.coverage.copy()
    dark[:, :30] = 0
    found = compare(known, dataclasses.replace(known, coverage=dark))
    assert not found.covered[:, :30].any()
    assert found.covered[:, 30:].all()


def test_objects_with_pixels_of_different_sizes_are_refused(known: Reconstruction) -> None:
    other = dataclasses.replace(known, geometry=dataclasses.replace(GEOMETRY, distance_m=2.2))
    with pytest.raises(InputError, match=r"different sizes, .* nm and .* nm"):
        compare(known, other)


def test_objects_with_nothing_in_common_are_refused(known: Reconstruction) -> None:
    with pytest.raises(InputError, match="no region in common"):
        compare(known, dataclasses.replace(known, positions_px=known.positions_px + 1000))
