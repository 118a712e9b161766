"""The batches of a run as Lightning loads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Sampler

from ptycho_core.engines.data import Batch, Deal, Measurement, PatternDataset, TrainingScans, as_it_is
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.samplers import FixedSampler, ScansInTurn, chunks


class ScanData(L.LightningDataModule):
    """The batches that a model trains and validates on.

    Parameters
    ----------
    model
        Deals the batches, and has the config of the run.
    recorded
        The scans to train on.
    test
        To validate on in place of parts of these.
    """

    def __init__(self, model: Model, recorded: Sequence[Measurement], test: Measurement | None = None) -> None:
        super().__init__()
        self.model, self.recorded, self.test = model, recorded, test
        self.first_epoch = 0
        """With which the fit begins: processes read ahead before Lightning has said so."""
        self.find()

    def find(self) -> None:
        """Take the scans to train on as the model has found them."""
        scans = ((one, self.model.as_found(one.scan, one.beam)) for one in self.recorded)
        self.measured = [dataclasses.replace(one, scan=scan) for one, scan in scans]
        self.training: TrainingScans = self.model.training_scans(self.measured)

    @property
    def first(self) -> Measurement:
        """The first scan, or the only one."""
        return self.measured[0]

    @property
    def validated(self) -> Sequence[Measurement]:
        """The scans to validate on."""
        return self.measured if self.test is None else [self.test]

    @property
    def validates(self) -> bool:
        """Whether there is anything to validate on."""
        return any(len(one.parts.validation) for one in self.validated)

    @property
    def device(self) -> torch.device:
        """Where the batches are wanted."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _world(self) -> dict[str, int]:
        trainer = self.trainer
        return {"rank": trainer.global_rank, "world": trainer.world_size} if trainer else {"rank": 0, "world": 1}

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of an epoch."""
        self.find()  # a resumed run has its state by now
        samplers = [self.model.sampler(scan, rows, **self._world()) for scan, rows in self.training.dealt]
        in_turn = ScansInTurn(samplers, self.model.config.seed)
        in_turn.set_epoch(self.first_epoch)
        return self._loader(self.training, in_turn, self.model.config.num_workers)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Hidden patterns, scan by scan, to be predicted from those that train."""
        if not self.validates:
            return []
        deals = [
            deal
            for place, one in enumerate(self.validated)
            for deal in chunks(one.parts.validation, self.model.validation_canvas(self.first.scan, one.scan), place)
        ]
        # A few batches are read before another process has started.
        return self._loader(TrainingScans(self.validated), FixedSampler(deals, **self._world()), 0)

    def _loader(self, scans: TrainingScans, sampler: Sampler[Deal], workers: int) -> DataLoader[Batch]:
        config = self.model.config
        if scans.at_home:  # what lies on an accelerator needs no other process, nor memory that it may read
            workers, pinned = 0, False
        else:
            pinned = self.device.type == "cuda" if config.pin_memory is None else config.pin_memory
        return DataLoader(
            PatternDataset(scans),
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            collate_fn=as_it_is,
            pin_memory=pinned,
            persistent_workers=workers > 0 and config.persistent_workers is not False,
            prefetch_factor=(config.prefetch_factor or 2) if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )
