"""Steps that turn, crop, pad, bin and centre the detector: what they do to all that a scan has, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.preprocessing import preprocess
from ptycho_core.preprocessing.centring import centre_of_mass, symmetry_centre
from ptycho_core.preprocessing.detector import Turn
from ptycho_core.scan.orientation import ORIENTATIONS, half_turn_of, inverse
from ptycho_core.scan.scan import Geometry
from ptycho_core.scan.steps import (
    Bin,
    Centre,
    Crop,
    Orient,
    OrientPositions,
    Pad,
)
from ptycho_core.simulation.forward import fourier
from tests.helpers.small_scans import COUNTS, GEOMETRY, POSITIONS, far_field, probe, scan


def centred_disc(size, middle, radius=4):
    rows, columns = np.indices((size, size))
    return np.where(np.hypot(rows - middle[0], columns - middle[1]) <= radius, 50, 0).astype(np.uint16)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("word", ORIENTATIONS)
def test_the_pattern_of_a_turned_exit_wave_is_the_turned_pattern(word, size):
    wave = probe(size)
    turn = Turn(word)
    np.testing.assert_allclose(abs(fourier(turn(wave))), turn(abs(fourier(wave))), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("word", ORIENTATIONS)
def test_patterns_and_positions_of_the_same_orientation_turn_alike(word):
    image = np.zeros((1, 16, 16), np.uint16)
    image[0, 8 + 3, 8 - 2] = 1
    done = preprocess(
        scan(image, positions=np.array([[3.0, -2.0]]), geometry=Geometry()), [Orient(word), OrientPositions(word)]
    )
    assert done.patterns[0][tuple(8 + done.positions[0].astype(int))] == 1


@pytest.mark.parametrize("word", ORIENTATIONS)
def test_the_inverse_of_an_orientation_undoes_it(word):
    before = scan(probe=probe(), mask=np.random.default_rng(0).random((16, 16)) > 0.1)
    there, back = [Orient(word), OrientPositions(word)], [Orient(inverse(word)), OrientPositions(inverse(word))]
    after = preprocess(before, [*there, *back])
    np.testing.assert_array_equal(after.patterns[:], before.patterns[:])
    np.testing.assert_array_equal(after.mask, before.mask)
    np.testing.assert_allclose(after.positions, before.positions)
    np.testing.assert_array_equal(Turn(half_turn_of(word))(COUNTS), Turn("-y-x")(Turn(word)(COUNTS)))
    assert after.pixel_size_m == before.pixel_size_m


def test_turning_swaps_detector_pixels_that_are_not_square_and_keeps_lengths():
    before = scan()
    for step in (Orient("+x+y"), OrientPositions("+x+y")):
        after = preprocess(before, [step])
        order = [1, 0] if isinstance(step, OrientPositions) else [0, 1]
        lengths = (before.positions * before.pixel_size_m)[:, order]
        np.testing.assert_allclose(after.positions * after.pixel_size_m, lengths)
    assert preprocess(before, [Orient("+x+y")]).geometry.detector_pixel_m == (150e-6, 75e-6)


def test_a_probe_is_turned_along_unless_it_fits_the_turned_patterns_as_it_is():
    modes = probe()
    pattern = far_field(modes)[None].astype(np.float32)
    along = preprocess(scan(pattern, probe=modes), [Orient("+x-y")])
    np.testing.assert_array_equal(along.probe, Turn("+x-y")(modes))
    apart = preprocess(scan(Turn("-x+y")(pattern), probe=modes), [Orient("+x-y")])
    np.testing.assert_array_equal(apart.probe, modes)


@pytest.mark.parametrize(("kind", "size"), [(Crop, 10), (Crop, 9), (Pad, 20), (Pad, 21)])
@pytest.mark.parametrize("geometry", [GEOMETRY, Geometry(object_pixel_m=(1e-8, 2e-8)), Geometry()])
def test_another_width_keeps_dc_positions_as_lengths_and_the_probes_far_field(kind, size, geometry):
    before = scan(geometry=geometry, probe=probe(), object_guess=np.ones((40, 40), np.complex64))
    after = preprocess(before, [kind(size)])
    reach = min(size, 16) // 2 - 1
    inner = [slice(n // 2 - reach, n // 2 + reach + 1) for n in (16, size)]
    for images in ((before.patterns[:], after.patterns[:]), (far_field(before.probe), far_field(after.probe))):
        old, new = (image[..., part, part] for image, part in zip(images, inner, strict=True))
        np.testing.assert_allclose(new, old, rtol=1e-4)
    np.testing.assert_allclose(after.positions * 16 / size, before.positions)
    if before.pixel_size_m:
        np.testing.assert_allclose(after.positions * after.pixel_size_m, before.positions * before.pixel_size_m)
    assert after.object_guess is None
    assert "left out the object guess" in after.history[-1]


def test_padded_pixels_are_masked_and_cropping_them_away_leaves_no_mask():
    padded = preprocess(scan(), [Pad(20)])
    assert np.count_nonzero(padded.mask) == 256
    assert padded.mask[2:18, 2:18].all()
    assert preprocess(padded, [Crop(16)]).mask is None


def test_binning_sums_counts_without_overflow_and_masks_a_block_with_any_bad_pixel():
    counts = np.full((1, 16, 16), 60_000, np.uint16)
    counts[0, 0, 0] = 0
    mask = np.ones((16, 16), bool)
    mask[5, 5] = False
    after = preprocess(scan(counts, mask=mask), [Bin(2)])
    assert after.patterns[0].max() == 240_000
    assert after.patterns[0][0, 0] == 180_000
    assert np.argwhere(~after.mask).tolist() == [[2, 2]]
    assert after.geometry.detector_pixel_m == (150e-6, 300e-6)
    np.testing.assert_allclose(after.pixel_size_m, scan().pixel_size_m)
    np.testing.assert_array_equal(after.positions, POSITIONS[:1])


@pytest.mark.parametrize(("size", "factor"), [(32, 2), (30, 3), (36, 4), (27, 3)])
def test_a_binned_probe_has_the_far_field_at_the_centres_of_the_blocks(size, factor):
    confined = np.zeros((1, size, size), np.complex64)
    middle = slice(size // 2 - 3, size // 2 + 4)
    confined[:, middle, middle] = probe(7)[:1]
    after = preprocess(scan(np.ones((1, size, size), np.uint8), probe=confined), [Bin(factor)])
    r = np.arange(size) - size // 2
    u = np.arange(size // factor) * factor + (factor - 1) / 2 - size // 2
    kernel = np.exp(-2j * np.pi * u[:, None] * r / size)
    at_centres = abs(kernel @ confined[0] @ kernel.T / size) ** 2
    np.testing.assert_allclose(far_field(after.probe), factor**2 * at_centres, rtol=1e-3, atol=1e-3)


def test_light_of_a_probe_that_binning_cuts_away_is_said():
    assert "of the probe's light" in preprocess(scan(probe=probe()), [Bin(2)]).history[-1]


@pytest.mark.parametrize(("middle", "how"), [((5, 9), "mass"), ((10, 6), "symmetry"), ((10, 6), "given")])
def test_centring_moves_the_centre_to_the_middle_and_masks_what_comes_in(middle, how):
    y, x = middle if how == "given" else (None, None)
    before = scan(centred_disc(16, middle)[None].repeat(3, axis=0), positions=POSITIONS[:3])
    after = preprocess(before, [Centre(how, y, x)])
    np.testing.assert_array_equal(after.patterns[0], centred_disc(16, (8, 8)))
    up, left = middle[0] - 8, middle[1] - 8
    assert np.count_nonzero(~after.mask) == 256 - (16 - abs(up)) * (16 - abs(left))
    assert f"({middle[0]}, {middle[1]})" in after.history[-1]


def test_a_centred_scan_stays_as_it_is():
    after = preprocess(scan(centred_disc(16, (8, 8))[None]), [Centre()])
    assert after.mask is None
    assert after.patterns.steps == ()
    assert "found the patterns centred" in after.history[-1]


def test_centres_are_found_beside_masked_pixels_and_on_a_background():
    mean = centred_disc(32, (13, 18)).astype(float) + 7
    assert centre_of_mass(mean) == pytest.approx((13, 18))
    good = np.ones((32, 32), bool)
    good[:, 21:24] = False
    mean[~good] = 1e6
    assert symmetry_centre(np.where(good, mean, 0), good) == (13, 18)


@pytest.mark.parametrize("probe_is_off", [True, False])
def test_the_probe_is_centred_along_only_if_it_was_off_centre_with_the_patterns(probe_is_off):
    wide = np.exp(-((np.indices((32, 32)) - 16) ** 2).sum(axis=0) / 18)
    modes = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(wide)))[None].astype(np.complex64) * 1e3
    pattern = np.roll(far_field(modes), (3, -2), (0, 1))[None].astype(np.float32)
    off = modes * np.exp(2j * np.pi * (3 * (np.arange(32) - 16)[:, None] - 2 * (np.arange(32) - 16)) / 32)
    given = (off if probe_is_off else modes).astype(np.complex64)
    after = preprocess(scan(pattern, probe=given), [Centre()])
    np.testing.assert_allclose(after.probe, modes, atol=1e-3 * abs(modes).max())
