"""A network's optimiser, and its learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from ptycho_core.base.config import Config

RISE = 0.2
"""Part of the steps over which the rate rises, where it does."""
LEARNED = 0.6
"""Part of the rate with which training goes on from a network that has learned."""
SIMULATED = 0.2
"""Part of the rate with which it learns of simulated objects alone: at the whole rate units die, so that it learns
little of a scan afterwards."""


def scheduled(
    parameters: Iterable[nn.Parameter], config: Config, unit: float, part_done: Callable[[int], float]
) -> dict[str, Any]:
    """Return optimiser and schedule of a config, as Lightning takes them.

    Parameters
    ----------
    parameters
        Of the network.
    config
        optimizer, scheduler, learning_rate, init, pretrain_simulated.
    unit
        Of the learning rate.
    part_done
        Returns the part of the whole run, 0 to 1, that is done after so many steps; asked where the schedule spans it.
    """
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    part = SIMULATED if config.pretrain_simulated else 1.0 if config.init is None else LEARNED
    optimizer = kind(parameters, lr=unit * config.learning_rate * part)
    if config.scheduler == "plateau":
        reduce = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=config.checkpoint_mode, patience=5)  # type: ignore[arg-type]
        plan = {"scheduler": reduce, "interval": "epoch", "monitor": config.monitor}
    else:
        rise = RISE if config.init is None else 0.0
        # Not torch's OneCycleLR and its like: they keep the length of the run in their state and refuse a step
        # beyond it, but a resumed run may be given more epochs, and then its schedule spans all of them.
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _part_of_peak(config.scheduler, part_done(step), rise)
        )
        plan = {"scheduler": schedule, "interval": "step"}
    return {"optimizer": optimizer, "lr_scheduler": plan}


def _part_of_peak(schedule: str, part: float, rise: float) -> float:
    """Return the learning rate over its peak, after a part of all steps, the first of which may be a rise."""
    match schedule:
        case "one_cycle":  # a rise, then down to nearly nothing (Smith and Topin 2017)
            if part < rise:
                return 0.04 + 0.96 * (1 - math.cos(math.pi * part / rise)) / 2
            return max(1e-3, (1 + math.cos(math.pi * (part - rise) / (1 - rise))) / 2)
        case "cosine":
            return max(1e-3, (1 + math.cos(math.pi * part)) / 2)
        case "exponential":  # to a hundredth
            return float(0.01**part)
        case _:
            return 1.0
