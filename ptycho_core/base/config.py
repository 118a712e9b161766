"""`Config`: every setting of a training run, declared once with its help text and limits. No torch here.

The command line's ``--help``, the window's tooltips and the checks all come from these declarations.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, ClassVar

from ptycho_core.base.choices import ENGINES, METRICS, PRESETS
from ptycho_core.base.codec import decode, encode
from ptycho_core.base.errors import Fix, InputError, Problem
from ptycho_core.base.knobs import Knob, knob


@dataclass(frozen=True)
class Config:
    """Every knob of a run: primitives only, JSON there and back."""

    LAYOUT: ClassVar[int] = 1
    GONE: ClassVar[tuple[str, ...]] = ("object_smoothness", "refinement_steps")
    """Settings of version 0.1 that records still name and nothing uses any more."""

    preset: str = knob(
        "standard",
        str,
        "Basic",
        "Settings that belong together: quick for a first look, best for the final image. "
        "What you set yourself wins over the preset.",
        choices=tuple(PRESETS),
        basic=True,
    )
    engine: str = knob(
        "pinn",
        str,
        "Model",
        "pinn trains a network that reconstructs whole scans in one pass; direct fits "
        "object and probe to this scan alone.",
        choices=tuple(ENGINES),
        basic=True,
    )

    gridsize: int = knob(
        2,
        int,
        "Grouping",
        "Groups hold gridsize squared overlapping patterns that share one piece of the object.",
        minimum=1,
        maximum=8,
        basic=True,
        engines=("pinn",),
    )
    neighbor_count: int | None = knob(
        None,
        int,
        "Grouping",
        "A group is a pattern and others drawn from this many of its nearest neighbours (the "
        "pattern itself counts); auto is gridsize squared plus twice the gridsize.",
        minimum=1,
        none="auto",
        basic=True,
        engines=("pinn",),
    )
    n_groups: int | None = knob(
        None,
        int,
        "Grouping",
        "Groups that an epoch draws; all draws enough to use every pattern about once, or 2.5 times where training "
        "goes on from a network.",
        minimum=1,
        maximum=10_000_000,
        none="all",
        flags=("n-images",),
    )
    val_fraction: float = knob(
        0.05,
        float,
        "Grouping",
        "Part of the patterns that validates, where no test file is given.",
        minimum=0.0,
        maximum=0.5,
    )
    free_fraction: float = knob(
        0.05,
        float,
        "Grouping",
        "Part of the patterns that nothing sees, kept to say how good the picture is.",
        minimum=0.0,
        maximum=0.5,
    )

    model_width: int = knob(
        16,
        int,
        "Model",
        "Channels of the network's convolutions; wider ones learn a little more, and take longer.",
        minimum=2,
        maximum=256,
        engines=("pinn",),
    )
    init: str | None = knob(
        None,
        str,
        "Model",
        "Checkpoint or bundle whose network training goes on from, on this scan, with its beam where that explains the "
        "scan better, at 0.6 of the learning rate and with the likelihood from the start; none begins anew.",
        none="none",
        engines=("pinn",),
    )
    pretrain_simulated: int = knob(
        0,
        int,
        "Model",
        "Simulated objects of varied kind that an epoch trains on in place of the scan, under its solved probe, at its "
        "positions and dose, drawn anew each epoch, at a fifth of the learning rate; the scan only validates. 0 trains "
        "on the scan.",
        minimum=0,
        maximum=1000,
        engines=("pinn",),
    )
    probe_modes: int | None = knob(
        1,
        int,
        "Model",
        "Mutually incoherent modes of the probe; more for partial coherence or vibration. auto chooses 1 to 4 by short "
        "fits before training.",
        minimum=1,
        maximum=8,
        none="auto",
    )
    probe_trainable: bool = knob(True, bool, "Model", "Go on improving the probe while training.")
    probe_search: bool = knob(
        True,
        bool,
        "Model",
        "Before training, try beams of other defocus and astigmatism on the scan's middle, and start from one of them "
        "where it explains the patterns clearly better than the scan's own probe.",
    )
    warm_start_epochs: int = knob(
        30,
        int,
        "Model",
        "Most epochs of the direct engine before the network trains: it ends when the probe stands; 0 for none.",
        minimum=0,
        maximum=1000,
        engines=("pinn",),
    )
    propagator: str | None = knob(
        None,
        str,
        "Model",
        "From sample to detector: far field, or near field (Fresnel), which asks for distance, detector pixel and "
        "defocus or magnification; auto is how the scan was opened.",
        choices=("far", "near"),
        none="auto",
    )
    probe_variation: int | None = knob(
        None,
        int,
        "Model",
        "Modes by which the probe differs from pattern to pattern (orthogonal probe relaxation), for a beam that "
        "changes while the scan goes on; check has none, and says at the end whether some would help, and how many.",
        minimum=0,
        maximum=8,
        none="check",
        engines=("direct",),
    )
    background: bool = knob(
        False, bool, "Model", "Fit a constant background, in counts per pixel, beside object and probe."
    )
    positions: str = knob(
        "check",
        str,
        "Model",
        "Whether the direct engine moves each pattern to where it explains the data best: refine does, and the network "
        "trains on the positions that its warm start found; check only says at the end whether it would help.",
        choices=("off", "check", "refine"),
    )
    intensity: str = knob(
        "check",
        str,
        "Model",
        "Whether the direct engine fits one factor of brightness per pattern: refine does; check only says at the end "
        "whether it would help.",
        choices=("off", "check", "refine"),
    )
    prior: float | None = knob(
        None,
        float,
        "Model",
        "Weight of the direct engine's preference for an object without noise that keeps edges, in units of the noise; "
        "auto tries some at the end of a run, as long as the validation patterns agree.",
        minimum=0.0,
        maximum=1e3,
        none="auto",
    )

    max_epochs: int = knob(
        50,
        int,
        "Optimisation",
        "Epochs to train, at most: the direct engine ends when its fit has settled.",
        minimum=1,
        maximum=1_000_000,
        basic=True,
        resumable=True,
    )
    final_epochs: int = knob(
        8,
        int,
        "Optimisation",
        "Epochs of the direct engine in which a reconstruction ends, with all patterns: those that validated or were "
        "free too.",
        minimum=1,
        maximum=1000,
    )
    max_time: float | None = knob(
        None,
        float,
        "Optimisation",
        "Minutes after which training ends in good order, whatever the epoch; what falls or changes over the run does "
        "so by then.",
        above=0.0,
        none="none",
        basic=True,
        resumable=True,
    )
    max_steps: int | None = knob(
        None,
        int,
        "Optimisation",
        "Optimiser steps after which training ends in good order.",
        minimum=1,
        none="none",
        resumable=True,
    )
    batch_size: int | None = knob(
        None,
        int,
        "Optimisation",
        "Groups per step, or patterns per step of the direct engine; auto is up to 8 groups, or up to 48 patterns.",
        minimum=1,
        none="auto",
        maximum=65536,
    )
    learning_rate: float = knob(
        1e-3,
        float,
        "Optimisation",
        "Peak learning rate of the network; the direct engine's pixels move at a fixed multiple of it.",
        above=0.0,
        maximum=10.0,
    )
    optimizer: str = knob("adam", str, "Optimisation", "Optimiser.", choices=("adam", "adamw"), engines=("pinn",))
    scheduler: str = knob(
        "one_cycle",
        str,
        "Optimisation",
        "How the learning rate changes over the run.",
        choices=("constant", "one_cycle", "cosine", "exponential", "plateau"),
        engines=("pinn",),
    )
    accumulate_grad_batches: int = knob(
        1, int, "Optimisation", "Batches whose gradients are added up before each step.", minimum=1, maximum=65536
    )
    gradient_clip_val: float | None = knob(
        None,
        float,
        "Optimisation",
        "Largest permitted norm of the gradient.",
        above=0.0,
        none="none",
        engines=("pinn",),
    )
    loss: str = knob(
        "poisson",
        str,
        "Optimisation",
        "poisson fits photon counts by their likelihood; mae fits amplitudes.",
        choices=("poisson", "mae"),
    )
    physics_schedule: str = knob(
        "linear",
        str,
        "Optimisation",
        "How the loss goes over from amplitudes (robust at the start) to the Poisson "
        "likelihood; off starts with the likelihood.",
        choices=("off", "linear", "cosine"),
        engines=("pinn",),
    )
    physics_warmup: float = knob(
        0.1,
        float,
        "Optimisation",
        "Part of all steps over which the loss goes over.",
        above=0.0,
        maximum=1.0,
        engines=("pinn",),
    )

    accelerator: str = knob(
        "auto",
        str,
        "Execution",
        "Device that computes; auto takes CUDA, then MPS, then the CPU.",
        choices=("auto", "cpu", "gpu", "cuda", "mps"),
        basic=True,
        resumable=True,
    )
    devices: int | str = knob(1, int, "Execution", "Devices per node.", minimum=1, choices=("auto",), resumable=True)
    num_nodes: int = knob(1, int, "Execution", "Nodes of a cluster job.", minimum=1, resumable=True)
    strategy: str = knob(
        "auto",
        str,
        "Execution",
        "How several devices share the work.",
        choices=("auto", "ddp", "ddp_find_unused_parameters_true"),
        resumable=True,
    )
    precision: str = knob(
        "32-true",
        str,
        "Execution",
        "Arithmetic of the network's convolutions; the wave optics stay in float32.",
        choices=("32-true", "bf16-mixed", "16-mixed"),
        engines=("pinn",),
        resumable=True,
    )
    deterministic: bool = knob(
        True, bool, "Execution", "Two runs on one machine and device give the same numbers.", basic=True
    )
    seed: int = knob(42, int, "Execution", "Seed of everything that is drawn.", minimum=0, maximum=2**32 - 1)
    num_workers: int = knob(
        0,
        int,
        "Execution",
        "Processes that read patterns; 0 is fastest when the scan fits in memory. None read what fits on a GPU.",
        minimum=0,
        maximum=256,
        resumable=True,
    )
    pin_memory: bool | None = knob(
        None,
        bool,
        "Execution",
        "Page-locked host memory, for a GPU on which the patterns do not fit; auto when there is one.",
        none="auto",
        resumable=True,
    )
    persistent_workers: bool | None = knob(
        None,
        bool,
        "Execution",
        "Keep the reading processes between epochs; auto when there are any.",
        none="auto",
        resumable=True,
    )
    prefetch_factor: int | None = knob(
        None,
        int,
        "Execution",
        "Batches that each reading process holds ready; auto is 2.",
        minimum=1,
        maximum=1024,
        none="auto",
        resumable=True,
    )

    logger: tuple[str, ...] = knob(
        ("csv",),
        tuple,
        "Logging",
        "Where metrics go, several separated by commas.",
        choices=("csv", "tensorboard", "mlflow", "none"),
        resumable=True,
    )
    preview_seconds: float = knob(
        5.0,
        float,
        "Logging",
        "Shortest time between two live pictures of the object; 0 for none.",
        minimum=0.0,
        maximum=86400.0,
        resumable=True,
    )
    quiet: bool = knob(False, bool, "Logging", "Print nothing but results and errors.", resumable=True)

    enable_checkpointing: bool = knob(
        True, bool, "Checkpoints", "Save checkpoints; without them nothing can be resumed."
    )
    checkpoint_save_top_k: int = knob(
        3,
        int,
        "Checkpoints",
        "Best checkpoints to keep; -1 keeps all, 0 keeps only the last.",
        minimum=-1,
        basic=True,
        maximum=100_000,
        resumable=True,
    )
    checkpoint_monitor: str = knob(
        "val_loss",
        str,
        "Checkpoints",
        "Metric that ranks checkpoints and stops early; val_loss is that of the chosen loss.",
        choices=("val_loss", *METRICS),
    )
    checkpoint_mode: str = knob(
        "min", str, "Checkpoints", "Whether the smallest or the largest value is best.", choices=("min", "max")
    )
    early_stop_patience: int = knob(
        20,
        int,
        "Checkpoints",
        "Epochs without improvement after which training ends; 0 never ends early.",
        minimum=0,
        maximum=1_000_000,
        basic=True,
        resumable=True,
    )
    early_stop_min_delta: float = knob(
        0.0, float, "Checkpoints", "Smallest change that counts as an improvement.", minimum=0.0, resumable=True
    )

    def __post_init__(self) -> None:
        for name, setting in KNOBS.items():
            object.__setattr__(self, name, setting.check(name, getattr(self, name)))
        if "none" in self.logger and len(self.logger) > 1:
            raise InputError("logger none cannot be combined with another logger")

    @property
    def monitor(self) -> str:
        """The logged metric that ranks checkpoints."""
        return f"{self.loss}_val_loss" if self.checkpoint_monitor == "val_loss" else self.checkpoint_monitor

    def check(self) -> list[Problem]:
        """Return what is wrong between settings that are each valid alone, where no test file validates."""
        ranks = self.enable_checkpointing and self.checkpoint_save_top_k != 0
        if not (ranks or self.early_stop_patience or self.scheduler == "plateau"):
            return []
        if self.val_fraction or not self.monitor.endswith("_val_loss"):
            return []
        logged = ", ".join(name for name in METRICS if not name.endswith("_val_loss"))
        message = (
            f"checkpoint_monitor {self.checkpoint_monitor} is not logged because val_fraction 0 leaves nothing to "
            f"validate on: set it above 0, give a test data file, or monitor one of {logged}"
        )
        return [Problem("val_fraction", message, fixes=(Fix("5 % to validate", "val_fraction", 0.05),))]

    def replace(self, **changes: Any) -> Config:
        """Return a copy with some settings changed; raises `InputError` on a wrong one."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready primitives, with the version of the layout."""
        return encode(self)

    def to_json(self) -> str:
        """Return the config as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_dict(cls, body: object, source: str = "config") -> Config:
        """Return the config that `to_dict` wrote; raises `InputError` as `ptycho_core.base.codec.decode`."""
        return decode(cls, body, source)


KNOBS: dict[str, Knob] = {f.name: f.metadata["knob"] for f in dataclasses.fields(Config)}
"""Every setting's declaration, in order."""
