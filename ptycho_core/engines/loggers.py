"""Where metrics go: CSV, TensorBoard, MLflow, all on the local disk."""

from __future__ import annotations

import csv
import importlib.util
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from ptycho_core.base.atomic import atomic_write, explain_write_errors
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.runs.record import LOGS

_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}


class _AppendingWriter(ExperimentWriter):
    """Goes on with the metrics.csv that is there, where Lightning's deletes it."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                self.metrics_keys = next(csv.reader(file), [])


class AppendingCSVLogger(CSVLogger):
    """A CSV logger whose file survives a resumed run."""

    @property
    def experiment(self) -> ExperimentWriter:
        """The writer of metrics.csv."""
        if not isinstance(self._experiment, ExperimentWriter):
            self._experiment = _AppendingWriter(log_dir=self.log_dir)
        return self._experiment

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Lightning: write a row. Of a number that was logged it has made a float."""
        super().log_metrics({**metrics, "epoch": int(metrics["epoch"])}, step)

    def save(self) -> None:
        """Lightning: write what is not written yet; a full disk is told as wherever else it is met."""
        with explain_write_errors(Path(self.experiment.metrics_file_path)):
            super().save()


def check_loggers(config: Config) -> None:
    """Look whether the packages of the config's loggers are there.

    Raises
    ------
    InputError
        One is not installed: names the extra that brings it.
    """
    for name in config.logger:
        if name in _PACKAGES and importlib.util.find_spec(_PACKAGES[name]) is None:
            raise InputError(f"logger {name} needs a package that is missing: install ptycho[{name}], or use csv")


def build_loggers(config: Config, folder: Path, version: int) -> list[Logger]:
    """Return Lightning's loggers for the config, writing below ``folder``."""
    loggers: list[Logger] = []
    if "csv" in config.logger:
        loggers.append(AppendingCSVLogger(folder, LOGS, version))
    if "tensorboard" in config.logger:
        loggers.append(TensorBoardLogger(folder, "tensorboard", version))
    if "mlflow" in config.logger:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else MLflow wants a database, whatever the folder
        loggers.append(MLFlowLogger("ptycho", f"version_{version}", tracking_uri=(folder / "mlruns").as_uri()))
    return loggers


def drop_rows_from(path: Path, step: int) -> None:
    """Remove the rows of metrics.csv that a resumed run will write again: those of ``step`` and later.

    A last row without its end, of a process that was killed while it wrote, is one of them.
    """
    if not path.is_file():
        return
    with open(path, newline="", encoding="utf-8") as file:
        whole = [line for line in file if line.endswith("\n")]
    reader = csv.DictReader(whole)
    names = list(reader.fieldnames or ())
    rows = [row for row in reader if int(row["step"]) < step]
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
