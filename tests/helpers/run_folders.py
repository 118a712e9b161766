"""Folders of runs that nobody has trained: their records say what the events of a run would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ptycho_core.base.codec import decode, encode
from ptycho_core.base.config import Config
from ptycho_core.base.events import CheckpointSaved, EpochDone, RunFinished, Status
from ptycho_core.runs.recorded_scan import RecordedScan
from ptycho_core.runs.run import Run, start_run

SCAN = RecordedScan(
    path=Path("/data/scan.npz"),
    size=12,
    sha256="ab" * 32,
    positions=None,
    settings={},
    format="plain-npz",
    preprocessing={"version": 1, "steps": []},
    shape=(36, 16, 16),
    history=("read scan.npz",),
)
COMMAND = "ptycho train --train_data_file /data/scan.npz --output_dir out"


def through_json(scan: RecordedScan) -> RecordedScan:
    """What is read of run.json, where a scan was written into it."""
    return decode(RecordedScan, json.loads(json.dumps(encode(scan))), "the run's record")


def start(folder: Path, **config: Any) -> Run:
    """A run that has begun in a folder."""
    return start_run(folder, config=Config(**config), scan=SCAN, command=COMMAND)


def saved(
    folder: Path, name: str, epoch: int, value: float | None, rank: int = 1, mode: str = "min"
) -> CheckpointSaved:
    """A checkpoint's file, and the event that tells of it."""
    path = folder / "checkpoints" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"weights of " + name.encode())
    return CheckpointSaved(str(path), epoch, epoch * 10, "poisson_val_loss", value, rank, mode)


def finish(run: Run, best: str | None = None) -> None:
    """Tell the run that all its epochs are done."""
    run.record(RunFinished(str(run.info.folder), Status.FINISHED, "all epochs done", best, {"poisson_val_loss": 0.5}))


def finished_run(folder: Path, **config: Any) -> Run:
    """A run that is over, with a row of metrics, its last checkpoint and a reconstruction."""
    run = start(folder, **config)
    run.info.logs.mkdir(parents=True)
    (run.info.logs / "metrics.csv").write_text(f"epoch,step\n{run.info.log_version},0\n")
    run.record(saved(folder, "last.ckpt", 2, None, rank=0))
    run.record(EpochDone(2, 20, {}, 1.0))
    (folder / "reconstruction").mkdir()
    (folder / "reconstruction" / "metrics.json").write_text(str(run.info.log_version))
    finish(run)
    return run


def edit_record(folder: Path, **changes: Any) -> None:
    """Write other values into the record of a run."""
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
