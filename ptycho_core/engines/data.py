"""Batches of grouped patterns for Lightning, never a copy more than needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ptycho_core.base.config import Config
from ptycho_core.scan.grouping import GroupingPlan, Neighborhoods, merged_groups
from ptycho_core.scan.scan import Scan

IN_MEMORY_BYTES = 2**30
"""Stacks up to this size as float32 are read once and kept; larger ones are read batch by batch."""

REGION = 512
"""Patterns of a validation region: enough for the coverage of a whole scan in its middle."""
MAX_REGIONS = 8

CANVAS_MULTIPLE = 8
"""Canvases of groups are rounded up, so that the network's scales divide them."""


class Batch(NamedTuple):
    """Groups of patterns that share a canvas.

    ``amplitude`` (g, c, N, N), DC in the corner; ``positions`` (g, c, 2) on the group's canvas of ``canvas`` pixels.
    The first ``hidden`` patterns of each group are kept from the model, which has to predict them.
    """

    amplitude: Tensor
    positions: Tensor
    canvas: tuple[int, int]
    hidden: int = 0


@dataclass(frozen=True)
class Split:
    """Places in a scan of the patterns that train, that validate, and that nothing sees (`free`)."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    free: NDArray[np.int64]


def split(n: int, config: Config, *, validate: bool = True) -> Split:
    """Divide n patterns by the config's seed and fractions; the same for every run with the same numbers."""
    order = np.random.default_rng([config.seed, n]).permutation(n)
    n_free = round(n * config.free_fraction)
    n_validation = (
        min(n - 1 - n_free, max(1, round(n * config.val_fraction))) if validate and config.val_fraction else 0
    )
    free, validation, train = np.split(order, [n_free, n_free + n_validation])
    return Split(np.sort(train), np.sort(validation), np.sort(free))


class Amplitudes:
    """Square roots of a scan's counts, DC in the corner, bad pixels 0; kept in memory if they fit.

    Parameters
    ----------
    scan
        Its patterns may be on disk.
    """

    def __init__(self, scan: Scan) -> None:
        self.patterns = scan.patterns
        self.mask = None if scan.mask is None else np.fft.ifftshift(scan.mask)
        self.kept = self._read(np.arange(len(scan))) if scan.patterns.nbytes <= IN_MEMORY_BYTES else None

    def __getitem__(self, rows: NDArray[np.int64]) -> Tensor:
        """(b, N, N) float32 of these patterns."""
        return self._read(rows) if self.kept is None else self.kept[torch.from_numpy(rows)]

    def _read(self, rows: NDArray[np.int64]) -> Tensor:
        counts = np.fft.ifftshift(self.patterns[rows], axes=(1, 2))
        if self.mask is not None:
            counts = np.where(self.mask, counts, np.float32(0))
        return torch.from_numpy(counts).sqrt_()


class GroupDataset(Dataset[Batch]):
    """Turns groups of indexes into batches.

    Parameters
    ----------
    amplitudes
        Of the whole scan.
    positions
        (n, 2) of the whole scan.
    canvas
        Origin (2,) and shape of one canvas for everything (the direct engine), or None for a canvas for each group.
    """

    def __init__(
        self,
        amplitudes: Amplitudes,
        positions: NDArray[np.float64],
        canvas: tuple[NDArray[np.float64], tuple[int, int]] | None = None,
    ) -> None:
        self.amplitudes = amplitudes
        self.positions = positions
        self.canvas = canvas

    def __getitem__(self, index: tuple[NDArray[np.int64], int]) -> Batch:
        """Return the batch of groups (g, c), of which the first ``hidden`` patterns are to be predicted."""
        groups, hidden = index
        amplitude = self.amplitudes[groups.reshape(-1)]
        size = amplitude.shape[-1]
        positions = self.positions[groups]
        if self.canvas is not None:
            origin, shape = self.canvas
        else:
            origin, shape = group_canvas(positions, size)
        return Batch(
            amplitude.view(*groups.shape, size, size),
            torch.from_numpy((positions - origin).astype(np.float32)),
            shape,
            hidden,
        )


def group_canvas(positions: NDArray[np.float64], size: int) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Find the canvas that fits each group of positions (g, c, 2): origins (g, 1, 2) and their common shape."""
    lowest = np.floor(positions.min(axis=1, keepdims=True))
    extent = (np.floor(positions).max(axis=1, keepdims=True) - lowest).max(axis=(0, 1)) + size + 1
    height, width = (-(-int(pixels) // CANVAS_MULTIPLE) * CANVAS_MULTIPLE for pixels in extent)
    return lowest - size // 2, (height, width)


class GroupSampler(Sampler[tuple[NDArray[np.int64], int]]):
    """Draws an epoch's batches of groups for the network engine, by seed and epoch alone.

    Parameters
    ----------
    positions
        (n, 2) of the whole scan.
    rows
        Patterns to draw from.
    config
        gridsize, neighbor_count, n_groups, batch_size and seed.
    rank, world
        Which part of each epoch's batches is ours.
    """

    def __init__(
        self, positions: NDArray[np.float64], rows: NDArray[np.int64], config: Config, *, rank: int, world: int
    ) -> None:
        self.rows, self.seed, self.rank, self.world = rows, config.seed, rank, world
        self.neighborhoods = Neighborhoods(positions[rows])
        self.plan = GroupingPlan(config.gridsize, config.neighbor_count)
        self.n_groups = config.n_groups or self.plan.groups_per_epoch(len(rows))
        self.batch_size = min(config.batch_size, self.n_groups)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, self.n_groups // self.batch_size // self.world)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        count = len(self) * self.world * self.batch_size
        batches = merged_groups(self.neighborhoods, self.plan, count, self.batch_size, rng)
        for groups in itertools.islice(batches, self.rank, None, self.world):  # every rank draws the same
            yield self.rows[groups], 0


class PatternSampler(Sampler[tuple[NDArray[np.int64], int]]):
    """Draws an epoch's batches of single patterns for the direct engine, each pattern once."""

    def __init__(self, rows: NDArray[np.int64], config: Config, *, rank: int, world: int) -> None:
        self.rows, self.seed, self.rank, self.world = rows, config.seed, rank, world
        self.count = min(config.n_groups or len(rows), len(rows))
        self.batch_size = min(config.batch_size, self.count)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(self.count / self.batch_size / self.world)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)[: self.count]
        count = len(self) * self.world
        # Every process needs as many batches, and a pattern in each: where they do not suffice, some come again.
        for batch in np.array_split(np.resize(order, max(self.count, count)), count)[self.rank :: self.world]:
            yield batch[None], 0


