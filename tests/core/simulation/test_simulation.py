"""Simulated scans obey the conventions of the physics and are what their spec says."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.simulation import Simulation, SimulationSpec, simulate
from ptycho_core.simulation.forward import fresnel, gather, intensities, moved


def vary(sim: Simulation, **changes: object) -> Simulation:
    return simulate(dataclasses.replace(sim.spec, **changes))


def centred_dft(field: np.ndarray) -> np.ndarray:
    """The definition, as matrices: exp(-2 pi i u r / N) / sqrt(N) with u and r counted from N//2."""
    n = field.shape[-1]
    k = np.arange(n) - n // 2
    matrix = np.exp(-2j * np.pi * np.outer(k, k) / n) / np.sqrt(n)
    return matrix @ field @ matrix.T


@pytest.mark.parametrize("n", [8, 9])
def test_intensity_at_a_whole_pixel_is_the_squared_dft_of_probe_times_the_rows_around_it(n: int) -> None:
    rng = np.random.default_rng(0)
    canvas = rng.normal(size=(24, 25)) + 1j * rng.normal(size=(24, 25))
    probe = rng.normal(size=(2, n, n)) + 1j * rng.normal(size=(2, n, n))
    y, x = 10, 12
    patch = canvas[y - n // 2 : y - n // 2 + n, x - n // 2 : x - n // 2 + n]
    expected = 0.5 + sum(abs(centred_dft(mode * patch)) ** 2 for mode in probe)
    np.testing.assert_allclose(intensities(canvas, probe, np.array([[y, x]], float), 0.5)[0], expected, rtol=1e-12)


def test_intensity_between_pixels_is_that_of_an_object_known_on_a_four_times_finer_grid() -> None:
    rng, n, fine = np.random.default_rng(1), 48, 4
    side = 96 * fine
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side)] * 2, indexing="ij")) * fine
    smooth = np.exp(-((frequency / 0.15) ** 8))
    whole = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) * smooth)
    object = np.exp(1j * whole / whole.std())
    y, x = np.mgrid[:n, :n] - n // 2
    probe = (np.exp(-(y**2 + x**2) / 50) * np.exp(0.01j * (y**2 - x**2)))[None] * 100
    place = np.array([[41.25, 47.75]])
    top, left = ((place[0] - n // 2) * fine).astype(int)
    patch = object[top : top + n * fine : fine, left : left + n * fine : fine]
    exact = abs(centred_dft(probe[0] * patch)) ** 2
    found = intensities(object[::fine, ::fine], probe, place)[0]
    assert abs(found - exact).max() < 1e-3 * exact.max()
    elsewhere = intensities(object[::fine, ::fine], probe, np.round(place))[0]
    assert abs(elsewhere - exact).max() > 0.01 * exact.max()


def test_noiseless_patterns_are_the_intensities_of_the_truth(tiny_sim: Simulation) -> None:
    sim = vary(tiny_sim, photon_noise=False, modes=2, background=0.25)
    truth = sim.truth
    expected = intensities(truth.object, truth.probe, truth.positions_px, 0.25)
    np.testing.assert_allclose(sim.scan.patterns[:], expected, rtol=1e-6)


def test_photon_noise_is_poisson_around_the_intensities(tiny_sim: Simulation) -> None:
    expected = vary(tiny_sim, photon_noise=False).scan.patterns[:].astype(float)
    lit = expected > 5
    pull = (tiny_sim.scan.patterns[:][lit] - expected[lit]) / np.sqrt(expected[lit])
    bound = 5 / np.sqrt(lit.sum())
    assert abs(pull.mean()) < bound
    assert abs(pull.var() - 1) < 2 * bound


def test_a_flat_object_of_modulus_one_gives_the_stated_dose_and_the_scale_of_the_probe(tiny_sim: Simulation) -> None:
    sim = vary(tiny_sim, object="flat", photon_noise=False, counts_per_pixel=12.0)
    totals = sim.scan.patterns[:].sum(axis=(1, 2), dtype=float)
    np.testing.assert_allclose(totals, 12.0 * 32**2, rtol=1e-5)
    np.testing.assert_allclose((abs(sim.truth.probe) ** 2).sum(), totals.max(), rtol=1e-5)


@pytest.mark.parametrize("probe", ["zone_plate", "aperture", "flat_top"])
def test_modes_are_orthogonal_with_the_stated_powers(tiny_sim: Simulation, probe: str) -> None:
    modes = vary(tiny_sim, probe=probe, modes=4, mode_ratio=0.5).truth.probe.reshape(4, -1)
    gram = modes.conj() @ modes.T
    np.testing.assert_allclose(gram / gram[0, 0], np.diag([1, 0.5, 0.25, 0.125]), atol=1e-5)


def test_the_focus_of_a_round_aperture_is_an_airy_pattern() -> None:
    probe = simulate(SimulationSpec(size=128, n_patterns=1, probe="aperture", aperture=0.25, defocus_m=0)).truth.probe[
        0
    ]
    line = abs(probe[64, 64:]) ** 2 / abs(probe[64, 64]) ** 2
    first_zero = 1.22 * 128 / (0.25 * 128)
    assert abs(np.argmin(line[:8]) - first_zero) < 0.6
    assert 0.012 < line[5:9].max() < 0.021  # the first ring of J1 has 1.75 % of the peak


def test_defocus_blows_the_beam_up_to_the_geometric_cone() -> None:
    spec = SimulationSpec(size=128, n_patterns=1, probe="aperture", aperture=0.5, defocus_m=1e-3)
    probe = simulate(spec).truth.probe[0]
    wavelength, pixel = 1.23984198e-6 / spec.energy_ev, spec.geometry.pixel_size_m(128)[0]
    cone = spec.defocus_m * wavelength * spec.aperture / pixel / pixel
    y, x = np.mgrid[:128, :128] - 64
    power = abs(probe) ** 2
    # Uniform discs of diameter D have <r^2> = D^2 / 8; inside 1.5 D, not to weigh the far diffraction tails.
    inside = np.hypot(y, x) < 0.75 * cone
    assert np.sqrt(8 * (power * (y**2 + x**2))[inside].sum() / power[inside].sum()) == pytest.approx(cone, rel=0.1)


def test_the_flat_topped_probe_has_flat_modulus_and_phase() -> None:
    probe = simulate(SimulationSpec(n_patterns=1, probe="flat_top", aperture=0.5, defocus_m=0)).truth.probe[0]
    y, x = np.mgrid[:64, :64] - 32
    inside = probe[np.hypot(y, x) < 14]
    np.testing.assert_allclose(inside, abs(inside[0]), rtol=1e-4)
    assert abs(probe[np.hypot(y, x) > 18]).max() < 1e-3 * abs(inside[0])


def test_the_probe_guess_is_not_the_truth_unless_its_defocus_is_right(tiny_sim: Simulation) -> None:
    def likeness(sim: Simulation) -> float:
        guess, truth = sim.scan.probe[0], sim.truth.probe[0]
        return abs(np.vdot(guess, truth)) / np.linalg.norm(guess) / np.linalg.norm(truth)

    assert 0.3 < likeness(tiny_sim) < 0.98
    assert likeness(vary(tiny_sim, guess_defocus_error_m=0.0)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", ["siemens_star", "lines", "photographs"])
def test_objects_fill_the_stated_ranges_of_modulus_and_phase(tiny_sim: Simulation, kind: str) -> None:
    sim = vary(tiny_sim, object=kind, modulus_min=0.5, modulus_max=0.9, phase_min=-0.3, phase_max=0.6)
    modulus, phase = abs(sim.truth.object), np.angle(sim.truth.object)
    assert modulus.max() == pytest.approx(0.9, abs=0.01)
    assert 0.5 - 1e-6 < modulus.min() < 0.6
    assert phase.min() == pytest.approx(-0.3, abs=0.01)
    assert 0.45 < phase.max() < 0.6 + 1e-6


def test_every_pattern_lies_on_the_canvas_and_positions_agree_up_to_a_whole_shift(tiny_sim: Simulation) -> None:
    px, (height, width) = tiny_sim.truth.positions_px, tiny_sim.truth.object.shape
    corner = np.floor(px) - 16
    assert corner.min() == 0
    assert (corner.max(axis=0) + 33 == (height, width)).all()
    shift = px - tiny_sim.scan.positions
    np.testing.assert_allclose(shift, np.broadcast_to(np.round(shift[0]), shift.shape), atol=1e-9)


def test_recorded_positions_miss_the_true_ones_by_the_stated_error(tiny_sim: Simulation) -> None:
    sim = vary(tiny_sim, position_error_px=0.5, n_patterns=400)
    miss = sim.truth.positions_px - sim.scan.positions
    assert (miss - np.round(miss.mean(axis=0))).std() == pytest.approx(0.5, rel=0.15)


def test_a_snake_turns_back_and_a_raster_does_not(tiny_sim: Simulation) -> None:
    def longest_step(path: str) -> float:
        positions = vary(tiny_sim, positions=path, jitter_px=0.0, n_patterns=64).scan.positions
        return float(np.linalg.norm(np.diff(positions, axis=0), axis=1).max())

    assert longest_step("snake") == pytest.approx(4.0)
    assert longest_step("raster") > 7 * 4.0


def test_the_spiral_has_one_position_per_square_of_the_step(tiny_sim: Simulation) -> None:
    positions = vary(tiny_sim, positions="spiral", jitter_px=0.0, n_patterns=2000).scan.positions
    area = np.pi * np.linalg.norm(positions, axis=1).max() ** 2
    assert area / 2000 == pytest.approx(16.0, rel=0.01)


def test_jitter_stays_within_its_bound(tiny_sim: Simulation) -> None:
    regular = vary(tiny_sim, jitter_px=0.0).scan.positions
    deviation = abs(tiny_sim.scan.positions - regular).max()
    assert 0.8 < deviation <= 1.0


def test_dead_and_hot_pixels_are_masked_and_read_wrong(tiny_sim: Simulation) -> None:
    scan = vary(tiny_sim, dead_pixels=3, hot_pixels=2, background=20.0).scan
    assert (~scan.mask).sum() == 5
    bad = scan.patterns[:][:, ~scan.mask]
    assert sorted(bad[0]) == [0, 0, 0, 65535, 65535]
    assert (bad == bad[0]).all()
    assert (scan.patterns[:][:, scan.mask] < 65535).all()


def test_counts_too_large_for_sixteen_bits_are_kept(tiny_sim: Simulation) -> None:
    scan = vary(tiny_sim, object="flat", probe="flat_top", defocus_m=0.0, counts_per_pixel=3000.0).scan
    assert scan.patterns[:].max() > 2**16
    assert scan.patterns[:].sum(axis=(1, 2), dtype=float).mean() == pytest.approx(3000 * 32**2, rel=0.01)


def test_a_hot_pixel_of_a_strong_scan_reads_a_count_that_float32_holds(tiny_sim: Simulation) -> None:
    strong = {"object": "flat", "probe": "flat_top", "defocus_m": 0.0, "counts_per_pixel": 3000.0}
    scan = vary(tiny_sim, hot_pixels=1, **strong).scan
    assert (scan.patterns[:][:, ~scan.mask] == 2**24 - 1).all()


def test_patterns_read_lazily_in_any_order_are_those_held_in_memory(tiny_sim: Simulation) -> None:
    lazy = simulate(tiny_sim.spec, in_memory=False).scan
    assert not lazy.patterns.in_memory
    order = [7, 3, 50]
    np.testing.assert_array_equal(lazy.patterns[order], tiny_sim.scan.patterns[order])


def test_the_seed_decides_everything(tiny_sim: Simulation) -> None:
    again, other = simulate(tiny_sim.spec), vary(tiny_sim, seed=1)
    np.testing.assert_array_equal(again.scan.patterns[:], tiny_sim.scan.patterns[:])
    assert (other.scan.positions != tiny_sim.scan.positions).all()


def test_the_default_is_the_demonstration_scan_with_a_known_pixel_size() -> None:
    scan = simulate().scan
    assert scan.patterns.shape == (400, 64, 64)
    wavelength = 1.23984198e-6 / 8000
    assert scan.pixel_size_m == pytest.approx((wavelength * 2 / (64 * 75e-6),) * 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("object", "dog"),
        ("modulus_max", 1.5),
        ("modulus_min", 1.0001),
        ("phase_min", 2.0),
        ("probe", "square"),
        ("aperture", 0.0),
        ("modes", 0),
        ("mode_ratio", 0.0),
        ("positions", "random"),
        ("n_patterns", 0),
        ("n_patterns", 2.5),
        ("step_px", 0.0),
        ("jitter_px", -1.0),
        ("counts_per_pixel", 0.0),
        ("counts_per_pixel", float("nan")),
        ("background", -1.0),
        ("dead_pixels", 4096),
        ("size", 7),
        ("energy_ev", 0.0),
        ("seed", -1),
    ],
)
def test_a_value_outside_its_limits_is_an_error_that_names_the_field(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        SimulationSpec(**{field: value})


def test_simulating_and_measuring_import_no_torch() -> None:
    code = "import sys, ptycho_core.simulation, ptycho_core.quality.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NEAR = SimulationSpec(size=32, n_patterns=4, propagator="near", defocus_m=0.02, photon_noise=False, probe="aperture")


def test_a_simulated_near_field_is_a_magnified_shadow():
    sim = simulate(NEAR)
    geometry = sim.scan.geometry
    assert geometry.magnification == pytest.approx(1 + NEAR.distance_m / NEAR.defocus_m)
    assert sim.scan.probe is None
    corner = np.floor(sim.truth.positions_px[:1])
    lit = moved(sim.truth.probe, sim.truth.positions_px[:1] - corner)[0] * gather(
        sim.truth.object, corner.astype(int) - 16, 32
    )
    assert sim.scan.patterns[0].sum() == pytest.approx((abs(lit) ** 2).sum(), rel=1e-4)
    beam = abs(fresnel(sim.truth.probe[0], sim.scan.fresnel_spread)) ** 2
    assert beam[16, 16] > 100 * beam[0, 0]  # the lens' own shadow, of half the frame


@pytest.mark.parametrize(("change", "message"), [({"defocus_m": -1e-3}, "above 0"), ({"defocus_m": 1e-4}, "at least")])
def test_a_near_field_that_cannot_be_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(NEAR, **change)
