"""What each preprocessing step does to patterns, mask, probe, positions and geometry, in closed form."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.preprocessing import _EFFECTS, preprocess
from ptycho_core.preprocessing.centring import centre_of_mass, symmetry_centre
from ptycho_core.preprocessing.detector import Turn
from ptycho_core.preprocessing.sketch import sketch
from ptycho_core.scan import survey
from ptycho_core.scan.orientation import ORIENTATIONS, half_turn_of, inverse
from ptycho_core.scan.scan import Geometry, Patterns, Scan
from ptycho_core.scan.steps import (
    STEPS,
    Bin,
    Centre,
    Crop,
    Dark,
    DeadPixels,
    DropBright,
    DropDead,
    DropDuplicates,
    DropPatterns,
    DropRepeated,
    Every,
    HotPixels,
    MaskBrush,
    MaskFile,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Monitor,
    Orient,
    OrientPositions,
    Pad,
    Pedestal,
    Photons,
    Region,
    Saturation,
    Scale,
    TurnPositions,
)
from ptycho_core.simulation.forward import fourier

GEOMETRY = Geometry(energy_ev=8000, distance_m=2, detector_pixel_m=(75e-6, 150e-6))
RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(20, (12, 16, 16)).astype(np.uint16)
POSITIONS = RNG.uniform(-30, 30, (12, 2))


class Recorded:
    """A source that remembers how many patterns were read."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.n_read = array, array.shape, array.dtype, 0

    def __getitem__(self, index):
        batch = self.array[index]
        self.n_read += len(batch)
        return batch


def scan(counts=COUNTS, **fields):
    fields = {"positions": POSITIONS[: counts.shape[0]], "geometry": GEOMETRY, **fields}
    return Scan(Patterns(counts), **fields)


def probe(size=16, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(2, size, size)) + 1j * rng.normal(size=(2, size, size))).astype(np.complex64)


def far_field(modes):
    return (abs(fourier(modes)) ** 2).sum(axis=0)


def centred_disc(size, middle, radius=4):
    rows, columns = np.indices((size, size))
    return np.where(np.hypot(rows - middle[0], columns - middle[1]) <= radius, 50, 0).astype(np.uint16)


def save(folder, array, name="array.npy"):
    np.save(folder / name, array)
    return str(folder / name)


def all_steps(folder):
    return [
        Photons(),
        Photons(),
        Dark(save(folder, np.ones((16, 16), np.float32), "dark.npy")),
        Monitor(save(folder, np.linspace(1, 2, 12), "monitor.npy")),
        Pedestal(0.5),
        Scale(2.0),
        MaskFile(save(folder, np.eye(16) == 0, "mask.npy")),
        MaskRectangle(0, 0, 1, 2),
        MaskPolygon("4,4 4,7 7,4"),
        MaskBrush("1,1", 1),
        MaskThreshold(above=1000),
        Saturation(1000),
        HotPixels(),
        DeadPixels(),
        Centre("given", 9, 8),
        Orient("+x-y"),
        Pad(24),
        Crop(20),
        Bin(2),
        OrientPositions("-y+x"),
        TurnPositions(5, 2),
        Region(-1e3, -1e3, 1e3, 1e3),
        Every(2, 1),
        DropDead(),
        DropBright(),
        DropRepeated(),
        DropDuplicates(),
        DropPatterns("0"),
    ]


def test_every_kind_of_step_has_an_effect():
    assert set(_EFFECTS) == set(STEPS.values())


def test_each_step_is_recorded_and_adds_one_sentence_to_the_history(tmp_path):
    steps = all_steps(tmp_path)
    assert {type(step) for step in steps} == set(STEPS.values())
    done = preprocess(scan(probe=probe()), steps)
    assert done.source.steps == tuple(steps)
    assert len(done.history) == len(steps)
    assert preprocess(done, [Crop(8)]).source.steps == (*steps, Crop(8))


