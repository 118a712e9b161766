from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import sys
import zipfile

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

import ptycho_core
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.formats.writers.exports import EXPORTERS, export, read_reconstruction
from ptycho_core.formats.writers.facts import caption_of, facts_of
from ptycho_core.formats.writers.images import PICTURED, display_phase, phase_style, scale_bar, write_png
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Geometry

GEOMETRY = Geometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(55e-6, 75e-6))


def smooth(shape, seed):
    rng = np.random.default_rng(seed)
    spectrum = np.zeros(shape, complex)
    spectrum[:4, :4] = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    return np.fft.ifft2(spectrum).astype(np.complex64) * shape[0] * shape[1] / 8


def reconstruction(**changes):
    """A canvas of 60 x 80 that 20 probes of 16 x 16 have visited, apart from a border."""
    rng = np.random.default_rng(0)
    coverage = np.zeros((60, 80), np.float32)
    coverage[10:50, 12:70] = rng.uniform(0.5, 1, (40, 58))
    fields = {
        "object": np.exp(0.3j * smooth((60, 80), 1).real).astype(np.complex64),
        "probe": np.stack([smooth((16, 16), 2), 0.1 * smooth((16, 16), 3)]),
        "coverage": coverage,
        "positions_px": rng.uniform(18, 42, (20, 2)),
        "pattern_index": np.arange(20)[::-1].copy(),
        "geometry": GEOMETRY,
        "metrics": {"r_factor": 0.08, "r_free": float("nan")},
        "config": {"max_epochs": 6},
        "history": ("cropped to 16 pixels",),
        "loss_history": ((1, 0.9), (2, 0.5)),
        "name": "Siemens star",
        "comments": "a test",
    }
    return Reconstruction(**{**fields, **changes})


def assert_same(back, recon, position_tolerance=0.0):
    for key in ("object", "probe", "coverage", "pattern_index"):
        np.testing.assert_array_equal(getattr(back, key), getattr(recon, key))
        assert getattr(back, key).dtype == getattr(recon, key).dtype
    np.testing.assert_allclose(back.positions_px, recon.positions_px, rtol=0, atol=position_tolerance)
    for key in ("geometry", "config", "history", "loss_history", "name"):
        assert getattr(back, key) == getattr(recon, key)
    assert back.metrics == {"r_factor": 0.08, "r_free": None}


def ptychodus_product(path):
    """What ptychodus' own reader takes from a product: its keys, its attributes, its checks (api/io.py)."""
    with h5py.File(path) as file:
        product = {key: float(file.attrs[key]) for key in ("detector_object_distance_m", "probe_energy_eV")}
        product |= {key: float(file.attrs[key]) for key in ("exposure_time_s", "mass_attenuation_m2_kg")}
        product["photons"] = int(file.attrs["probe_photon_count"])
        product["name"], product["comments"] = str(file.attrs["name"]), str(file.attrs["comments"])
        layers = file["object"][()]
        assert np.iscomplexobj(layers)
        assert layers.ndim == 3
        assert len(file["object_layer_spacing_m"][()]) + 1 == len(layers)
        probe = file["probe"][()]
        assert np.iscomplexobj(probe)
        assert probe.ndim == 4
        pixel = {key: float(file["object"].attrs[key]) for key in ("pixel_width_m", "pixel_height_m")}
        assert pixel == {key: float(file["probe"].attrs[key]) for key in pixel}
        x, y = file["probe_position_x_m"][()], file["probe_position_y_m"][()]
        cx, cy = float(file["object"].attrs["center_x_m"]), float(file["object"].attrs["center_y_m"])
        # ObjectGeometry.map_coordinates_probe_to_object, then BarycentricArrayInterpolator: where the patch begins
        product["patch_x"] = (x - cx) / pixel["pixel_width_m"] + layers.shape[-1] / 2 - probe.shape[-1] / 2
        product["patch_y"] = (y - cy) / pixel["pixel_height_m"] + layers.shape[-2] / 2 - probe.shape[-2] / 2
        product |= {"object": layers[0], "probe": probe[0], "pixel": pixel}
        product["indexes"] = file["probe_position_indexes"][()]
        product["losses"] = list(zip(file["loss_epochs"][()], file["loss_values"][()], strict=True))
    return product


