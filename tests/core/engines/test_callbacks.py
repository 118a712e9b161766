"""What the callbacks do that a whole run does not show."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ptycho_core.base.events import CheckpointRemoved, CheckpointSaved, PreviewReady
from ptycho_core.engines import callbacks
from ptycho_core.engines.callbacks import BestCheckpoints, Report


class Clock:
    """Time that passes only when something takes some."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def shown(monkeypatch, batches, batch_seconds, preview_seconds, takes):
    clock = Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    events = []

    def picture(epoch, step):
        clock.now += takes
        return PreviewReady(epoch, step, np.zeros((4, 4), np.complex64), np.zeros((2, 2), np.complex64))

    report = Report(events.append, [picture], preview_seconds)
    trainer = SimpleNamespace(
        current_epoch=0, global_step=1, callback_metrics={}, state=SimpleNamespace(finished=False)
    )
    for _ in range(batches):
        clock.now += batch_seconds
        report.on_train_batch_end(trainer, None, None, None, 0)
    return sum(isinstance(event, PreviewReady) for event in events), clock.now


def test_pictures_come_no_more_often_than_asked_for(monkeypatch):
    count, seconds = shown(monkeypatch, batches=1000, batch_seconds=0.1, preview_seconds=5, takes=0.01)
    assert seconds / 5 - 2 <= count <= seconds / 5 + 1


def test_pictures_that_take_long_come_less_often(monkeypatch):
    takes = 3.0
    count, seconds = shown(monkeypatch, batches=1000, batch_seconds=0.1, preview_seconds=0.1, takes=takes)
    assert count >= 2
    assert (count - 1) * takes <= callbacks.LARGEST_SHARE_OF_PREVIEWS * seconds


class Saver:
    """As much of a Trainer as saving takes."""

    current_epoch = global_step = 0
    is_global_zero = True
    state = SimpleNamespace(finished=False)
    strategy = SimpleNamespace(broadcast=lambda decision: decision)

    def save_checkpoint(self, path):
        path.touch()


@pytest.fixture
def keep(tmp_path):
    """Keep the best k of a sequence of values; returns the epochs on the disk, and the events."""

    def run(values, k, mode="min"):
        events = []
        best = BestCheckpoints(tmp_path, "loss", mode, k, events.append)
        for epoch, value in enumerate(values):
            trainer = Saver()
            trainer.current_epoch, trainer.callback_metrics = epoch, {"loss": value}
            best.on_train_epoch_end(trainer, None)
        return sorted(int(path.name[6:8]) for path in tmp_path.iterdir()), events

    return run


@pytest.mark.parametrize(
    ("values", "k", "mode", "kept"),
    [
        ([5, 4, 3, 2], 2, "min", [3, 4]),
        ([5, 4, 3, 2], 2, "max", [1, 2]),
        ([2, 3, 1, 3], 2, "min", [1, 3]),
        ([2, 2, 2], 1, "min", [1]),
        ([float("nan"), 3, float("inf"), 4], 3, "min", [2, 4]),
        ([float("nan"), -3, float("inf"), 4], 1, "max", [4]),
        ([3, 2, float("nan")], -1, "min", [1, 2]),
    ],
)
def test_the_best_finite_ones_are_kept_the_earlier_where_equal(keep, values, k, mode, kept):
    assert keep(values, k, mode)[0] == kept


def test_every_change_of_the_files_is_told_with_its_rank(keep):
    _, events = keep([3, 1, 2], 2)
    told = [(type(event), event.path[-18:], getattr(event, "rank", None)) for event in events]
    assert told == [
        (CheckpointSaved, "1-loss=3.0000.ckpt", 1),
        (CheckpointSaved, "2-loss=1.0000.ckpt", 1),
        (CheckpointSaved, "3-loss=2.0000.ckpt", 2),
        (CheckpointRemoved, "1-loss=3.0000.ckpt", None),
    ]