def test_preprocessed_scans_pickle_and_read_the_same_in_any_batch(tmp_path):
    done = preprocess(scan(), all_steps(tmp_path))
    again = pickle.loads(pickle.dumps(done))
    assert again.source.steps == done.source.steps
    whole = done.patterns[:]
    assert whole.dtype == np.float32
    assert whole.flags.c_contiguous
    for batch in ([3, 0, 3], slice(1, 4), 2, np.array([], int)):
        np.testing.assert_array_equal(again.patterns[batch], whole[batch])


def test_steps_read_only_the_patterns_that_are_asked_for(tmp_path):
    source = Recorded(COUNTS)
    masks = (MaskThreshold, Saturation, HotPixels, DeadPixels)
    looking = (Photons, *masks, Centre, Crop, Bin, DropDead, DropBright, DropRepeated)
    lazy = [step for step in all_steps(tmp_path) if type(step) not in looking]
    done = preprocess(scan(source), lazy)
    assert source.n_read == 0
    done.patterns[[1, 2]]
    assert source.n_read == 2


def test_finding_a_centre_looks_at_a_bounded_number_of_patterns():
    source = Recorded(np.broadcast_to(COUNTS[0], (5000, 16, 16)))
    preprocess(scan(source, positions=np.zeros((5000, 2))), [Centre()])
    assert 0 < source.n_read <= 256


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
    before = scan(probe=probe(), mask=RNG.random((16, 16)) > 0.1)
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


def test_a_dark_frame_or_the_mean_of_several_is_subtracted_and_clipped(tmp_path):
    dark = np.full((2, 16, 16), 18.0)
    dark[1] += 4
    after = preprocess(scan(), [Dark(save(tmp_path, dark))])
    np.testing.assert_array_equal(after.patterns[:], np.maximum(COUNTS.astype(np.float32) - 20, 0))


def test_patterns_are_divided_by_their_own_reading_over_the_mean(tmp_path):
    readings = np.linspace(1, 3, 12)
    after = preprocess(scan(), [Every(2), Every(1), Monitor(save(tmp_path, readings[::2]))])
    expected = COUNTS[::2] * (readings[::2].mean() / readings[::2])[:, None, None]
    np.testing.assert_allclose(after.patterns[[4, 1]], expected[[4, 1]], rtol=1e-5)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_mask_file_adds_to_the_mask(tmp_path, dtype, invert):
    image = np.zeros((16, 16), dtype)
    image[2:, 3:] = 1
    known = np.ones((16, 16), bool)
    known[15, 15] = False
    after = preprocess(scan(mask=known), [MaskFile(save(tmp_path, image), invert)])
    np.testing.assert_array_equal(after.mask, known & (image.astype(bool) != invert))


@pytest.mark.parametrize("outside", [False, True])
def test_a_rectangle_masks_rows_and_columns_up_to_but_without_the_last(outside):
    mask = preprocess(scan(), [MaskRectangle(2, 3, 5, 7, outside)]).mask
    expected = np.ones((16, 16), bool)
    expected[2:5, 3:7] = False
    np.testing.assert_array_equal(mask, expected != outside)


def test_a_polygon_masks_the_pixels_whose_centres_it_holds():
    skimage = pytest.importorskip("skimage.draw")
    points = "1.5,2.5 13.2,4.1 9.3,14.2 7.1,6.8"
    corners = np.array([pair.split(",") for pair in points.split()], float)
    mask = preprocess(scan(), [MaskPolygon(points)]).mask
    np.testing.assert_array_equal(~mask, skimage.polygon2mask((16, 16), corners))
    np.testing.assert_array_equal(preprocess(scan(), [MaskPolygon(points, outside=True)]).mask, ~mask)


def test_a_stroke_masks_what_lies_within_its_radius():
    mask = preprocess(scan(), [MaskBrush("4,3 4,9", 1.5)]).mask
    rows, columns = np.indices((16, 16))
    beside = np.hypot(rows - 4, columns - np.clip(columns, 3, 9))
    np.testing.assert_array_equal(~mask, beside <= 1.5)
    assert np.count_nonzero(~preprocess(scan(), [MaskBrush("4,3", 1)]).mask) == 5


def test_thresholds_mask_by_the_mean_saturation_by_the_largest_count():
    counts = np.full((4, 16, 16), 10, np.uint16)
    counts[:, 0, 0], counts[:, 0, 1], counts[2, 5, 5] = 0, 30, 30
    assert np.argwhere(~preprocess(scan(counts), [MaskThreshold(29, 1)]).mask).tolist() == [[0, 0], [0, 1]]
    assert np.argwhere(~preprocess(scan(counts), [MaskThreshold(below=1)]).mask).tolist() == [[0, 0]]
    assert np.argwhere(~preprocess(scan(counts), [Saturation(30)]).mask).tolist() == [[0, 1], [5, 5]]
    assert preprocess(scan(counts), [Saturation(31)]).mask is None


def test_hot_pixels_are_found_and_photon_noise_and_steep_light_are_not():
    rows, columns = np.indices((32, 32)) - 16
    light = 500 * np.exp(-np.hypot(rows, columns) / 3)
    counts = np.random.default_rng(3).poisson(light, (100, 32, 32)).astype(np.uint16)
    counts[:, 3, 4], counts[:, 16, 20] = 40, 60_000
    mask = preprocess(scan(counts, positions=np.zeros((100, 2))), [HotPixels()]).mask
    assert np.argwhere(~mask).tolist() == [[3, 4], [16, 20]]


def test_a_few_photons_where_there_are_hardly_any_make_no_hot_pixel():
    counts = np.zeros((100, 16, 16), np.uint16)
    counts[0, 3, 4], counts[[1, 2], 8, 8] = 1, 1
    counts[::2, 12, 12] = 1
    assert np.argwhere(~preprocess(scan(counts, positions=np.zeros((100, 2))), [HotPixels()]).mask).tolist() == [
        [12, 12]
    ]


def test_positions_are_rotated_about_their_mean_and_sheared():
    corner = np.array([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]])
    before = scan(COUNTS[:4], positions=corner, geometry=Geometry())
    turned = preprocess(before, [TurnPositions(rotation_deg=90)]).positions
    np.testing.assert_allclose(turned, [[0, 10], [10, 10], [0, 0], [10, 0]], atol=1e-12)
    sheared = preprocess(before, [TurnPositions(shear_deg=45)]).positions
    np.testing.assert_allclose(sheared, [[0, -5], [0, 5], [10, 5], [10, 15]], atol=1e-12)


def test_positions_are_rotated_as_lengths_where_object_pixels_are_not_square():
    before = scan()
    after = preprocess(before, [TurnPositions(rotation_deg=30)])
    lengths, turned = (
        np.linalg.norm((s.positions - s.positions.mean(0)) * s.pixel_size_m, axis=1) for s in (before, after)
    )
    np.testing.assert_allclose(turned, lengths)


def test_a_region_keeps_the_patterns_within_in_pixels_and_micrometres():
    kept = preprocess(scan(indexes=np.arange(100, 112)), [Region(-10, -30, 30, 0)])
    inside = (POSITIONS[:, 0] >= -10) & (POSITIONS[:, 1] <= 0)
    assert kept.indexes.tolist() == (100 + np.flatnonzero(inside)).tolist()
    np.testing.assert_array_equal(kept.patterns[:], COUNTS[inside])
    dy, dx = 1e6 * np.array(scan().pixel_size_m)
    same = preprocess(scan(), [Region(-10 * dy, -30 * dx, 30 * dy, 0, "um")])
    np.testing.assert_array_equal(same.positions, kept.positions)


def test_every_kth_pattern_is_kept_from_a_start():
    np.testing.assert_array_equal(preprocess(scan(), [Every(5, 1)]).patterns[:], COUNTS[[1, 6, 11]])


def test_dead_patterns_are_left_out_and_so_are_dim_ones_below_a_fraction():
    counts = COUNTS.copy()
    counts[3], counts[7] = 0, counts[7] // 20
    assert len(preprocess(scan(counts), [DropDead(0.0)])) == 11
    np.testing.assert_array_equal(preprocess(scan(counts), [DropDead()]).patterns[:], np.delete(COUNTS, [3, 7], axis=0))


