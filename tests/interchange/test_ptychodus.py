"""ptychodus reads what we write, by its own plugins, and we read what it writes."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import export, read_reconstruction, write_scan
from tests.helpers.beamline_files import BEAMLINES
from tests.helpers.scan_files import TINY
from tests.interchange import experiment


def test_our_product_holds_the_same_object_probe_and_geometry_there(tmp_path, ptychodus):
    recon = experiment.reconstruction()
    (path,) = export(recon, tmp_path / "product.h5", "product")
    ptychodus("read-product", path, tmp_path / "found.npz")
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found["object"], recon.object[None])
    np.testing.assert_array_equal(found["probe"], recon.probe[None])
    np.testing.assert_array_equal(found["indexes"], recon.pattern_index)
    np.testing.assert_allclose(found["pixel"], recon.pixel_size_m)
    assert found["energy_ev"] == 8000
    assert found["distance_m"] == 2
    assert str(found["name"]) == "letter F"
    np.testing.assert_array_equal(found["losses"], [(1, 0.9), (2, 0.5)])


def test_the_patches_that_it_cuts_out_of_our_object_are_those_that_our_probe_sees(tmp_path, ptychodus):
    (path,) = export(experiment.reconstruction(), tmp_path / "product.h5", "product")
    ptychodus("read-product", path, tmp_path / "found.npz")
    waves = np.load(tmp_path / "found.npz")["patches"] * experiment.probe()
    np.testing.assert_allclose(waves, experiment.exit_waves(), atol=1e-3 * abs(waves).max())


def test_our_cxi_scan_holds_the_same_patterns_mask_and_geometry_there(tmp_path, ptychodus):
    scan = experiment.scan()
    ptychodus("read-cxi", write_scan(scan, tmp_path / "scan.cxi", "cxi"), tmp_path / "found.npz")
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found["patterns"], scan.patterns[:])
    np.testing.assert_array_equal(found["bad_pixels"], ~scan.mask)
    np.testing.assert_allclose(found["energy_ev"], 8000, rtol=1e-9)
    np.testing.assert_allclose(found["distance_m"], 2)
    np.testing.assert_allclose(found["pixel"], (55e-6, 75e-6))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, ptychodus):
    folder, scan = tmp_path_factory.mktemp("theirs"), experiment.scan()
    origin = np.array(experiment.letter().shape) / 2  # where pixel N/2 of a probe in the middle of the object is
    np.savez(
        folder / "given.npz",
        patterns=scan.patterns[:].astype(np.uint32),
        bad_pixels=~scan.mask,
        indexes=np.arange(len(scan)) + 7,
        metres=(scan.positions - origin) * scan.pixel_size_m,
        probe=scan.probe,
        object=experiment.letter(),
        pixel=scan.pixel_size_m,
        detector=scan.geometry.detector_pixel_m,
        energy_ev=8000.0,
        distance_m=2.0,
    )
    ptychodus("write", folder / "given.npz", folder)
    return folder


@pytest.mark.parametrize("product", ["product.h5", "product.npz"])
def test_its_patterns_and_product_are_read_as_they_were(theirs, product):
    scan, back = experiment.scan(), read_scan(theirs / "diffraction.h5", positions_file=theirs / product)
    assert back.source.format == "ptychodus"
    np.testing.assert_array_equal(back.patterns[:], scan.patterns[:])
    np.testing.assert_array_equal(back.mask, scan.mask)
    np.testing.assert_allclose(back.positions, scan.positions, atol=1e-9)
    np.testing.assert_array_equal(back.probe, scan.probe)
    np.testing.assert_array_equal(back.object_guess, scan.object_guess)
    np.testing.assert_array_equal(back.indexes, np.arange(len(scan)) + 7)
    assert back.geometry.energy_ev == pytest.approx(8000)
    assert back.geometry.distance_m == pytest.approx(2)
    assert back.pixel_size_m == pytest.approx(scan.pixel_size_m)


def test_its_product_is_read_as_a_reconstruction(theirs):
    back = read_reconstruction(theirs / "product.h5")
    np.testing.assert_array_equal(back.object, experiment.letter())
    np.testing.assert_allclose(back.positions_px, experiment.positions(), atol=1e-9)
    assert back.geometry.energy_ev == pytest.approx(8000)
    assert back.loss_history == ((0, 0.5),)


def test_its_training_data_for_ptychopinn_are_read_as_a_scan(theirs):
    scan, back = experiment.scan(), read_scan(theirs / "ptychopinn.npz")
    assert back.source.format == "ptychopinn-npz"
    np.testing.assert_array_equal(back.patterns[:], scan.patterns[:] * scan.mask)
    np.testing.assert_array_equal(back.mask, scan.mask)
    # It counts from the middle of a pixel, and says where the middle of the probe is, which is between two pixels.
    np.testing.assert_allclose(back.positions, scan.positions - 0.5, atol=1e-9)
    np.testing.assert_array_equal(back.probe, scan.probe)


@pytest.mark.parametrize(
    "name",
    [
        *("aps-bionanoprobe", "aps-mda", "aps-mda (one loop)", "aps-velociprobe", "max4-nanomax", "nsls2-hxn"),
        "lcls-xpp",
    ],
)
def test_its_plugins_read_our_files_of_beamlines_as_our_shipped_mappings_do(tmp_path, ptychodus, name):
    beamline = BEAMLINES[name]
    path, positions = beamline.write(tmp_path, TINY)
    ptychodus("read-beamline", name, path, positions or path, tmp_path / "found.npz")
    scan, found = read_scan(path, positions_file=positions, settings=beamline.answers), np.load(tmp_path / "found.npz")
    good = np.ones(scan.patterns.shape[1:], bool) if scan.mask is None else scan.mask
    np.testing.assert_array_equal(found["patterns"][:, good], scan.patterns[:][:, good])
    yx = np.array([found["yx_m"][found["index"] == index].mean(axis=0) for index in range(len(scan))])
    moved = (yx - yx[0]) / scan.pixel_size_m
    if name == "max4-nanomax":  # ptypy turns both round, which is the same scan of the conjugate object
        moved = -moved
    np.testing.assert_allclose(scan.positions - scan.positions[0], moved, atol=1e-6)
