"""The free space on the disk: estimated before a run, told in a sentence when it ends too soon."""

from __future__ import annotations

import contextlib
import resource
import sys

import pytest

from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.cli import main
from ptycho_core.engines.training import train
from ptycho_core.inspection.disk import check_disk, checkpoint_bytes, disk_of
from ptycho_core.simulation import SimulationSpec, simulate
from tests.helpers.training_runs import SCAN, SMALL


@pytest.mark.parametrize("engine", ["pinn", "direct"])
def test_the_estimate_is_near_what_a_run_writes(tmp_path, engine):
    settings = Config(**{**SMALL, "engine": engine, "checkpoint_save_top_k": 2, "model_width": 8})
    train(settings, SCAN, tmp_path / "run")
    last = (tmp_path / "run/checkpoints/last.ckpt").stat().st_size
    assert 0.5 * last < checkpoint_bytes(settings, SCAN) < 2.5 * last
    written = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert written < disk_of(settings, SCAN) < 6 * written


def test_more_checkpoints_and_a_larger_object_take_more():
    wide = simulate(SimulationSpec(size=24, n_patterns=49, step_px=9.0)).scan
    few, many = Config(engine="direct"), Config(engine="direct", checkpoint_save_top_k=-1)
    assert disk_of(few, SCAN) < disk_of(many, SCAN)
    assert disk_of(few, SCAN) < disk_of(few, wide)


def test_too_little_room_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    (problem,) = check_disk(Config(), SCAN, tmp_path, free=2**10)
    assert problem.severity == "error"
    assert "are free: make room, choose another folder, or set a smaller checkpoint_save_top_k" in problem.message
    monkeypatch.setattr("ptycho_core.inspection.disk.free_bytes", lambda folder: 2**10)
    with pytest.raises(InputError, match="the run will write about"):
        train(Config(**SMALL), SCAN, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@contextlib.contextmanager
def files_of_at_most(size):
    """No file of this process grows beyond this many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="limits are those of Linux")
def test_a_checkpoint_that_cannot_be_written_is_told_in_a_sentence(here, capfd):
    words = "train --train_data_file scan.npz --output_dir run --engine direct --quiet --max_epochs 2"
    with files_of_at_most(2**14):
        assert main([*words.split(), "--no-probe-search", "--accelerator", "cpu"]) == 3
    told = capfd.readouterr().err
    assert "enforce fail" not in told
    assert ".ckpt: File too large; the system allows no file so large" in told