def test_patterns_are_left_out_one_by_one():
    kept = preprocess(scan(), [DropPatterns("3 7")])
    np.testing.assert_array_equal(kept.patterns[:], np.delete(COUNTS, [3, 7], axis=0))


def test_of_patterns_at_one_place_the_first_stays():
    positions = POSITIONS.copy()
    positions[5] = positions[2]
    positions[8] = positions[2] + 0.1
    np.testing.assert_array_equal(
        preprocess(scan(positions=positions), [DropDuplicates()]).positions, np.delete(positions, 5, axis=0)
    )
    assert len(preprocess(scan(positions=positions), [DropDuplicates(0.2)])) == 10


def test_a_pattern_near_a_dropped_one_stays():
    chain = np.array([[0.0, 0.0], [0.0, 0.9], [0.0, 1.8], [0.0, 2.7]])
    assert preprocess(scan(COUNTS[:4], positions=chain), [DropDuplicates(1)]).positions[:, 1].tolist() == [0, 1.8]


WRONG = {
    "drop_patterns: places must be below the number of patterns, 12": [DropPatterns("3 12")],
    "drop_patterns: no pattern would be left": [DropPatterns(" ".join(map(str, range(12))))],
    "crop: size must be at most the patterns' 16": [Crop(20)],
    "pad: size must be at least the patterns' 16": [Pad(8)],
    "do not divide into 8 blocks or more of 3; take a smaller factor": [Bin(3)],
    "y and x must be from 0 to 15": [Centre("given", 16, 0)],
    "leaves no good one": [MaskRectangle(0, 0, 16, 16)],
    "bin: no good pixel would be left": [MaskThreshold(above=19.9, below=19.8), Bin(2)],
    "no position lies there; y goes from": [Region(100, 100, 200, 200)],
    "start must be below the number of patterns, 12": [Every(2, 12)],
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_cannot_be_done_with_a_scan_is_one_sentence(sentence):
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")):
        preprocess(scan(), WRONG[sentence])


def test_micrometres_without_a_pixel_size_and_probes_of_another_size_are_refused():
    with pytest.raises(InputError, match="unit um needs the object pixel size"):
        preprocess(scan(geometry=Geometry()), [Region(0, 0, 1, 1, "um")])
    for step in (Crop(8), Bin(2), Orient("-y+x")):
        with pytest.raises(InputError, match="the probe is 8 x 8 pixels and the patterns are 16 x 16"):
            preprocess(scan(probe=probe(8)), [step])
    with pytest.raises(InputError, match="nothing but zeros"):
        preprocess(scan(np.zeros((3, 16, 16))), [Centre()])
    with pytest.raises(InputError, match="no pattern would be left"):
        preprocess(scan(np.zeros((3, 16, 16))), [DropDead()])


def test_a_sketch_of_a_large_scan_looks_for_dead_patterns_and_saturation_in_a_sample_only(monkeypatch):
    counts = COUNTS.copy()
    counts[[0, 1]] = 0
    counts[11, 3, 4], counts[10, 5, 6] = 1000, 1000
    large = scan(counts)
    assert len(sketch(DropDead(), large)) == 10
    monkeypatch.setattr(survey, "LOOK_AT_ALL_BYTES", 0)
    monkeypatch.setattr(survey, "SAMPLE_BYTES", 2 * COUNTS[0].astype(counts.dtype).nbytes)  # patterns 0 and 11
    alive = sketch(DropDead(0.0), large)
    np.testing.assert_array_equal(alive.patterns[:], counts[1:])
    assert alive.source.steps == (DropDead(0.0),)
    assert "of those looked at" in alive.history[-1]
    mask = sketch(Saturation(500), large).mask
    assert np.argwhere(~mask).tolist() == [[3, 4]]
    assert len(sketch(Every(2), large)) == 6
