"""How much memory a run takes, told before anything of that size is made. No torch here."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix, Problem
from ptycho_core.formats.stores.store import available_memory
from ptycho_core.inspection.scan_checks import fix_for_strays, median_step_px, stray_rows
from ptycho_core.scan.grouping import GroupingPlan, Neighborhoods, groups_per_step, patterns_per_step
from ptycho_core.scan.scan import Masks, Scan

_PROGRAM = 500 * 2**20
IN_MEMORY_BYTES = 2**30
"""Stacks up to this size as float32 are read once and kept; larger ones are read batch by batch."""
_PER_CANVAS_PIXEL = 150
"""Bytes: the object, its gradient, light and momentum, and the states that a fit may go back to; as measured."""
_PER_WAVE_PIXEL = 64
"""Bytes of a mode of one pattern, at most 16 at a time on a processor."""
_PER_CHANNEL_PIXEL = 64
"""Bytes of a channel of the network on the canvas of a group, kept for its gradient; as measured."""
_AT_ONCE = 16
HIDDEN_AT_ONCE = 512
"""Patterns that are predicted at once, where there are so many to be predicted."""
_PER_PATTERN_PIXEL = 96
"""Bytes on an accelerator for a pixel of a pattern that is looked at, besides its modes."""
_MOST_MODES = 4
"""That are tried where their number is automatic."""


@dataclass(frozen=True)
class Memory:
    """An estimate for a run, in bytes.

    Parameters
    ----------
    canvas_px
        (y, x) of the object.
    canvas, patterns, batch
        For the object, patterns that are kept, and a step.
    program
        For the program itself.
    """

    canvas_px: tuple[int, int]
    canvas: int
    patterns: int
    batch: int
    program: int = _PROGRAM

    @property
    def total(self) -> int:
        """All of it."""
        return self.program + self.canvas + self.patterns + self.batch


def memory_of(config: Config, scan: Scan, near: Neighborhoods | None = None) -> Memory:
    """Estimate what a run, or a reconstruction, takes of the machine's memory.

    Parameters
    ----------
    config, scan
        Of the run.
    near
        Of the scan's positions, where they were found before.
    """
    kept = _stack(scan) if scan.patterns.nbytes <= IN_MEMORY_BYTES else 0
    step = _step(config, len(scan))
    waves = _waves(config, scan)
    if KNOBS["gridsize"].serves(config.engine):
        batch = _network(config, scan, near) + step * config.gridsize**2 * waves
    else:
        batch = step * scan.size**2 * 12 + min(step, _AT_ONCE) * waves
    return Memory(canvas_of(scan), math.prod(canvas_of(scan)) * _PER_CANVAS_PIXEL, kept, batch)


def memory_on_accelerator(config: Config, scan: Scan, near: Neighborhoods | None = None) -> Memory:
    """Estimate what a run, or a reconstruction, takes of an accelerator's memory, if all patterns are to stay there.

    Unlike a processor it looks at all patterns of a step at once, and the network engine has thinned counts beside the
    patterns.

    Parameters
    ----------
    config, scan, near
        As for `memory_of`.
    """
    network = KNOBS["gridsize"].serves(config.engine)
    step = _step(config, len(scan)) * (config.gridsize**2 if network else 1)
    looked_at = max(step, min(HIDDEN_AT_ONCE, len(scan)))
    batch = looked_at * (_waves(config, scan) + scan.size**2 * _PER_PATTERN_PIXEL)
    if network:
        batch += _network(config, scan, near)
    kept = _stack(scan) + (scan.patterns.nbytes if network else 0)
    return Memory(canvas_of(scan), math.prod(canvas_of(scan)) * _PER_CANVAS_PIXEL, kept, batch, program=0)


def _stack(scan: Scan) -> int:
    """Return the bytes of all patterns, and of their masks where each has its own."""
    return scan.patterns.nbytes + (scan.mask.nbytes if isinstance(scan.mask, Masks) else 0)


def canvas_of(scan: Scan) -> tuple[int, int]:
    """Return the size (y, x) of the object of a scan, in pixels."""
    height, width = (int(extent) + scan.size + 1 for extent in np.ptp(scan.positions, axis=0))
    return height, width


def _waves(config: Config, scan: Scan) -> int:
    """Return the bytes of one pattern's waves."""
    return scan.size**2 * (config.probe_modes or _MOST_MODES) * _PER_WAVE_PIXEL