@pytest.mark.parametrize("size", [16, 15])
def test_ptychodus_finds_object_probe_and_patches_where_we_have_them(tmp_path, size):
    recon = reconstruction(probe=smooth((16, 16), 2)[None, :size, :size])
    (path,) = export(recon, tmp_path, "product")
    product = ptychodus_product(path)
    dy, dx = recon.pixel_size_m
    assert product["pixel"] == {"pixel_width_m": dx, "pixel_height_m": dy}
    np.testing.assert_allclose(product["patch_y"], recon.positions_px[:, 0] - size // 2, atol=1e-9)
    np.testing.assert_allclose(product["patch_x"], recon.positions_px[:, 1] - size // 2, atol=1e-9)
    np.testing.assert_array_equal(product["object"], recon.object)
    np.testing.assert_array_equal(product["probe"], recon.probe)
    np.testing.assert_array_equal(product["indexes"], recon.pattern_index)
    assert product["losses"] == [(1, 0.9), (2, 0.5)]
    assert (product["probe_energy_eV"], product["detector_object_distance_m"]) == (8000.0, 2.0)
    with h5py.File(path) as file:
        assert file.attrs["photon_energy_eV"] == 8000  # its name since version 1.7
    assert product["photons"] == int(np.sum(np.abs(recon.probe.astype(complex)) ** 2))
    assert (product["name"], product["comments"]) == ("Siemens star", "a test")


def test_a_product_without_a_pixel_size_says_that_its_metres_are_pixels(tmp_path):
    recon = reconstruction(geometry=Geometry())
    (path,) = export(recon, tmp_path, "product")
    product = ptychodus_product(path)
    assert product["pixel"] == {"pixel_width_m": 1.0, "pixel_height_m": 1.0}
    np.testing.assert_allclose(product["patch_y"], recon.positions_px[:, 0] - 8)
    assert (
        product["comments"] == "a test The pixel size is unknown: one metre in this file stands for one object pixel."
    )
    with h5py.File(path) as file:
        assert file.attrs["lengths_in_pixels"]
    assert_same(read_reconstruction(path), recon, 1e-9)


@pytest.mark.parametrize(("format", "tolerance"), [("npz", 0.0), ("product", 1e-9)])
@pytest.mark.parametrize("geometry", [GEOMETRY, Geometry(object_pixel_m=(5e-9, 6e-9)), Geometry()])
def test_what_is_written_reads_back_the_same(tmp_path, format, tolerance, geometry):
    recon = reconstruction(geometry=geometry)
    (path,) = export(recon, tmp_path, format)
    back = read_reconstruction(path)
    assert_same(back, recon, tolerance)
    assert back.comments == "a test"


def test_a_product_of_ptychodus_itself_is_read_with_what_it_lacks_made_up_for(tmp_path):
    recon = reconstruction()
    (path,) = export(recon, tmp_path, "product")
    with h5py.File(path, "r+") as file:
        del file["ptycho"], file["loss_epochs"]
        file.move("loss_values", "costs")
        layers = np.concatenate([file["object"][()], 2 * np.ones_like(file["object"][()])])
        attributes = dict(file["object"].attrs)
        del file["object"]
        file["object"] = layers
        file["object"].attrs.update(attributes)
    back = read_reconstruction(path)
    np.testing.assert_allclose(back.object, 2 * recon.object)
    np.testing.assert_array_equal(back.probe, recon.probe)
    assert back.geometry == Geometry(8000.0, 2.0, object_pixel_m=recon.pixel_size_m)
    assert back.loss_history == ((1, 0.9), (2, 0.5))
    assert back.history == ("the object is the product of the file's 2 layers",)
    intensity = np.sum(np.abs(recon.probe) ** 2)
    np.testing.assert_allclose(back.coverage.sum(), len(recon.positions_px) * intensity, rtol=1e-4)
    y, x = np.rint(recon.positions_px[0]).astype(int) - 8
    assert back.coverage[y : y + 16, x : x + 16].min() > 0


def test_the_npz_holds_the_documented_keys_and_needs_no_pickle(tmp_path):
    recon = reconstruction()
    (path,) = export(recon, tmp_path, "npz")
    assert path == tmp_path / "reconstruction.npz"
    with np.load(path, allow_pickle=False) as file:
        assert file["object"].dtype == file["probe"].dtype == np.complex64
        assert file["positions_px"].shape == (20, 2)
        np.testing.assert_allclose(file["pixel_size_m"], recon.pixel_size_m)
        assert json.loads(str(file["metrics"])) == {"r_factor": 0.08, "r_free": None}
        assert json.loads(str(file["config"])) == {"max_epochs": 6}
    export(reconstruction(geometry=Geometry()), path, "npz")
    with np.load(path, allow_pickle=False) as file:
        assert np.isnan(file["pixel_size_m"]).all()


def test_the_cxi_image_follows_the_specification(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ptycho", "export", "my run"])
    recon = reconstruction()
    (path,) = export(recon, tmp_path / "star.cxi", "cxi")
    with h5py.File(path) as file:
        assert file["cxi_version"][()] == 160
        image = file["entry_1/image_1"]
        np.testing.assert_array_equal(image["data"], recon.object)
        assert image["data"].dtype.names is None  # h5py shows the specification's (r, i) compound as complex
        assert image["data_type"].asstr()[()] == "amplitude"
        assert image["data_space"].asstr()[()] == "real"
        assert image["is_fft_shifted"][()] == 0
        dy, dx = recon.pixel_size_m
        np.testing.assert_allclose(image["image_size"], [80 * dx, 60 * dy, 0])
        np.testing.assert_array_equal(image["mask"][()] == 0x10000, recon.coverage > 0)
        assert image["mask"].dtype == np.uint32
        np.testing.assert_array_equal(file["entry_1/image_2/data"], recon.probe)
        np.testing.assert_array_equal(file["entry_1/data_1/data"], recon.object)
        assert image["source_1/energy"][()] == pytest.approx(8000 * 1.602176634e-19, rel=1e-12)
        process = file["entry_1/image_2/process_1"]
        assert process["program"].asstr()[()] == "ptycho"
        assert process["version"].asstr()[()] == ptycho_core.__version__
        assert process["command"].asstr()[()] == "ptycho export 'my run'"
        assert process["comments"].asstr()[()] == "a test\ncropped to 16 pixels"
        assert json.loads(process["note_1/data"].asstr()[()]) == {"max_epochs": 6}


def test_tiffs_carry_the_pixel_size_as_imagej_reads_it(tmp_path):
    recon = reconstruction()
    amplitude, phase = export(recon, tmp_path / "star.tif", "tiff")
    assert (amplitude.name, phase.name) == ("star_amplitude.tif", "star_phase.tif")
    np.testing.assert_array_equal(tifffile.imread(amplitude), np.abs(recon.object))
    np.testing.assert_array_equal(tifffile.imread(phase), display_phase(recon))
    dy, dx = recon.pixel_size_m
    with tifffile.TiffFile(phase) as file:
        assert file.imagej_metadata["unit"] == "um"
        tags = file.pages[0].tags
        assert tags["XResolution"].value[0] / tags["XResolution"].value[1] == pytest.approx(1e-6 / dx, rel=1e-6)
        assert tags["YResolution"].value[0] / tags["YResolution"].value[1] == pytest.approx(1e-6 / dy, rel=1e-6)
        assert tags["ResolutionUnit"].value == 1  # none: the unit is in the description
    with Image.open(amplitude) as image:
        assert (image.mode, image.size) == ("F", (80, 60))


TOLD = {
    "date": "2026-11-27T12:00:00+00:00",
    "run": "night-3",
    "same_scan": True,
    "checkpoint_epoch": 5,
    "polish_epochs": 10,
    "free_misfit": 1.0913,
    "half_scans_resolution_px": 1.5,
    "verdict": {"level": "doubtful", "reasons": ["too few patterns"], "actions": []},
}


@pytest.mark.parametrize("format", ["png", "page", "tiff"])
def test_exported_pictures_carry_run_date_scores_and_the_note(tmp_path, format):
    recon = reconstruction(metrics=TOLD, sample="Ni foil, 20 µm, β", comments="dim\nat last")
    for path in export(recon, tmp_path, format):
        if path.suffix == ".png":
            with Image.open(path) as image:
                carried = "\n".join(f"{name}: {text}" for name, text in image.text.items())
        elif path.suffix == ".tif":
            with tifffile.TiffFile(path) as file:
                carried = file.imagej_metadata["Info"]
                assert file.pages[0].tags["Software"].value == f"ptycho {ptycho_core.__version__}"
        else:
            continue
        for told in (
            "Scan: Siemens star",
            "Sample: Ni foil, 20 µm, β",
            "Run: night-3",
            "Date: 2026-11-27 ",
            "Epoch: 5",
            "Polish: 10 epochs",
            "Verdict: doubtful: too few patterns",
            "Free misfit: 1.0913",
            "Resolution: 528 nm (half scans)",
            "Comment: dim\nat last",
        ):
            assert told in carried, path.name


def test_a_picture_of_another_scan_names_the_run_of_the_model_as_such():
    facts = facts_of(reconstruction(metrics={**TOLD, "same_scan": False, "half_scans_reason": "too few patterns"}))
    assert facts["Model of run"] == "night-3"
    assert "Run" not in facts
    assert caption_of(reconstruction(metrics=TOLD)).startswith("night-3, 2026-11-27 ")
    assert caption_of(reconstruction(metrics=TOLD)).endswith("free misfit 1.0913, doubtful")
    assert caption_of(reconstruction(metrics={"free_misfit": math.nan})) == ""


def test_tiffs_without_a_pixel_size_are_in_pixels(tmp_path):
    amplitude, _ = export(reconstruction(geometry=Geometry()), tmp_path, "tiff")
    with tifffile.TiffFile(amplitude) as file:
        assert file.imagej_metadata["unit"] == "pixel"
        assert file.pages[0].tags["XResolution"].value == (1, 1)


@pytest.mark.parametrize("geometry", [GEOMETRY, Geometry()])
def test_pngs_are_pictures_of_the_covered_part_and_no_figure_stays_open(tmp_path, geometry):
    files = export(reconstruction(geometry=geometry), tmp_path, "png")
    assert [path.name for path in files] == ["amplitude.png", "phase.png"]
    for path in files:
        with Image.open(path) as image:
            assert image.size[0] == 1200
            assert len(image.convert("L").getcolors(256)) > 50
    import matplotlib.pyplot

    assert matplotlib.pyplot.get_fignums() == []


def test_a_picture_of_an_object_that_no_beam_has_visited_is_still_a_picture(tmp_path):
    dark = reconstruction(coverage=np.zeros((60, 80), np.float32))
    write_png(dark, tmp_path / "a.png", tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


@pytest.mark.parametrize("turn", [0.0, 2.5, -3.1])
def test_the_displayed_phase_does_not_depend_on_the_global_phase(turn):
    recon = reconstruction()
    turned = dataclasses.replace(recon, object=recon.object * np.complex64(np.exp(1j * turn)))
    np.testing.assert_allclose(display_phase(turned), display_phase(recon), atol=1e-5)
    covered = recon.coverage > PICTURED
    assert abs(np.average(display_phase(recon)[covered], weights=recon.coverage[covered])) < 0.02


def test_the_displayed_phase_loses_its_ramp_only_when_asked(tmp_path):
    recon = reconstruction()
    ramp = np.exp(1j * (0.3 * np.arange(60)[:, None] - 0.2 * np.arange(80))).astype(np.complex64)
    tilted = dataclasses.replace(recon, object=recon.object * ramp)
    flat = display_phase(recon, remove_ramp=True)
    np.testing.assert_allclose(display_phase(tilted, remove_ramp=True), flat, atol=1e-4)
    assert np.ptp(display_phase(tilted)) > 6


def test_a_weak_phase_is_shown_over_its_own_range_and_a_strong_one_over_the_circle():
    weak = phase_style(np.linspace(-0.2, 0.4, 1001, dtype=np.float32))
    assert weak.limits == pytest.approx((-0.197, 0.397))
    assert weak.last == 0.5  # in half of the cyclic map, so that no colour stands for two values
    strong = phase_style(np.linspace(-3, 3, 1001, dtype=np.float32))
    assert (strong.limits, strong.last) == ((-np.pi, np.pi), 1.0)


@pytest.mark.parametrize(
    ("width", "pixel", "length_px", "text"),
    [
        (100, 10e-9, 20, "200 nm"),
        (512, 10e-9, 100, "1 µm"),
        (512, 7.3e-9, 1e-6 / 7.3e-9, "1 µm"),
        (1000, 1e-6, 200, "200 µm"),
        (60, 1e-11, 10, "0.1 nm"),
        (400, None, 100, "100 px"),
    ],
)
def test_the_scale_bar_is_a_round_length(width, pixel, length_px, text):
    length, label = scale_bar(width, pixel)
    assert (length, label) == (pytest.approx(length_px), text)


@pytest.mark.parametrize("format", EXPORTERS)
def test_every_format_leaves_the_old_files_when_the_disk_is_full(tmp_path, format):
    recon = reconstruction()
    files = export(recon, tmp_path, format)
    before = {path: path.read_bytes() for path in files}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(PtychoError, match=r"^cannot write .*: File too large; "):
            export(recon, tmp_path, format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in files} == before
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in files)


def test_an_unknown_format_lists_those_that_exist(tmp_path):
    with pytest.raises(InputError, match="no export format 'jpeg'; there are npz, product, cxi, tiff, png, page"):
        export(reconstruction(), tmp_path, "jpeg")


@pytest.mark.parametrize(
    ("target", "files"),
    [
        ("star.cxi", ["star.cxi"]),
        ("star.h5", ["star.h5"]),
        ("star.npz", ["star.npz"]),
        ("star.PNG", ["star_amplitude.PNG", "star_phase.PNG"]),
        ("star.tiff", ["star_amplitude.tiff", "star_phase.tiff"]),
        ("star.pdf", ["star.pdf"]),
    ],
)
def test_without_a_format_the_ending_says_which(tmp_path, target, files):
    assert export(reconstruction(), tmp_path / target) == [tmp_path / name for name in files]
    assert sorted(os.listdir(tmp_path)) == files


def test_an_ending_that_says_no_format_lists_those_that_do(tmp_path):
    with pytest.raises(InputError, match=r"star.jpeg must end in one of \.npz, \.h5, .*named: npz, product, cxi"):
        export(reconstruction(), tmp_path / "star.jpeg")


def test_a_folder_is_made_and_one_that_cannot_be_made_is_named(tmp_path):
    (path,) = export(reconstruction(), tmp_path / "a" / "b.v2", "npz")
    assert path == tmp_path / "a" / "b.v2" / "reconstruction.npz"
    with pytest.raises(PtychoError, match=r"cannot write .*reconstruction\.npz/c: Not a directory"):
        export(reconstruction(), path / "c", "npz")


@pytest.mark.parametrize("format", ["npz", "product"])
def test_a_reconstruction_that_lacks_a_key_or_is_cut_short_is_an_input_error(tmp_path, format):
    (path,) = export(reconstruction(), tmp_path, format)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=path.name):
        read_reconstruction(path)
    if format == "npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("object.npy", b"")
    else:
        with h5py.File(path, "w") as file:
            file["probe_position_x_m"] = [0.0]
    with pytest.raises(InputError, match=path.name):
        read_reconstruction(path)
