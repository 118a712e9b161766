"""The batches of a run as Lightning loads them."""

from __future__ import annotations

import functools
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Sampler

from ptycho_core.engines.data import Amplitudes, Batch, Deal, PatternDataset, Split, as_it_is, split
from ptycho_core.engines.device_memory import home_of_patterns
from ptycho_core.engines.models.base import Model
from ptycho_core.scan.scan import Scan


class ScanData(L.LightningDataModule):
    """The batches that a model trains and validates on.

    Parameters
    ----------
    model
        Deals the batches, and has the config of the run.
    scan
        To train on.
    parts
        Which of its patterns train and validate.
    amplitudes
        Of the scan.
    test_scan
        To validate on in place of a part of ``scan``.
    """

    def __init__(
        self, model: Model, scan: Scan, parts: Split, amplitudes: Amplitudes, test_scan: Scan | None = None
    ) -> None:
        super().__init__()
        self.model, self.scan, self.parts, self.amplitudes = model, scan, parts, amplitudes
        self.test_scan = test_scan

    @property
    def validates(self) -> bool:
        """Whether there is anything to validate on."""
        return self.test_scan is not None or len(self.parts.validation) > 0

    @functools.cached_property
    def validation_set(self) -> tuple[Scan, Amplitudes, Split]:
        """The scan to validate on, its amplitudes, and which of its patterns are hidden or may be seen."""
        if self.test_scan is None:
            return self.scan, self.amplitudes, self.parts
        config = self.model.config.replace(val_fraction=self.model.config.val_fraction or 0.05, free_fraction=0.0)
        home = home_of_patterns(config, self.test_scan, self.device)
        return self.test_scan, Amplitudes(self.test_scan, home), split(len(self.test_scan), config)

    @property
    def device(self) -> torch.device:
        """Where the batches are wanted."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _world(self) -> dict[str, int]:
        trainer = self.trainer
        return {"rank": trainer.global_rank, "world": trainer.world_size} if trainer else {"rank": 0, "world": 1}

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of an epoch."""
        dataset = PatternDataset(self.amplitudes, self.scan.positions)
        sampler = self.model.sampler(self.scan, self.parts.train, **self._world())
        return self._loader(dataset, sampler, self.model.config.num_workers)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Hidden patterns, and those that they are predicted from."""
        if not self.validates:
            return []
        scan, amplitudes, parts = self.validation_set
        sampler = self.model.validation_sampler(self.scan, scan, parts, **self._world())
        # A few batches are read before another process has started.
        return self._loader(PatternDataset(amplitudes, scan.positions), sampler, 0)

    def _loader(self, dataset: PatternDataset, sampler: Sampler[Deal], workers: int) -> DataLoader[Batch]:
        config, at_home = self.model.config, dataset.amplitudes.home is not None
        if at_home:  # what lies on an accelerator needs no other process, nor memory that it may read
            workers, pinned = 0, False
        else:
            pinned = self.device.type == "cuda" if config.pin_memory is None else config.pin_memory
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            collate_fn=as_it_is,
            pin_memory=pinned,
            persistent_workers=workers > 0 and config.persistent_workers is not False,
            prefetch_factor=(config.prefetch_factor or 2) if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )
