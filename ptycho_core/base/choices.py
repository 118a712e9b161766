"""What settings choose among, with what is known of each: presets, engines, and the metrics that may be monitored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STEP_METRICS = (
    "poisson_train_loss_step",
    "learning_rate",
    "physics_weight",
    "training_stage",
    "grad_norm",
    "patterns_per_second",
)
"""What is logged after each optimiser step."""
EPOCH_METRICS = ("poisson_train_loss_epoch", "poisson_val_loss", "mae_train_loss", "mae_val_loss")
"""What is logged after each epoch."""
METRICS = (*STEP_METRICS, *EPOCH_METRICS)
"""Every metric that is logged, and so may be monitored."""


def loss_of_scan(place: int) -> str:
    """Return the name of the validation loss of one of several scans; ``place`` is 0 for the first."""
    return f"poisson_val_loss_{place + 1}"


def is_metric(name: str) -> bool:
    """Return whether a metric of this name is one of ours."""
    stem, _, number = name.rpartition("_")
    return name in METRICS or (stem == "poisson_val_loss" and number.isdigit())


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "quick": {
        "pinn": {"max_epochs": 20},
        "direct": {
            "max_epochs": 14,
            "final_epochs": 3,
            "batch_size": 24,
            "prior": 0.05,
            "positions": "off",
            "intensity": "off",
            "probe_variation": 0,
        },
    },
    "standard": {"pinn": {}, "direct": {}},
    "best": {
        "pinn": {"max_epochs": 80, "model_width": 24, "warm_start_epochs": 60},
        "direct": {"max_epochs": 80},
    },
}
"""Settings that differ from the defaults, by preset and engine."""


@dataclass(frozen=True)
class Engine:
    """What is known of an engine without running it.

    Parameters
    ----------
    title
        In tables.
    help
        What it is for.
    serves_one_scan
        Whether its checkpoint holds the object of the scan that it was trained on, and so serves no other.
    polish_epochs
        Epochs of the direct engine in which a reconstruction ends, where nothing else is asked for.
    """

    title: str
    help: str
    serves_one_scan: bool
    polish_epochs: int


ENGINES = {
    "pinn": Engine(
        "network",
        "Trains a network, which then reconstructs this scan and similar ones in seconds.",
        serves_one_scan=False,
        polish_epochs=10,
    ),
    "direct": Engine(
        "direct",
        "Fits object and probe of this scan alone. For a single scan, try it first.",
        serves_one_scan=True,
        polish_epochs=0,
    ),
}
"""The engines by name; `engines.models.MODELS` has their classes."""
