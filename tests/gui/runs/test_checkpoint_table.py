"""The table of checkpoints, from a real run's events and from its directory."""

from __future__ import annotations

import dataclasses
import math

import pytest
from PySide6.QtCore import Qt

from ptycho_core.base.events import CheckpointRemoved, CheckpointSaved
from ptycho_core.runs.record import read_run
from ptycho_gui.runs.checkpoint_table import EPOCH, FREE_MISFIT, RANK, SIZE, TIME, VALUE, CheckpointTable


def texts(table):
    return [[table.index(row, column).data() for column in range(TIME + 1)] for row in range(table.rowCount())]


def saved(name, epoch, value, rank=1, mode="min"):
    return CheckpointSaved(f"/runs/out/checkpoints/{name}.ckpt", epoch, epoch, "poisson_val_loss", value, rank, mode)


def test_events_and_the_directory_give_the_same_table(trained):
    heard, read = CheckpointTable(), CheckpointTable()
    for event in trained.events:
        heard.hear(event)
    read.show_run(read_run(trained.folder))
    assert texts(heard) == texts(read)
    assert heard.rowCount() == 3
    assert heard.headerData(VALUE, Qt.Orientation.Horizontal) == "Poisson val loss"


def test_a_row_tells_rank_epoch_loss_size_and_time(trained):
    table = CheckpointTable()
    table.show_run(trained.info)
    best, last = trained.info.checkpoints[0], trained.info.checkpoints[-1]
    first, *_, end = texts(table)
    assert first[RANK] == "1  best"
    assert first[EPOCH] == str(best.epoch)
    assert first[VALUE] == f"{best.value:.4f}"
    assert first[SIZE].endswith("KiB")
    assert first[TIME].startswith("20")
    assert (end[RANK], end[EPOCH], end[VALUE]) == ("last", str(last.epoch), "–")


def test_the_model_is_a_sound_qt_model_while_checkpoints_come_and_go(qtmodeltester):
    table = CheckpointTable()
    qtmodeltester.check(table)
    for event in (
        saved("a", 0, 0.5),
        saved("last", 0, None, 0),
        saved("b", 1, 0.4),
        CheckpointRemoved(saved("a", 0, 0).path),
    ):
        table.hear(event)
    table.hear(dataclasses.replace(saved("b", 2, 0.9)))
    table.hear(saved("c", 3, 0.6))
    qtmodeltester.check(table)
    assert [row.name for row in table.rows] == ["best", "number 2", "last"]


@pytest.mark.parametrize(("mode", "best"), [("min", "b"), ("max", "a")])
def test_the_best_is_the_smallest_or_the_largest_as_the_run_says(mode, best):
    table = CheckpointTable()
    for name, value in (("a", 0.9), ("b", 0.1), ("c", 0.5)):
        table.hear(saved(name, 0, value, mode=mode))
    assert [row.path.stem for row in table.rows if row.is_best] == [best]


def test_a_checkpoint_without_a_finite_loss_is_not_best():
    table = CheckpointTable()
    table.hear(saved("a", 0, math.nan))
    table.hear(saved("b", 0, None, rank=2))
    assert not any(row.is_best for row in table.rows)
    assert {row[VALUE] for row in texts(table)} == {"–"}


def test_free_misfit_is_shown_until_the_file_is_another_one():
    table = CheckpointTable()
    last = saved("last", 0, None, 0)
    table.hear(last)
    table.set_free_misfit(table.rows[0].path, 0.1234)
    assert texts(table)[0][FREE_MISFIT] == "0.1234"
    table.hear(dataclasses.replace(last, epoch=1))
    assert texts(table)[0][FREE_MISFIT] == "–"


def test_free_misfit_stays_when_the_same_run_is_read_again_and_goes_with_another_run(trained):
    table = CheckpointTable()
    table.show_run(trained.info)
    table.set_free_misfit(trained.info.best_checkpoint, 0.25)
    table.show_run(read_run(trained.folder))
    assert texts(table)[0][FREE_MISFIT] == "0.2500"
    table.show_run(None)
    assert table.rowCount() == 0
    table.show_run(trained.info)
    assert texts(table)[0][FREE_MISFIT] == "–"
