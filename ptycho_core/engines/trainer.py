"""Lightning's Trainer as this program uses it: the only place that builds one. And the choice of the device."""

from __future__ import annotations

import io
import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.loggers import Logger

from ptycho_core.base.atomic import atomic_write, explain_write_errors
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError


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
        threads = torch.get_num_threads()
        what = "MPS" if name == "mps" else f"CPU ({threads} thread{'s' * (threads > 1)})"
    if wanted != "auto":
        return name, f"{what}, as asked for"
    reason = "the fastest of " + ", ".join(there) if len(there) > 1 else "there is no CUDA or MPS device"
    return name, f"{what}, because {'it is ' if len(there) > 1 else ''}{reason}"


def device_of(accelerator: str) -> torch.device:
    """Return the torch device of one of `choose_accelerator`'s names."""
    return torch.device(choose_accelerator(accelerator)[0])


def precision_of(config: Config) -> str:
    """Return Lightning's name of the arithmetic: float32 for an engine that has nothing else."""
    return config.precision if KNOBS["precision"].serves(config.engine) else "32-true"


class _WholeFiles(TorchCheckpointIO):
    """Writes checkpoints whole or not at all; Lightning's own passes through /tmp, and a full disk leaves a part."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        with explain_write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        whole = io.BytesIO()
        torch.save(checkpoint, whole)  # which into a file would hide why it cannot be written
        with atomic_write(target, check=_reads_back) as temporary:
            temporary.write_bytes(whole.getbuffer())


def _reads_back(path: Path) -> None:
    torch.load(path, map_location="cpu", weights_only=True)


class _KeepSignals(L.Callback):
    """Puts back the handlers of signals that Lightning takes over for the time of a fit.

    Its own break an epoch off at SIGTERM, and requeue SLURM jobs: a stop in good order is ours.
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: its handlers come next."""
        self.handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning: its handlers are there. Off the main thread it installs none."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.handlers.items():
                signal.signal(number, handler)


def build_trainer(
    config: Config,
    folder: Path | None = None,
    *,
    callbacks: Sequence[L.Callback],
    loggers: Sequence[Logger] = (),
) -> L.Trainer:
    """Return a Trainer for a fit.

    Parameters
    ----------
    config
        Execution and optimisation knobs.
    folder
        The run directory; None for a fit that leaves nothing behind.
    callbacks, loggers
        Checkpoints are among the callbacks.
    """
    many = config.devices != 1 or config.num_nodes != 1
    return L.Trainer(
        accelerator=choose_accelerator(config.accelerator)[0],
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        # Without this, a shell on a SLURM node counts as a SLURM job.
        plugins=[_WholeFiles()] if many else [_WholeFiles(), LightningEnvironment()],
        precision=precision_of(config),  # type: ignore[arg-type]
        deterministic=config.deterministic,
        max_epochs=config.max_epochs,
        max_steps=-1 if config.max_steps is None else config.max_steps,
        accumulate_grad_batches=config.accumulate_grad_batches,
        gradient_clip_val=config.gradient_clip_val if KNOBS["gradient_clip_val"].serves(config.engine) else None,
        logger=list(loggers),
        log_every_n_steps=1,
        callbacks=[_KeepSignals(), *callbacks],
        default_root_dir=folder,
        enable_checkpointing=any(isinstance(c, L.pytorch.callbacks.Checkpoint) for c in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


@contextmanager
def quiet_lightning(config: Config) -> Iterator[None]:
    """Keep Lightning's notices to itself, seed everything, and undo all global settings at the end."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    deterministic = torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    cudnn = torch.backends.cudnn.benchmark
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            warnings.filterwarnings("ignore", module="lightning.*")
            warnings.filterwarnings("ignore", module="torch.*")
            # Deterministic runs write no memory that they have not computed: filling it costs a twentieth of the time.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            torch.manual_seed(config.seed)
            yield
    finally:
        torch.backends.cudnn.benchmark = cudnn
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(deterministic)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
