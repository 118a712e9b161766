"""A preprocessed scan still gives the same object, at the right pixel size and place; and its orientation is found."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from ptycho_core import cli
from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan
from ptycho_core.preprocessing import preprocess
from ptycho_core.preprocessing.detector import Turn
from ptycho_core.runs.record import read_run
from ptycho_core.scan.orientation import ORIENTATIONS, inverse
from ptycho_core.scan.steps import Bin, Centre, Crop, Orient, OrientPositions, Pad
from ptycho_core.simulation import SimulationSpec
from ptycho_core.simulation.files import write_simulation
from tests.helpers.fits import PLAIN, above, below, simulated
from tests.helpers.scores import compare_to_truth

pytestmark = pytest.mark.xdist_group("one plain fit")

SPEC = SimulationSpec(
    size=64,
    n_patterns=49,
    step_px=5.0,
    jitter_px=1.0,
    aperture=0.35,
    defocus_m=1.2e-3,
    guess_defocus_error_m=-0.2e-3,
    counts_per_pixel=100,
)
DIRECT = PLAIN.replace(engine="direct", max_epochs=10, batch_size=4, val_fraction=0, early_stop_patience=0)


@pytest.fixture(scope="module")
def sim():
    return simulated(SPEC)


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    from ptycho_core.engines.reconstruct import reconstruct
    from ptycho_core.engines.training import train

    def fit(scan):
        run = train(DIRECT, scan, tmp_path_factory.mktemp("run"))
        return reconstruct(scan, run.last_checkpoint, accelerator="cpu", halves=False, final_pass=False)

    return fit


def half_as_fine(image):
    """Return an image on every other pixel, by cropping its spectrum; pixel (0, 0) stays where it is."""
    height, width = (side // 4 * 4 for side in image.shape)
    spectrum = np.fft.fftshift(np.fft.fft2(image[:height, :width]))
    inner = spectrum[height // 4 : -height // 4, width // 4 : -width // 4]
    return np.fft.ifft2(np.fft.ifftshift(inner)) / 4


def compared(recon, image, positions):
    return compare_to_truth(recon.object, image, recon.positions_px, positions[recon.pattern_index], recon.coverage)


@pytest.fixture(scope="module")
def plain(sim, fit):
    return fit(sim.scan)


def truth_of(name, truth):
    image, positions = truth.object, truth.positions_px
    if name == "crop":
        return half_as_fine(image), positions / 2
    if name == "turn":  # (row, column) = +x-y
        turned = np.flip(image.T, axis=1)
        return turned, np.stack([positions[:, 1], image.shape[0] - 1 - positions[:, 0]], axis=1)
    return image, positions


STEPS = {  # steps, by how much larger object pixels become, least phase PSNR in dB
    "crop": ([Crop(32)], 2.0, 15.0),
    "bin": ([Bin(2)], 1.0, 20.0),  # cuts 4 % of the probe's light away
    "turn": ([Orient("+x-y"), OrientPositions("+x-y")], 1.0, 25.0),
    "off-centre": ([Centre("given", 29, 36)], 1.0, 25.0),
}
FEWER_PIXELS = ("crop", "bin")
"""More counts in each pixel, so that what light is lost or mixed weighs more: misfits cannot be compared."""


@pytest.mark.fit
@pytest.mark.parametrize("name", STEPS)
def test_a_preprocessed_scan_gives_the_same_object_at_the_right_place_and_pixel_size(name, sim, fit, plain):
    steps, zoom, least_db = STEPS[name]
    recon = fit(preprocess(sim.scan, steps))
    after = compared(recon, *truth_of(name, sim.truth))
    assert recon.pixel_size_m == pytest.approx(tuple(zoom * side for side in plain.pixel_size_m))
    if name not in FEWER_PIXELS:
        below(recon.metrics["misfit"], 1.15 * plain.metrics["misfit"])
    above(after["phase_psnr"], least_db)
    below(abs(after["shift_y_px"]), 0.3)
    below(abs(after["shift_x_px"]), 0.3)


@pytest.mark.fit
def test_a_padded_scan_is_explained_as_well_with_smaller_pixels(sim, fit, plain):
    recon = fit(preprocess(sim.scan, [Pad(80)]))
    below(recon.metrics["misfit"], 1.15 * plain.metrics["misfit"])
    assert recon.pixel_size_m == pytest.approx(tuple(0.8 * side for side in plain.pixel_size_m))


def search(scan, **options):
    from ptycho_core.engines.orientation_search import search_orientation

    return [trial.orientation for trial in search_orientation(scan, accelerator="cpu", **options)]


@pytest.mark.parametrize("word", ["-y+x", "-x+y"])
def test_the_orientation_of_the_real_scan_is_found_however_it_was_turned(real_scan_path, word):
    scan = preprocess(read_scan(real_scan_path), [Orient(word)])
    found = search(scan, patterns=80, epochs=4)
    assert found[0] == inverse(word)
    assert len(set(found)) == 8


def test_the_search_tells_each_trial_with_its_object_when_it_is_done(sim):
    heard = []
    search(sim.scan, patterns=12, epochs=1, tried=lambda trial, object: heard.append((trial, object)))
    assert [trial.orientation for trial, _ in heard] == list(ORIENTATIONS)
    assert all(object.ndim == 2 and np.iscomplexobj(object) for _, object in heard)


def test_too_small_a_scan_or_no_epochs_are_refused(sim):
    with pytest.raises(InputError, match="patterns must be 10 or more"):
        search(sim.scan, patterns=9)
    with pytest.raises(InputError, match="epochs must be 1 or more"):
        search(sim.scan, epochs=0)


def test_the_command_names_the_flag_that_puts_a_simulation_right_whose_probe_was_not_turned(tmp_path, sim, capsys):
    turned = sim.scan.replace(patterns=sim.scan.patterns.then(Turn("+x-y")))
    path, _ = write_simulation(dataclasses.replace(sim, scan=turned), tmp_path / "scan.npz")
    assert cli.main(["orient", str(path), "--crop=32", "--epochs=8", "--accelerator=cpu", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)[0]["orientation"] == inverse("+x-y")
    assert "add --orient -x+y" in shown.err


def test_a_run_trains_resumes_and_reconstructs_with_the_steps_that_it_recorded(tmp_path, sim, monkeypatch):
    path, _ = write_simulation(sim, tmp_path / "scan.npz")
    monkeypatch.chdir(tmp_path)
    flags = "--crop 32 --engine direct --max-epochs 1 --quiet --accelerator cpu --batch-size 16"
    assert cli.main(["train", "--train_data_file", str(path), "--output_dir", "out", *flags.split()]) == 0
    assert read_run(tmp_path / "out").scan.preprocessing["steps"] == [{"step": "crop", "size": 32}]
    assert cli.main(["train", "--resume", "out", "--max-epochs", "2", "--quiet"]) == 0
    assert cli.main(["reconstruct", "out", "--quiet", "--no-halves"]) == 0
    with np.load("out/reconstruction/reconstruction.npz") as file:
        assert file["probe"].shape[-1] == 32
        assert "cropped the patterns from 64 to 32 pixels" in str(file["metadata"])
