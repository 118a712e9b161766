"""The memory of an accelerator: what is free there, whether a run fits, and whether its patterns may stay there."""

from __future__ import annotations

import torch

from ptycho_core.base.config import Config
from ptycho_core.base.errors import Problem
from ptycho_core.inspection.memory import check_accelerator_memory, memory_on_accelerator
from ptycho_core.scan.scan import Scan


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on an accelerator; None where it has no memory of its own."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def check_device_memory(config: Config, scan: Scan, device: torch.device) -> list[Problem]:
    """Return an error where a run, or a reconstruction, does not fit on a device; else nothing."""
    free = free_memory(device)
    return [] if free is None else check_accelerator_memory(config, scan, free)


def home_of_patterns(config: Config, scan: Scan, device: torch.device) -> torch.device | None:
    """Return the device where all patterns fit beside what a run needs; else None."""
    free = free_memory(device)
    return device if free is not None and memory_on_accelerator(config, scan).total <= free else None
