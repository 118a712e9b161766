"""Steps that change counts or mask pixels: dark frames, monitors, mask files, tools, thresholds and hot pixels."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.preprocessing import preprocess
from ptycho_core.scan.steps import (
    Dark,
    Every,
    HotPixels,
    MaskBrush,
    MaskFile,
    MaskPolygon,
    MaskRectangle,
    MaskThreshold,
    Monitor,
    Saturation,
)
from tests.helpers.small_scans import COUNTS, save, scan


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
