"""cdtools reads our CXI scans with every sign right, reconstructs from them, and we read what it writes."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.scan.radiation import PLANCK_TIMES_C_EV_M
from tests.interchange import experiment


@pytest.fixture(scope="module")
def cxi(tmp_path_factory):
    return write_scan(experiment.scan(), tmp_path_factory.mktemp("ours") / "scan.cxi", "cxi")


@pytest.fixture(scope="module")
def found(tmp_path_factory, cxi, cdtools):
    folder = tmp_path_factory.mktemp("found")
    # Its object begins where the first view of the scan does.
    y, x = (experiment.positions().min(axis=0) - experiment.SIZE // 2).astype(int)
    np.savez(folder / "truth.npz", object=experiment.letter()[y:, x:], probe=experiment.probe())
    cdtools("read", cxi, folder / "truth.npz", folder / "found.npz")
    return np.load(folder / "found.npz")


def test_patterns_mask_and_geometry_are_the_same_there(found):
    scan = experiment.scan()
    np.testing.assert_array_equal(found["patterns"], scan.patterns[:])
    np.testing.assert_array_equal(found["mask"], scan.mask)
    np.testing.assert_allclose(found["wavelength_m"], PLANCK_TIMES_C_EV_M / 8000, rtol=1e-6)
    np.testing.assert_allclose(found["distance_m"], 2)


def test_it_sees_the_probe_move_as_we_do(found):
    expected = experiment.positions()
    np.testing.assert_allclose(
        found["pixels"] - found["pixels"][0], expected - expected[0], atol=1e-3
    )  # float32 in metres


def test_its_model_predicts_the_patterns_from_the_true_object_and_probe(found):
    expected = experiment.intensities()
    np.testing.assert_allclose(found["predicted"], expected, atol=1e-5 * expected.max())


def test_it_reconstructs_the_letter_upright_from_our_scan(tmp_path, cxi, cdtools):
    cdtools("reconstruct", cxi, tmp_path / "found.npz")
    found = np.load(tmp_path / "found.npz")
    assert found["losses"][-1] < 0.1 * found["losses"][0]
    y, x = (experiment.positions().min(axis=0) - experiment.SIZE // 2).astype(int)
    truth = abs(experiment.letter())[y : y + found["object"].shape[0], x : x + found["object"].shape[1]]

    def likeness(turned):
        inside = (slice(16, -16), slice(16, -16))
        return np.corrcoef(abs(found["object"])[inside].ravel(), turned[inside].ravel())[0, 1]

    upright = likeness(truth)
    assert upright > 0.7
    assert upright > 0.3 + max(likeness(truth[::-1]), likeness(truth[:, ::-1]), likeness(truth[::-1, ::-1]))


def test_what_it_writes_is_read_as_it_was(tmp_path, cdtools):
    scan = experiment.scan()
    dy, dx = scan.pixel_size_m
    pitch_y, pitch_x = experiment.GEOMETRY.detector_pixel_m
    y, x = scan.positions.T
    # Of the probe, in its frame: rows along -y, columns along -x.
    np.savez(
        tmp_path / "given.npz",
        patterns=scan.patterns[:],
        mask=scan.mask,
        translations=np.stack([-x * dx, -y * dy, np.zeros(len(y))], axis=1),
        basis=np.array([[0, -pitch_x], [-pitch_y, 0], [0, 0]]),
        wavelength_m=PLANCK_TIMES_C_EV_M / 8000,
        distance_m=2.0,
    )
    cdtools("write", tmp_path / "given.npz", tmp_path / "theirs.cxi")
    back = read_scan(tmp_path / "theirs.cxi")
    np.testing.assert_array_equal(back.patterns[:], scan.patterns[:])
    np.testing.assert_array_equal(back.mask, scan.mask)
    np.testing.assert_allclose(back.positions, scan.positions, atol=1e-3)
    assert back.geometry.energy_ev == pytest.approx(8000, rel=1e-6)
    assert back.pixel_size_m == pytest.approx(scan.pixel_size_m, rel=1e-6)
