"""Settings by plain words, for forms and sentences; the command line has their names."""

from __future__ import annotations

import re

from ptycho_core.base.config import KNOBS

_PLAIN = {
    "init": "Begin with network of",
    "n_groups": "Groups per epoch",
    "val_fraction": "Validation part",
    "free_fraction": "Free part",
    "probe_trainable": "Improve probe",
    "warm_start_epochs": "Warm-up epochs",
    "max_epochs": "Epochs",
    "max_time": "Time limit (min)",
    "max_steps": "Step limit",
    "accumulate_grad_batches": "Batches per step",
    "gradient_clip_val": "Gradient limit",
    "physics_schedule": "Poisson schedule",
    "physics_warmup": "Poisson warm-up",
    "devices": "Devices per node",
    "num_nodes": "Nodes",
    "deterministic": "Reproducible",
    "num_workers": "Reading processes",
    "pin_memory": "Pinned memory",
    "persistent_workers": "Keep processes",
    "prefetch_factor": "Batches held ready",
    "logger": "Metrics go to",
    "preview_seconds": "Preview every (s)",
    "enable_checkpointing": "Save checkpoints",
    "checkpoint_save_top_k": "Checkpoints kept",
    "checkpoint_monitor": "Metric that ranks",
    "checkpoint_mode": "Best is",
    "early_stop_patience": "Early stop (epochs)",
    "early_stop_min_delta": "Least improvement",
    "distance_px": "Distance (px)",
    "rotation_deg": "Rotation (°)",
    "shear_deg": "Shear (°)",
}


ANSWERS = {
    "data": "Stored values",
    "dc": "Pattern centre",
    "axes": "Axes",
    "square": "Make square",
    "bad_pixels": "Bad values",
    "skip_lines": "Lines to skip",
    "bad_positions": "Bad positions",
    "mask": "Mask",
    "dark": "Dark frame",
    "scan_index": "Scan index",
    "pairing": "Pairing",
    "missing": "Missing patterns",
    "angle": "Sample angle",
    "position_unit": "Position unit",
    "columns": "Patterns in a line",
    "snake": "Snake",
    "flyback": "Patterns on the way back",
    "step_m": "Raster step",
    "orientation": "Position axes",
    "probe": "Probe",
    "source": "Beam of",
    "energy_ev": "Energy",
    "propagator": "Propagator",
    "distance_m": "Distance",
    "defocus_m": "Defocus",
    "magnification": "Magnification",
    "detector_pixel_m": "Detector pixel",
    "object_pixel_m": "Object pixel",
}
"""What forms call the answers to what a file leaves open."""


def label_of(name: str) -> str:
    """Return what a form calls a setting, its unit in parentheses."""
    return _PLAIN.get(name) or name.replace("_", " ").capitalize()


def _named(name: str) -> str:
    return (ANSWERS.get(name) or label_of(name)).partition(" (")[0]


_FIELDS = re.compile(rf"\b({'|'.join(name for name in (*KNOBS, *ANSWERS) if '_' in name)})\b")


def worded(sentence: str) -> str:
    """Return a sentence of the core, in which fields have their own names, as the window says it: by their labels."""
    return _FIELDS.sub(lambda found: _named(found[0]), sentence)
