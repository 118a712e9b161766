"""The folder of reconstructions, filled by real ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ptycho_core.base.events import StopToken
from ptycho_core.engines.checkpoints import export_checkpoint
from ptycho_core.engines.reconstruct import reconstruct, write_results
from ptycho_core.runs.record import read_run
from ptycho_core.runs.results import find_results, free_misfit_of_checkpoints, set_results_aside
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers.training_runs import SCAN, Training

pytestmark = pytest.mark.usefixtures("quick_endings")


@pytest.fixture
def run(tmp_path, trained):
    folder = shutil.copytree(trained.folder, tmp_path / "out")
    return Training(folder, info=read_run(folder))


def write(run, checkpoint, scan=SCAN, **settings):
    settings = {"polish_epochs": 0, "halves": False, "final_pass": False, **settings}
    found = reconstruct(scan, checkpoint, accelerator="cpu", **settings)
    return found, write_results(found, run.folder)


def test_a_reconstruction_replaces_none_that_was_there_before(run):
    last = run.info.last_checkpoint
    assert find_results(run.folder) == []
    _, first = write(run, last)
    assert first.earlier is None
    before = {name: path.read_bytes() for name, path in first.files.items()}
    _, second = write(run, last)
    assert second.earlier == run.folder / "reconstruction/previous/version_0"
    assert {path.name: path.read_bytes() for path in second.earlier.iterdir()} == before
    _, third = write(run, last)
    assert third.earlier.name == "version_1"
    assert [result.folder for result in find_results(run.folder)] == [
        run.folder / "reconstruction",
        run.folder / "reconstruction/previous/version_1",
        run.folder / "reconstruction/previous/version_0",
    ]


def test_metrics_name_the_checkpoint_relative_to_the_run_that_holds_it(run, tmp_path):
    _, written = write(run, run.info.best_checkpoint)
    told = json.loads(written.files["metrics.json"].read_text())
    assert told["checkpoint"] == f"checkpoints/{run.info.best_checkpoint.name}"
    assert told["checkpoint_epoch"] == run.info.checkpoints[0].epoch
    bundle = export_checkpoint(run.info.best_checkpoint, tmp_path / "model.zip")
    _, written = write(run, bundle)
    told = json.loads(written.files["metrics.json"].read_text())
    assert (told["checkpoint"], told["checkpoint_epoch"]) == (str(bundle), None)


def test_free_misfit_is_found_again_by_checkpoint_after_the_run_was_moved(run, tmp_path):
    best, last = run.info.best_checkpoint, run.info.last_checkpoint
    of_best, _ = write(run, best)
    of_last, _ = write(run, last)
    moved = tmp_path / "moved"
    run.folder.rename(moved)
    assert free_misfit_of_checkpoints(read_run(moved)) == {
        moved / "checkpoints" / best.name: of_best.metrics["free_misfit"],
        moved / "checkpoints" / last.name: of_last.metrics["free_misfit"],
    }


def test_free_misfit_of_another_epoch_or_another_scan_is_not_the_checkpoints(run):
    last = run.info.last_checkpoint
    write(run, last)
    Training(run.folder).go(resume=True, max_epochs=4, checkpoint_save_top_k=2)
    assert last not in free_misfit_of_checkpoints(read_run(run.folder))
    write(run, last, simulate(SimulationSpec(size=16, n_patterns=49, step_px=2, jitter_px=0.5)).scan)
    assert free_misfit_of_checkpoints(read_run(run.folder)) == {}
    polished, _ = write(run, last, polish_epochs=20)
    assert polished.metrics["polish_epochs"] > 0
    assert free_misfit_of_checkpoints(read_run(run.folder)) == {last: polished.metrics["free_misfit"]}


def test_polishing_that_was_stopped_before_it_began_counts_as_none(run):
    token = StopToken()
    token.stop()
    found, _ = write(run, run.info.last_checkpoint, polish_epochs=5, stop=token)
    assert found.metrics["polish_epochs"] == 0


def test_a_broken_or_unfinished_reconstruction_is_not_listed_but_set_aside_all_the_same(tmp_path):
    folder = tmp_path / "reconstruction"
    folder.mkdir()
    (folder / "phase.png").write_bytes(b"half")
    assert find_results(tmp_path) == []
    aside = set_results_aside(tmp_path)
    assert (aside / "phase.png").read_bytes() == b"half"
    (folder / "metrics.json").write_text("{")
    assert find_results(tmp_path) == []
    assert set_results_aside(tmp_path) == Path(folder / "previous/version_1")
    assert set_results_aside(tmp_path) is None
