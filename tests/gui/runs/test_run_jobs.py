"""Jobs on runs, checkpoints and reconstructions, called as a worker calls them."""

from __future__ import annotations

import dataclasses
import os
import shutil

import numpy as np
import pytest
import torch

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import Cancelled, StageChanged, StopToken
from ptycho_core.engines.checkpoints import load_checkpoint
from ptycho_core.formats import read_scan
from ptycho_core.formats.writers.exports import EXPORTERS, export, read_reconstruction, write_scan
from ptycho_core.runs.record import read_run
from ptycho_core.simulation import simulate
from ptycho_gui.kit.threads.torch_threads import leave_one_core_to_the_window
from ptycho_gui.kit.threads.worker import Progress, Worker
from ptycho_gui.result.jobs.export import export_checkpoint_job, export_reconstruction_job
from ptycho_gui.result.jobs.reconstruct import Reconstructed, Wanted, compare_job, reconstruct_job
from ptycho_gui.runs.jobs.runs import list_runs, open_run, remove_checkpoint_job, trash_run
from ptycho_gui.train.jobs.train import resume_job
from tests.helpers import specs
from tests.helpers.training_runs import SCAN, Training

pytestmark = pytest.mark.usefixtures("quick_endings")


@pytest.fixture
def folder(tmp_path, trained):
    """A copy of a run that is over."""
    return shutil.copytree(trained.folder, tmp_path / "out")


def do(job, token=None, emit=lambda event: None):
    return job(emit, token or StopToken())


def reconstruct_best(folder, **settings):
    told = []
    wanted = [Wanted(lambda: SCAN, folder)]
    do(reconstruct_job(wanted, read_run(folder).best_checkpoint, accelerator="cpu", **settings), emit=told.append)
    (made,) = (event for event in told if isinstance(event, Reconstructed))
    return made


def test_a_run_is_rebuilt_from_its_directory(folder):
    made = reconstruct_best(folder)
    opened = do(open_run(folder))
    assert opened.info == read_run(folder)
    assert set(opened.columns["epoch"]) == {1, 2, 3}
    assert np.array_equal(opened.reconstruction.object, made.reconstruction.object)
    assert opened.free_misfit == {made.checkpoint: made.free_misfit}
    assert opened.problem == ""


def test_a_run_that_was_not_reconstructed_opens_without_one(folder):
    opened = do(open_run(folder))
    assert opened.reconstruction is None
    assert opened.free_misfit == {}


def test_a_damaged_reconstruction_does_not_keep_a_run_from_opening(folder):
    reconstruct_best(folder)
    (folder / "reconstruction/reconstruction.npz").write_bytes(b"PK damaged")
    opened = do(open_run(folder))
    assert opened.reconstruction is None
    assert "reconstruction.npz" in opened.problem


def test_a_listed_run_has_its_picture_and_free_misfit(folder):
    (before,) = do(list_runs(folder.parent)).runs
    assert (before.picture, before.free_misfit) == (None, None)
    made = reconstruct_best(folder)
    export(made.reconstruction, folder / "reconstruction", "png")
    (listed,) = do(list_runs(folder.parent)).runs
    assert listed.free_misfit == made.reconstruction.metrics["free_misfit"]
    assert max(listed.picture.width(), listed.picture.height()) == 320


def test_listing_ends_when_it_is_cancelled(folder):
    token = StopToken()
    token.cancel()
    with pytest.raises(Cancelled):
        do(list_runs(folder.parent), token)


def test_reconstructing_tells_its_stages_and_writes_the_results(folder):
    told = []
    wanted = [Wanted(lambda: SCAN, folder)]
    do(reconstruct_job(wanted, read_run(folder).last_checkpoint, polish_epochs=1, accelerator="cpu"), emit=told.append)
    (made,) = (event for event in told if isinstance(event, Reconstructed))
    stages = [event.stage for event in told if isinstance(event, Progress | StageChanged)]
    assert stages[0] == "reading the scan"
    assert "polishing" in stages
    assert stages[-1] == "writing the results"
    assert made.files["product.h5"] == folder / "reconstruction/product.h5"
    assert made.earlier is None
    assert reconstruct_best(folder).earlier == folder / "reconstruction/previous/version_0"