class RegionSampler(Sampler[tuple[NDArray[np.int64], int]]):
    """Validation: hidden patterns, predicted from those around them as from a whole scan.

    In at most `MAX_REGIONS` regions: of a large scan, some hidden patterns are left out.
    """

    def __init__(
        self,
        positions: NDArray[np.float64],
        hidden: NDArray[np.int64],
        seen: NDArray[np.int64],
        *,
        rank: int,
        world: int,
    ) -> None:
        regions = list(_regions(positions, hidden, seen))
        # The processes wait for each other at every batch, so each takes as many, some of them again if need be.
        ours = range(rank, math.ceil(len(regions) / world) * world, world)
        self.regions = [regions[number % len(regions)] for number in ours]

    def __len__(self) -> int:
        return len(self.regions)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        yield from self.regions


def _regions(
    positions: NDArray[np.float64], hidden: NDArray[np.int64], seen: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], int]]:
    if not len(seen):  # the direct engine predicts from its own canvas
        for start in range(0, len(hidden), REGION):
            some = hidden[start : start + REGION]
            yield some[None], some.size
        return
    tree = cKDTree(positions[seen])
    left = hidden
    for _ in range(MAX_REGIONS):
        if not len(left):
            return
        distance, near = tree.query(positions[left[0]], k=np.arange(1, min(REGION, len(seen)) + 1))
        # A pattern near the region's rim has too few neighbours in it, unless the region is the whole scan.
        reach = np.inf if len(near) == len(seen) else distance[-1] / 2
        inside = np.linalg.norm(positions[left] - positions[left[0]], axis=1) <= reach
        yield np.concatenate([left[inside], seen[near]])[None], int(inside.sum())
        left = left[~inside]


class ScanData(L.LightningDataModule):
    """The batches of a run.

    Parameters
    ----------
    config
        Of the run.
    scan
        To train on.
    parts
        Which of its patterns train and validate.
    test_scan
        To validate on in place of a part of ``scan``.
    canvas
        Origin and shape of the direct engine's canvas, or None for the network engine.
    """

    def __init__(
        self,
        config: Config,
        scan: Scan,
        parts: Split,
        *,
        test_scan: Scan | None = None,
        canvas: tuple[NDArray[np.float64], tuple[int, int]] | None = None,
        amplitudes: Amplitudes | None = None,
    ) -> None:
        super().__init__()
        self.config, self.scan, self.parts, self.test_scan, self.canvas = config, scan, parts, test_scan, canvas
        self.amplitudes = amplitudes or Amplitudes(scan)

    @property
    def validates(self) -> bool:
        """Whether there is anything to validate on."""
        return self.test_scan is not None or len(self.parts.validation) > 0

    def _world(self) -> dict[str, int]:
        trainer = self.trainer
        return {"rank": trainer.global_rank, "world": trainer.world_size} if trainer else {"rank": 0, "world": 1}

    def train_dataloader(self) -> DataLoader[Batch]:
        """Groups of patterns, or single ones for the direct engine."""
        config, rows = self.config, self.parts.train
        sampler: Sampler[Any]
        if self.canvas is None:
            sampler = GroupSampler(self.scan.positions, rows, config, **self._world())
        else:
            sampler = PatternSampler(rows, config, **self._world())
        dataset = GroupDataset(self.amplitudes, self.scan.positions, self.canvas)
        return self._loader(dataset, sampler, self.config.num_workers)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Regions around hidden patterns."""
        if not self.validates:
            return []
        if self.test_scan is None:
            scan, amplitudes, hidden, seen = self.scan, self.amplitudes, self.parts.validation, self.parts.train
        else:
            scan, amplitudes = self.test_scan, Amplitudes(self.test_scan)
            config = self.config.replace(val_fraction=self.config.val_fraction or 0.05, free_fraction=0.0)
            parts = split(len(scan), config)
            hidden, seen = parts.validation, parts.train
        if self.canvas is not None:
            seen = seen[:0]
        sampler = RegionSampler(scan.positions, hidden, seen, **self._world())
        # A few batches are read before another process has started.
        return self._loader(GroupDataset(amplitudes, scan.positions, self.canvas), sampler, 0)

    def _loader(self, dataset: GroupDataset, sampler: Sampler[Any], workers: int) -> DataLoader[Batch]:
        config = self.config
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(
            dataset,
            batch_size=None,
            sampler=sampler,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=on_gpu if config.pin_memory is None else config.pin_memory,
            persistent_workers=workers > 0 and config.persistent_workers is not False,
            prefetch_factor=(config.prefetch_factor or 2) if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )


def _as_it_is(batch: Any) -> Any:
    return batch