def _network(config: Config, scan: Scan, near: Neighborhoods | None) -> int:
    """Return the bytes that a network keeps of a step's groups for its gradient."""
    neighbors = GroupingPlan(config.gridsize, config.neighbor_count).resolve_neighbors(len(scan))
    side = scan.size + (near or Neighborhoods(scan.positions)).reach(min(neighbors, len(scan)))
    return _step(config, len(scan)) * int(side**2) * config.model_width * _PER_CHANNEL_PIXEL


def _step(config: Config, n: int) -> int:
    """Return how many groups a step takes of n patterns, or how many patterns where there are no groups."""
    if KNOBS["gridsize"].serves(config.engine):
        plan, fine_tunes = GroupingPlan(config.gridsize, config.neighbor_count), config.init is not None
        count = config.n_groups or plan.groups_per_epoch(n, fine_tunes=fine_tunes)
        return config.batch_size or groups_per_step(count)
    return min(config.batch_size or patterns_per_step(n), n)


def check_memory(config: Config, scan: Scan, near: Neighborhoods | None = None) -> list[Problem]:
    """Return an error that names what makes a run larger than the memory that is free, and the way out; else nothing.

    Parameters
    ----------
    config, scan, near
        As for `memory_of`.
    """
    return _problems(config, scan, memory_of(config, scan, near), "memory", available_memory())


def check_accelerator_memory(config: Config, scan: Scan, free: int) -> list[Problem]:
    """Return the same of an accelerator that has so many bytes free; its patterns stay elsewhere if need be."""
    needed = dataclasses.replace(memory_on_accelerator(config, scan), patterns=0)
    return _problems(config, scan, needed, "the accelerator's memory", free)


def _problems(config: Config, scan: Scan, needed: Memory, where: str, free: int) -> list[Problem]:
    if needed.total <= free:
        return []
    takes = f"this takes about {gigabytes(needed.total)} of {where}, of which {gigabytes(free)} are free"
    if needed.batch > max(needed.canvas, needed.patterns):
        return [_too_large_step(config, needed, takes, _step(config, len(scan)))]
    if needed.patterns > needed.canvas:
        message = f"{takes}: {gigabytes(needed.patterns)} for the patterns; bin or crop them, or take fewer"
        return [Problem("patterns", message)]
    height, width = needed.canvas_px
    what = f"{takes}: most of it for an object of {height:,} x {width:,} pixels"
    stray = stray_rows(scan.positions, median_step_px(scan.positions), scan.size)
    if len(stray):
        fix = fix_for_strays(scan.positions, stray)
        message = f"{what}, as {len(stray)} of {len(scan)} positions lie far from all others: leave them out"
        return [Problem("positions", message, fixes=(fix,))]
    return [Problem("positions", f"{what}; look at the unit of the positions, bin the patterns, or choose a region")]


def _too_large_step(config: Config, needed: Memory, takes: str, step: int) -> Problem:
    unit = "groups" if KNOBS["gridsize"].serves(config.engine) else "patterns"
    fewer = max(1, step // 4)
    what = f"{takes}: {gigabytes(needed.batch)} for a step of {step} {unit}"
    others = "model_width or gridsize" if unit == "groups" else "probe_modes"
    return Problem(
        "batch_size",
        f"{what}; take a smaller batch_size, {others}",
        fixes=(Fix(f"batch size {fewer}", "batch_size", fewer),) if fewer < step else (),
    )


def gigabytes(nbytes: int) -> str:
    """Return a size for the operator."""
    if nbytes < 2**27:
        return f"{nbytes / 2**20:.2g} MiB"
    return f"{nbytes / 2**30:.2g} GiB" if nbytes < 100 * 2**30 else f"{nbytes / 2**30:,.0f} GiB"
