"""Real training runs for tests: a scan and a network so small that an epoch takes a few hundredths of a second."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch

from ptycho_core.base.config import Config
from ptycho_core.base.events import Event, RunFailed, RunFinished, StopToken
from ptycho_core.engines.training import train
from ptycho_core.runs.record import RunInfo
from ptycho_core.scan.scan import Scan
from ptycho_core.simulation import simulate
from tests.helpers import specs

SCAN = simulate(specs.SMALL).scan

SMALL: dict[str, Any] = {
    "model_width": 2,
    "warm_start_epochs": 0,
    "probe_search": False,
    "positions": "off",
    "intensity": "off",
    "probe_variation": 0,
    "batch_size": 4,
    "n_groups": 12,
    "max_epochs": 3,
    "accelerator": "cpu",
    "preview_seconds": 0,
}
"""Three epochs of three steps."""

DIRECT: dict[str, Any] = {**SMALL, "engine": "direct", "prior": 0.0}
"""The same in a third of the time, for whatever is the same for every engine; it ends when its epochs are done."""

LONG: dict[str, Any] = {**DIRECT, "max_epochs": 100_000, "early_stop_patience": 0}
"""It is far from done whenever a test looks at it."""

E = TypeVar("E")


@dataclass
class Training:
    """A run directory, and what was heard while runs went on in it."""

    folder: Path
    events: list[Event] = field(default_factory=list)
    info: RunInfo | None = None

    def go(
        self,
        *,
        scan: Scan = SCAN,
        on: Callable[[Event], object] = lambda event: None,
        stop: StopToken | None = None,
        resume: bool = False,
        test_scan: Scan | None = None,
        further_scans: Sequence[Scan] = (),
        callbacks: Sequence[L.Callback] = (),
        **settings: Any,
    ) -> Training:
        def hear(event: Event) -> None:
            self.events.append(event)
            on(event)

        config = Config(**{**SMALL, **settings})
        self.info = train(
            config,
            scan,
            self.folder,
            events=hear,
            stop=stop,
            resume=resume,
            test_scan=test_scan,
            further_scans=further_scans,
            callbacks=callbacks,
        )
        return self

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def ends(self) -> list[Event]:
        return [event for event in self.events if isinstance(event, RunFinished | RunFailed)]

    @property
    def rows(self) -> list[dict[str, str]]:
        with open(self.folder / "lightning_logs/version_0/metrics.csv", newline="") as file:
            return list(csv.DictReader(file))

    def column(self, name: str) -> list[float]:
        return [float(row[name]) for row in self.rows if row[name]]

    @property
    def checkpoints(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "checkpoints").iterdir())

    @property
    def last(self) -> dict[str, Any]:
        return torch.load(self.folder / "checkpoints/last.ckpt", weights_only=True)


def apart_from_speed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: text for name, text in row.items() if name != "patterns_per_second"} for row in rows]


class CountsBatches(L.Callback):
    """Notes the optimiser step after each batch; asks for a stop after one of them."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.batches: list[int] = []
        self.stop_after, self.stop = stop_after, StopToken()

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        self.batches.append(trainer.global_step)
        if trainer.global_step == self.stop_after:
            self.stop.stop("enough")
