"""How much a run writes, told before it begins. No torch here."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Problem
from ptycho_core.base.events import PREVIEW_SIDE, PREVIEWS_KEPT
from ptycho_core.inspection.memory import canvas_of, gigabytes
from ptycho_core.scan.grouping import GroupingPlan, groups_per_step, patterns_per_step
from ptycho_core.scan.scan import Scan

_STATES = 3
"""A checkpoint holds each parameter and the two moments of its gradient."""
_OVERHEAD = 32 * 2**10
_PER_PICTURE_PIXEL = 64
"""Bytes of a reconstruction, in all its files; as measured."""
_PER_STEP = 500
"""Bytes of a step in metrics.csv and events.jsonl; as measured."""
_MOST_MODES = 4
"""Of the probe, where their number is automatic."""


def checkpoint_bytes(config: Config, scan: Scan) -> int:
    """Estimate the size of one checkpoint: its parameters, and what the optimiser remembers of them."""
    variation = config.probe_variation or 0
    modes = (config.probe_modes or _MOST_MODES) + variation
    floats = 2 * modes * scan.size**2
    if KNOBS["gridsize"].serves(config.engine):
        width = config.model_width
        floats += 9 * width * (width + 7 * config.gridsize**2 + 3)
    else:
        floats += 2 * math.prod(canvas_of(scan)) + len(scan) * (3 + 2 * variation)
    return 4 * _STATES * floats + _OVERHEAD


def disk_of(config: Config, scan: Scan) -> int:
    """Estimate the bytes that a run and its reconstruction write.

    Checkpoints that are kept, the last one and one that is being written; the warm start; the picture, and those
    on the way to it; metrics and events of every step.

    Parameters
    ----------
    config, scan
        Of the run.
    """
    one = checkpoint_bytes(config, scan)
    most, wanted = config.max_epochs, config.checkpoint_save_top_k
    kept = most if wanted < 0 else min(wanted, most)
    checkpoints = (kept + 2) * one if config.enable_checkpointing else 0
    if KNOBS["gridsize"].serves(config.engine):
        plan, fine_tunes = GroupingPlan(config.gridsize, config.neighbor_count), config.init is not None
        groups = config.n_groups or plan.groups_per_epoch(len(scan), fine_tunes=fine_tunes)
        steps = config.max_epochs * math.ceil(groups / (config.batch_size or groups_per_step(groups)))
    else:
        steps = config.max_epochs * math.ceil(len(scan) / (config.batch_size or patterns_per_step(len(scan))))
    pixels = math.prod(canvas_of(scan))
    preview = 8 * (min(pixels, PREVIEW_SIDE**2) + scan.size**2)
    pictures = pixels * _PER_PICTURE_PIXEL + (PREVIEWS_KEPT * preview if config.preview_seconds else 0)
    return checkpoints + pictures + min(steps, config.max_steps or steps) * _PER_STEP + _OVERHEAD


def free_bytes(folder: Path) -> int:
    """Return how much can be written into a folder, or into the nearest one that is there."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def check_disk(config: Config, scan: Scan, folder: Path, free: int | None = None) -> list[Problem]:
    """Return an error where a run would write more than is free, with the ways out; else nothing.

    Parameters
    ----------
    config, scan
        Of the run.
    folder
        That it writes into.
    free
        Bytes that are free there; looked up where None.
    """
    needed = disk_of(config, scan)
    free = free_bytes(folder) if free is None else free
    if needed <= free:
        return []
    kept = "make room, choose another folder"
    if config.enable_checkpointing and abs(config.checkpoint_save_top_k) > 1:
        kept += ", or set a smaller checkpoint_save_top_k"
    message = f"the run will write about {gigabytes(needed)} into {folder}, where {gigabytes(free)} are free: {kept}"
    return [Problem("output_folder", message)]
