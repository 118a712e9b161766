"""Lightning's Trainer as this program uses it: the only place that builds one. And the choice of the device."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.loggers import Logger

from ptycho_core.config import Config
from ptycho_core.errors import InputError


def choose_accelerator(wanted: str) -> tuple[str, str]:
    """Return Lightning's name of the accelerator, and a sentence that says which device it is and why.

    Raises
    ------
    InputError
        The accelerator is not available: lists those that are.
    """
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    name = {"auto": there[0], "gpu": "cuda"}.get(wanted, wanted)
    if name not in there:
        raise InputError(f"accelerator {wanted} is not available on this machine: there is {', '.join(there)}")
    if name == "cuda":
        what = f"CUDA ({torch.cuda.get_device_name(0)})"
    else:
        what = "MPS" if name == "mps" else f"CPU ({torch.get_num_threads()} threads)"
    if wanted != "auto":
        return name, f"{what}, as asked for"
    reason = "the fastest of " + ", ".join(there) if len(there) > 1 else "there is no CUDA or MPS device"
    return name, f"{what}, because {'it is ' if len(there) > 1 else ''}{reason}"


def device_of(accelerator: str) -> torch.device:
    """Return the torch device of one of `choose_accelerator`'s names."""
    return torch.device(choose_accelerator(accelerator)[0])


def build_trainer(
    config: Config,
    folder: Path | None = None,
    *,
    max_epochs: int,
    callbacks: Sequence[L.Callback],
    loggers: Sequence[Logger] = (),
    distributed: bool = False,
) -> L.Trainer:
    """Return a Trainer for a run, or for a short fit on one device that leaves nothing behind.

    Parameters
    ----------
    config
        Execution and optimisation knobs.
    folder
        The run directory.
    max_epochs
        Epochs.
    callbacks, loggers
        Checkpoints are among the callbacks.
    distributed
        Whether to use the config's devices, nodes and strategy; else one device.
    """
    many = distributed and (config.devices != 1 or config.num_nodes != 1)
    return L.Trainer(
        accelerator=choose_accelerator(config.accelerator)[0],
        devices=config.devices if many else 1,
        num_nodes=config.num_nodes if many else 1,
        strategy=config.strategy if distributed else "auto",
        # Without this, a shell on a SLURM node counts as a SLURM job.
        plugins=[] if many else [LightningEnvironment()],
        precision=config.precision,  # type: ignore[arg-type]
        deterministic=config.deterministic,
        max_epochs=max_epochs,
        max_steps=-1 if config.max_steps is None or not distributed else config.max_steps,
        accumulate_grad_batches=config.accumulate_grad_batches,
        gradient_clip_val=config.gradient_clip_val,
        logger=list(loggers),
        log_every_n_steps=1,
        callbacks=list(callbacks),
        default_root_dir=folder,
        enable_checkpointing=any(isinstance(c, L.pytorch.callbacks.Checkpoint) for c in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


@contextmanager
def quiet_lightning(config: Config) -> Iterator[None]:
    """Keep Lightning's notices to itself, seed everything, and undo its global settings at the end."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    deterministic = torch.are_deterministic_algorithms_enabled()
    # Deterministic runs write no memory that they have not computed: filling it costs a twentieth of the time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    L.seed_everything(config.seed, workers=True, verbose=False)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            warnings.filterwarnings("ignore", module="torch.*")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        logger.setLevel(level)