def test_a_cancelled_reconstruction_writes_nothing_and_leaves_the_one_before(folder):
    made = reconstruct_best(folder)
    before = made.files["metrics.json"].read_bytes()
    token = StopToken()

    def cancel(event):
        if isinstance(event, StageChanged) and event.stage == "reconstructing":
            token.cancel()

    with pytest.raises(Cancelled):
        do(reconstruct_job([Wanted(lambda: SCAN, folder)], made.checkpoint, accelerator="cpu"), token, cancel)
    assert made.files["metrics.json"].read_bytes() == before
    assert not (folder / "reconstruction/previous").exists()


def test_a_scan_that_has_gone_is_said_in_a_sentence(folder, qtbot):
    def gone():
        raise InputError("cannot read /data/scan.npz: No such file or directory")

    worker = Worker(reconstruct_job([Wanted(gone, folder)], folder / "checkpoints/last.ckpt"))
    with qtbot.waitSignal(worker.failed) as told:
        worker.start()
    worker.wait()
    assert told.args[0].sentence == "cannot read /data/scan.npz: No such file or directory"


def test_two_checkpoints_are_compared_without_a_trace_on_the_disk(folder):
    info = read_run(folder)
    named = (("best", info.best_checkpoint), ("last", info.last_checkpoint))
    one, other = do(compare_job(lambda: SCAN, named, "cpu"))
    assert (one[0], other[0]) == ("best", "last")
    assert one[1].object.shape == other[1].object.shape
    assert not (folder / "reconstruction").exists()


def test_a_reconstruction_is_exported_in_all_formats_at_once(folder, tmp_path):
    found = reconstruct_best(folder).reconstruction
    files = do(export_reconstruction_job(found, tmp_path, tmp_path / "new/export", list(EXPORTERS)))
    assert {path.name for path in files} == {name for exporter in EXPORTERS.values() for name in exporter.files}
    assert all(path.stat().st_size for path in files)
    assert np.array_equal(read_reconstruction(tmp_path / "new/export/reconstruction.npz").object, found.object)


@pytest.mark.parametrize("name", ["model.zip", "model.ckpt"])
def test_an_exported_checkpoint_reads_back(folder, tmp_path, name):
    target = do(export_checkpoint_job(folder / "checkpoints/last.ckpt", tmp_path / name))
    assert load_checkpoint(target).config == read_run(folder).config


def test_an_export_that_cannot_be_written_is_said_in_a_sentence(folder, tmp_path):
    with pytest.raises(PtychoError, match=r"cannot write .*/gone/model\.zip: the folder .* does not exist"):
        do(export_checkpoint_job(folder / "checkpoints/last.ckpt", tmp_path / "gone/model.zip"))


def test_a_deleted_checkpoint_is_in_the_table_no_more(folder):
    best = read_run(folder).best_checkpoint
    info = do(remove_checkpoint_job(best))
    assert info == read_run(folder)
    assert best not in [saved.path for saved in info.checkpoints]
    assert not best.exists()


def test_what_else_is_in_a_runs_folder_does_not_go_to_the_trash(folder, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (folder / "notes.txt").write_text("mine")
    assert do(trash_run(folder)) == folder
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "run.json").exists()
    assert (tmp_path / "data/Trash/files/version_0/run.json").is_file()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are counted in another way")
def test_torch_leaves_a_core_to_the_window_and_takes_no_more_than_it_was_given(monkeypatch):
    before = torch.get_num_threads()
    try:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)))
        for had, has in ((8, 3), (2, 2), (1, 1)):
            torch.set_num_threads(had)
            leave_one_core_to_the_window()
            assert torch.get_num_threads() == has
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
        leave_one_core_to_the_window()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_run_on_several_scans_opens_and_goes_on_and_names_a_scan_that_is_gone(tmp_path):
    files = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for seed, path in enumerate(files):
        write_scan(simulate(dataclasses.replace(specs.SMALL, seed=seed)).scan, path)
    first, second = map(read_scan, files)
    folder = tmp_path / "out"
    Training(folder).go(scan=first, further_scans=[second], max_epochs=1)
    opened = do(open_run(folder))
    assert opened.info.scan_names == ["one.npz", "two.npz"]
    assert do(resume_job(folder, {"max_epochs": 2})).epochs_done == 2
    files[1].rename(tmp_path / "elsewhere.npz")
    with pytest.raises(InputError, match=r"two\.npz"):
        do(resume_job(folder, {"max_epochs": 3}))
