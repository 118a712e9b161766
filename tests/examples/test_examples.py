"""The scripts in examples/ do what they say."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pytest

from ptycho_core import find_runs, formats, read_reconstruction, read_run, read_scan
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers import scan_files as files

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = {"max_epochs": 2, "batch_size": 4, "accelerator": "cpu", "quiet": True, "probe_search": False}
NETWORK = {**QUICK, "model_width": 2, "warm_start_epochs": 0, "n_groups": 12}


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two scans of 36 patterns of 16 x 16 pixels, with the same beam."""
    folder = tmp_path_factory.mktemp("scans")
    specs = [SimulationSpec(size=16, n_patterns=36, step_px=2, jitter_px=0.5, seed=seed) for seed in (1, 2)]
    return [write_simulation(simulate(spec), folder / f"scan{n}.npz")[0] for n, spec in enumerate(specs)]


def test_every_example_is_tested():
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'example("{path.stem}")' not in tested] == []


def test_a_scan_is_reconstructed(scans, tmp_path, capsys):
    example("reconstruct_a_scan").main(str(scans[0]), str(tmp_path / "out"), **QUICK)
    assert "free misfit " in capsys.readouterr().out
    assert read_run(tmp_path / "out").config.engine == "direct"
    with h5py.File(tmp_path / "out" / "picture.cxi") as file:
        assert file["entry_1/image_1/data"].shape[0] >= 16
    assert (tmp_path / "out" / "picture_phase.png").is_file()


def test_a_network_is_trained_and_applied_to_a_second_scan(scans, tmp_path):
    example("train_and_apply").main(*map(str, scans), str(tmp_path / "out"), **NETWORK)
    picture = read_reconstruction(tmp_path / "out" / "second.h5")
    assert picture.object.shape[0] >= 16
    assert (tmp_path / "out" / "model.zip").is_file()


@pytest.mark.parametrize(("target", "status", "epochs"), [("1e9", "stopped", 1), ("0", "finished", 2)])
def test_a_callback_ends_the_run_at_its_target(scans, tmp_path, capsys, target, status, epochs):
    example("lightning_callback").main(str(scans[0]), str(tmp_path / "out"), target, **NETWORK)
    assert f"{status} after {epochs} epoch" in capsys.readouterr().out


def test_a_reader_of_a_beamline_is_registered_and_reads_its_files(tmp_path, monkeypatch):
    module = example("beamline_reader")
    info = tmp_path / "our_beamline-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-beamline\nVersion: 1.0\n")
    lines = [line.strip() for line in module.__doc__.splitlines()]
    registered = lines[lines.index('[project.entry-points."ptycho.readers"]') + 1].replace('"', "")
    (info / "entry_points.txt").write_text(f"[ptycho.readers]\n{registered}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    formats.installed_readers.cache_clear()

    path = tmp_path / "scan.h5"
    pixel_um = 1e6 * files.PIXEL_M
    with h5py.File(path, "w") as file:
        file["exchange/frames"] = files.counts()
        file["stage/y"], file["stage/x"] = (files.positions() * pixel_um).T * [[1], [-1]]
        file["beam/energy"], file["detector/distance"] = files.ENERGY_EV / 1000, files.DISTANCE_M
    scan = read_scan(path)
    formats.installed_readers.cache_clear()
    assert "our-beamline is a reader of the package our-beamline" in scan.history
    np.testing.assert_allclose(scan.positions, files.positions(), atol=1e-6)
    np.testing.assert_array_equal(scan.patterns[:], files.counts())


def test_events_are_drawn_while_a_scan_trains(tmp_path, monkeypatch, capsys):
    matplotlib.use("Agg")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    notebook = example("live_plot")
    # The direct engine may end before the last epoch, where validation asks for no stronger prior.
    assert sorted(notebook.losses)[:7] == list(range(1, 8))
    assert notebook.picture.images
    assert notebook.losses[max(notebook.losses)] < notebook.losses[1]
    (run,) = find_runs(tmp_path)
    assert run.status == "finished"
    notebook.plt.close(notebook.figure)


def test_a_fit_on_one_screen_comes_down_to_photon_noise(scans):
    simple = example("simple_ptycho")
    scan = read_scan(scans[0])
    object, probe, losses = simple.fit(scan)
    assert object.shape[0] > scan.size
    assert probe.shape == scan.probe.shape
    assert losses[-1] < losses[0] / 2
    assert losses[-1] < 1
    assert len(Path(simple.__file__).read_text(encoding="utf-8").splitlines()) < 70


def test_an_example_runs_from_the_command_line(scans, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["simple_ptycho.py", str(scans[0])])
    runpy.run_path(str(EXAMPLES / "simple_ptycho.py"), run_name="__main__")
    assert (tmp_path / "simple_ptycho.npz").is_file()
