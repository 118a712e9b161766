"""The near field on the command line: from a simulated scan to files for other programs."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from ptycho_core.cli import main
from ptycho_core.runs.record import read_run

PIXEL_M = 75e-6 / (1 + 2.0 / 0.02)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scan of 32 x 32 pixels, its run of 2 epochs, reconstructed."""
    folder = tmp_path_factory.mktemp("near")
    scan, out = str(folder / "scan.cxi"), str(folder / "out")
    for line in (
        f"simulate {scan} --propagator near --defocus_m 0.02 --size 32 --n_patterns 40 --step_px 3 --probe aperture",
        f"train --train_data_file {scan} --output_dir {out} --propagator near --engine direct --max_epochs 2 --quiet",
        f"reconstruct {out} --no-halves",
    ):
        assert main(line.split()) == 0
    return folder


def test_the_record_of_the_run_names_the_propagator(folder):
    info = read_run(folder / "out")
    assert info.config.propagator == "near"
    assert info.scan.settings == {"propagator": "near"}


def test_every_export_has_the_pixel_of_the_shadow(folder):
    assert main(["export", str(folder / "out"), str(folder / "image.cxi"), "--format", "cxi"]) == 0
    found = {}
    with np.load(folder / "out" / "reconstruction" / "reconstruction.npz") as arrays:
        found["npz"] = arrays["pixel_size_m"]
        height, width = arrays["object"].shape
    with h5py.File(folder / "out" / "reconstruction" / "product.h5") as product:
        attributes = product["object"].attrs
        found["product"] = [attributes["pixel_height_m"], attributes["pixel_width_m"]]
    with h5py.File(folder / "image.cxi") as image:
        across = image["entry_1/image_1/image_size"][:2]
        found["cxi"] = [across[1] / height, across[0] / width]
    for pixel in found.values():
        np.testing.assert_allclose(pixel, PIXEL_M, rtol=1e-4)


def test_metrics_are_there_as_for_the_far_field(folder):
    metrics = json.loads((folder / "out" / "reconstruction" / "metrics.json").read_text())
    assert metrics["free_misfit"] < 20


def test_near_field_without_a_defocus_asks_for_it(tmp_path, capsys):
    scan = tmp_path / "far.cxi"
    assert main(["simulate", str(scan), "--size", "16", "--n_patterns", "12"]) == 0
    words = ["train", "--train_data_file", str(scan), "--output_dir", str(tmp_path / "out"), "--propagator", "near"]
    assert main(words) == 2
    assert "the near field asks for defocus_m or magnification" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
