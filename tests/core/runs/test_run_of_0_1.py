"""What version 0.1 left on disk still works: a folder of its runs, kept in tests/data as it wrote them.

`network` is a run on ``scan.npz`` with a reconstruction, a bundle and a CXI; `direct` one on ``frames.h5`` with
positions in ``stage.csv``, a mapping, an answer and two steps. Each has done two epochs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptycho_core.cli import main
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.formats.writers.exports import read_reconstruction
from ptycho_core.runs.curves import positions
from ptycho_core.runs.history import RunHistory
from ptycho_core.runs.record import read_metrics, read_run
from ptycho_core.runs.results import find_results, free_misfit_of_checkpoints

KEPT = Path(__file__).parents[2] / "data" / "run_of_0_1"
NAMES = ["network", "direct"]
BEST = {
    "network": "checkpoints/epoch=01-poisson_val_loss=1.3139.ckpt",
    "direct": "checkpoints/epoch=01-poisson_val_loss=1.1647.ckpt",
}


@pytest.fixture
def folder(tmp_path):
    """A copy; its records name the scans where they are now, as they would had nothing moved."""
    copy = tmp_path / "beamtime"
    shutil.copytree(KEPT, copy)
    for name in NAMES:
        record = copy / name / "run.json"
        record.write_text(record.read_text().replace("/tmp/beamtime/", f"{copy}/"))
    return copy


def printed(capsys, *words):
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def alike(fresh, kept):
    scale = abs(kept.object).max()
    np.testing.assert_allclose(fresh.object, kept.object, atol=1e-3 * scale)
    np.testing.assert_allclose(fresh.probe, kept.probe, atol=1e-3 * abs(kept.probe).max())
    np.testing.assert_array_equal(fresh.positions_px, kept.positions_px)
    np.testing.assert_array_equal(fresh.pattern_index, kept.pattern_index)


def test_its_runs_are_listed(folder, capsys):
    rows = {Path(row["folder"]).name: row for row in printed(capsys, "runs", folder)}
    assert rows.keys() == set(NAMES)
    assert {row["status"] for row in rows.values()} == {"finished"}
    assert [rows[name]["best"] for name in NAMES] == [pytest.approx(1.3139, abs=1e-4), pytest.approx(1.1647, abs=1e-4)]
    assert Path(rows["direct"]["scan"]) == folder / "frames.h5"


@pytest.mark.parametrize("name", NAMES)
def test_its_run_opens_with_settings_curves_checkpoints_and_reconstruction(name, folder):
    run = read_run(folder / name)
    assert (run.config.engine, run.config.max_epochs) == ("pinn" if name == "network" else "direct", 2)
    assert {Path(saved.path).relative_to(folder / name).as_posix() for saved in run.checkpoints} == {
        BEST[name],
        "checkpoints/last.ckpt",
    }
    losses = read_metrics(folder / name)["poisson_val_loss"]
    assert np.count_nonzero(np.isfinite(losses)) == 2
    assert np.nanmin(losses) == pytest.approx(run.best_value)
    (result,) = find_results(folder / name)
    assert result.metrics["checkpoint"] == BEST[name]


@pytest.mark.parametrize("name", NAMES)
def test_its_epochs_have_the_numbers_of_its_files(name, folder):
    run = read_run(folder / name)
    history = RunHistory.from_run(run, read_metrics(folder / name))
    assert (history.best.epoch, history.name_of(folder / name / BEST[name])) == (1, "Epoch 1")
    assert load_checkpoint(folder / name / BEST[name]).epoch == 1
    ends = positions(history, history.epochs, "epoch")
    np.testing.assert_array_equal(ends, history.epochs["epoch"])


@pytest.mark.parametrize("name", NAMES)
def test_its_r_is_not_taken_for_a_misfit(name, folder, capsys):
    run = read_run(folder / name)
    assert free_misfit_of_checkpoints(run) == {}
    printed(capsys, "reconstruct", folder / name)
    assert free_misfit_of_checkpoints(run).keys() == {folder / name / BEST[name]}


@pytest.mark.parametrize("name", NAMES)
def test_its_run_is_resumed(name, folder, capsys):
    told = printed(capsys, "train", "--resume", folder / name, "--max_epochs", "4")
    assert (told["status"], told["epochs"]) == ("finished", 4)
    epochs = read_metrics(folder / name)["epoch"]
    assert sorted(set(epochs)) == [0, 1, 3, 4]  # from 1 on; it had counted from 0


def test_its_run_is_resumed_where_the_scan_has_moved(tmp_path, capsys):
    shutil.copytree(KEPT / "network", tmp_path / "network")
    moved = shutil.copy(KEPT / "scan.npz", tmp_path / "moved.npz")
    told = printed(capsys, "train", "--resume", tmp_path / "network", "--train-data-file", moved, "--max_epochs", "3")
    assert (told["status"], told["epochs"]) == ("finished", 3)


def reconstructed(folder, capsys, name, *more):
    printed(capsys, "reconstruct", folder / name, "--polish", "0", "--no-halves", "--no-final-pass", *more)
    return read_reconstruction(folder / name / "reconstruction" / "reconstruction.npz")


def test_the_checkpoint_of_its_direct_engine_reconstructs_as_it_did(folder, capsys):
    fresh = reconstructed(folder, capsys, "direct")
    alike(fresh, read_reconstruction(KEPT / "direct" / "reconstruction" / "reconstruction.npz"))
    assert fresh.metrics["same_scan"] is True
    earlier = folder / "direct" / "reconstruction" / "previous" / "version_0"
    assert {path.name for path in earlier.iterdir()} == {
        path.name for path in (KEPT / "direct" / "reconstruction").iterdir()
    }


def test_the_probe_of_its_network_reconstructs_and_it_is_said_that_the_network_does_not(folder, capsys, caplog):
    """Nothing runs the networks of version 0.1 any more: the solver's first epochs make the better picture."""
    fresh, kept = (
        reconstructed(folder, capsys, "network"),
        read_reconstruction(KEPT / "network" / "reconstruction" / "reconstruction.npz"),
    )
    assert "one of version 0.1" in caplog.text
    np.testing.assert_allclose(fresh.probe, kept.probe, atol=1e-3 * abs(kept.probe).max())
    np.testing.assert_array_equal(fresh.positions_px, kept.positions_px)
    assert fresh.object.shape == kept.object.shape
    assert fresh.metrics["same_scan"] is True


