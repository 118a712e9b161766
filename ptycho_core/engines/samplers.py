"""Which patterns are dealt, in which batches and on which canvas."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from ptycho_core.base.config import Config
from ptycho_core.engines.data import REGION, Deal, Placed, scan_canvas
from ptycho_core.scan.grouping import (
    GroupingPlan,
    Neighborhoods,
    groups_per_step,
    merged_groups,
    patterns_per_step,
)
from ptycho_core.scan.scan import Scan


class EpochSampler(Sampler[Deal]):
    """Deals an epoch's batches of training patterns, by seed and epoch alone.

    Parameters
    ----------
    rank, world
        Which part of each epoch's batches is ours.
    """

    def __init__(self, seed: int, *, rank: int, world: int) -> None:
        self.seed, self.rank, self.world = seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch comes next."""
        self.epoch = epoch

    def generator(self) -> np.random.Generator:
        """Return the epoch's, alike in all processes."""
        return np.random.default_rng([self.seed, self.epoch])


class GroupSampler(EpochSampler):
    """Deals groups of neighbours on the canvas of the scan.

    Parameters
    ----------
    scan
        To train on.
    rows
        Patterns to draw from.
    config
        gridsize, neighbor_count, n_groups, batch_size and seed.
    rank, world
        As for `EpochSampler`.
    """

    def __init__(self, scan: Scan, rows: NDArray[np.int64], config: Config, *, rank: int, world: int) -> None:
        super().__init__(config.seed, rank=rank, world=world)
        self.canvas, self.rows = scan_canvas(scan), rows
        self.neighborhoods = Neighborhoods(scan.positions[rows])
        self.plan = GroupingPlan(config.gridsize, config.neighbor_count)
        self.n_groups = config.n_groups or self.plan.groups_per_epoch(len(rows), fine_tunes=config.init is not None)
        self.batch_size = min(config.batch_size or groups_per_step(self.n_groups), self.n_groups)

    def __len__(self) -> int:
        return max(1, self.n_groups // self.batch_size // self.world)

    def __iter__(self) -> Iterator[Deal]:
        count = len(self) * self.world * self.batch_size
        batches = merged_groups(self.neighborhoods, self.plan, count, self.batch_size, self.generator())
        for groups in itertools.islice(batches, self.rank, None, self.world):  # every rank draws the same
            yield Deal(self.rows[groups], self.canvas)


class PatternSampler(EpochSampler):
    """Deals single patterns, each once in an epoch, on one canvas.

    Parameters
    ----------
    canvas
        Of all patterns.
    rows
        Patterns to draw from.
    config
        n_groups, batch_size and seed.
    rank, world
        As for `EpochSampler`.
    """

    def __init__(self, canvas: Placed, rows: NDArray[np.int64], config: Config, *, rank: int, world: int) -> None:
        super().__init__(config.seed, rank=rank, world=world)
        self.canvas, self.rows = canvas, rows
        self.count = min(config.n_groups or len(rows), len(rows))
        self.batch_size = min(config.batch_size or patterns_per_step(self.count), self.count)

    def __len__(self) -> int:
        return math.ceil(self.count / self.batch_size / self.world)

    def __iter__(self) -> Iterator[Deal]:
        order = self.generator().permutation(self.rows)[: self.count]
        count = len(self) * self.world
        # Every process needs as many batches, and a pattern in each: where they do not suffice, some come again.
        for batch in np.array_split(np.resize(order, max(self.count, count)), count)[self.rank :: self.world]:
            yield Deal(batch[None], self.canvas)


class ScansInTurn(EpochSampler):
    """Deals an epoch's batches of several scans: those of one after another, in an order that is drawn anew.

    So an epoch needs the object, and the patterns that are read, of one scan at a time.

    Parameters
    ----------
    samplers
        Of the scans.
    seed
        Of the order.
    """

    def __init__(self, samplers: Sequence[EpochSampler], seed: int) -> None:
        super().__init__(seed, rank=0, world=1)
        self.samplers = samplers

    def __len__(self) -> int:
        return sum(map(len, self.samplers))  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Deal]:
        for place in self.generator().permutation(len(self.samplers)).tolist():
            sampler, number = self.samplers[place], self.epoch * len(self.samplers) + place
            sampler.set_epoch(number)  # scans that are alike are drawn from differently
            for deal in sampler:
                yield deal._replace(scan=number)


class FixedSampler(Sampler[Deal]):
    """Deals the same batches every time, shared by the processes."""

    def __init__(self, deals: Iterable[Deal], *, rank: int, world: int) -> None:
        everything = list(deals)
        # The processes wait for each other at every batch, so each takes as many, some of them again if need be.
        ours = range(rank, math.ceil(len(everything) / world) * world, world)
        self.deals = [everything[number % len(everything)]._replace(again=number >= len(everything)) for number in ours]

    def __len__(self) -> int:
        return len(self.deals)

    def __iter__(self) -> Iterator[Deal]:
        yield from self.deals


def chunks(hidden: NDArray[np.int64], canvas: Placed, scan: int = 0) -> Iterator[Deal]:
    """Deal patterns of a scan to be predicted from an object that is there already."""
    for start in range(0, len(hidden), REGION):
        some = hidden[start : start + REGION]
        yield Deal(some[None], canvas, some.size, scan)
