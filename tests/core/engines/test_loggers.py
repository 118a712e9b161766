"""Where metrics go."""

from __future__ import annotations

import errno
import importlib.util

import pytest

from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import BatchDone
from ptycho_core.engines.loggers import AppendingCSVLogger, drop_rows_from

LOGS = {"lightning_logs", "tensorboard", "mlruns"}


@pytest.mark.parametrize(
    ("logger", "folders"),
    [
        (("csv",), {"lightning_logs"}),
        (("tensorboard",), {"tensorboard"}),
        (("csv", "tensorboard"), {"lightning_logs", "tensorboard"}),
        (("none",), set()),
    ],
)
def test_metrics_go_where_they_were_asked_to(training, logger, folders):
    training.go(logger=logger, max_epochs=1)
    assert {path.name for path in training.folder.iterdir()} & LOGS == folders
    assert len(list(training.folder.glob("tensorboard/version_0/events.out.tfevents.*"))) == ("tensorboard" in logger)


def test_mlflow_keeps_its_runs_in_the_run_directory(training):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    training.go(logger=("mlflow", "csv"), max_epochs=1)
    (values,) = training.folder.glob("mlruns/*/*/metrics/poisson_val_loss")
    logged = float(values.read_text().split()[1])
    assert logged == pytest.approx(training.column("poisson_val_loss")[0])


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_told_with_the_extra_that_brings_it_before_anything_begins(training, monkeypatch, name):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == name else find_spec(wanted))
    with pytest.raises(InputError, match=rf"install ptycho\[{name}\], or use csv"):
        training.go(logger=("csv", name))
    assert not training.folder.exists()


def test_every_row_is_on_the_disk_before_the_next_step_ends(training):
    behind = []

    def look(event):
        if isinstance(event, BatchDone) and event.step:
            behind.append(event.step - len(training.column("poisson_train_loss_step")))

    training.go(on=look)
    assert behind == [0] * 8


HEADER = "epoch,poisson_val_loss,step\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (HEADER + "0,,0\n0,1.5,0\n1,,1\n", HEADER + "0,,0\n0,1.5,0\n"),
        (HEADER + "0,,0\n0,1.5,0", HEADER + "0,,0\n"),
        (HEADER + "0,,0\n0,1.", HEADER + "0,,0\n"),
        (HEADER, HEADER),
    ],
)
def test_rows_that_will_be_written_again_go_and_so_does_one_without_its_end(tmp_path, text, left):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    drop_rows_from(path, 1)
    assert path.read_text().replace("\r", "") == left


def test_a_run_that_has_written_no_metrics_has_none_to_drop(tmp_path):
    drop_rows_from(tmp_path / "metrics.csv", 1)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_with_what_to_do(tmp_path, monkeypatch):
    def full(writer):
        raise OSError(errno.ENOSPC, "No space left on device")

    logger = AppendingCSVLogger(tmp_path, "logs", 0)
    monkeypatch.setattr(type(logger.experiment), "save", full)
    with pytest.raises(PtychoError, match=r"cannot write .*metrics\.csv: No space left on device; make room there"):
        logger.save()