def test_its_bundle_reconstructs_elsewhere(folder, tmp_path, capsys):
    scan, model = folder / "scan.npz", folder / "network" / "model.zip"
    printed(
        capsys,
        "reconstruct",
        tmp_path / "new",
        "--checkpoint",
        model,
        "--scan",
        scan,
        "--polish",
        "0",
        "--no-final-pass",
    )
    fresh = read_reconstruction(tmp_path / "new" / "reconstruction" / "reconstruction.npz")
    same = reconstructed(folder, capsys, "network")
    np.testing.assert_allclose(fresh.object, same.object, atol=1e-3 * abs(same.object).max())


@pytest.mark.parametrize("name", NAMES)
def test_its_exported_files_are_read(name, folder):
    results = folder / name / "reconstruction"
    kept, product = (read_reconstruction(results / file) for file in ("reconstruction.npz", "product.h5"))
    assert kept.config["engine"] == ("pinn" if name == "network" else "direct")
    np.testing.assert_array_equal(product.object, kept.object)
    np.testing.assert_allclose(product.positions_px, kept.positions_px)


def test_its_reconstruction_is_exported_to_the_same_cxi(folder, tmp_path, capsys):
    printed(capsys, "export", folder / "network", tmp_path / "star.cxi", "--format", "cxi")
    with h5py.File(tmp_path / "star.cxi") as fresh, h5py.File(KEPT / "network" / "star.cxi") as kept:
        for key in ("entry_1/image_1/data", "entry_1/image_2/data"):
            np.testing.assert_array_equal(fresh[key][()], kept[key][()])
