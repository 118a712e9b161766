"""What is told beside a picture, wherever it stands: in files of pictures, and on the logbook page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.verdict import verdict_in
from ptycho_core.scan.reconstruction import Reconstruction

SCORES = {"Free misfit": "free_misfit", "Misfit": "misfit", "Free deviance": "free_deviance", "R free": "r_free"}
"""Keys of the metrics, by what they are called."""


def facts_of(recon: Reconstruction) -> dict[str, str]:
    """Return what is known of a picture by what it is called, in the order to be told."""
    return {name: text for name, text in _facts(recon) if text}


def caption_of(recon: Reconstruction) -> str:
    """Return whose a picture is and how good, in a line; empty where nothing is known."""
    facts, verdict = facts_of(recon), verdict_in(recon.metrics)
    known = [facts[name] for name in ("Sample", "Run", "Date") if name in facts]
    scores = [f"free misfit {facts['Free misfit']}"] if "Free misfit" in facts else []
    return ", ".join([*known, *scores, *([str(verdict.level)] if verdict else [])])


def length_text(pixels: float, pixel_size_m: tuple[float, float] | None) -> str:
    """Return a length in nanometres or micrometres; in pixels where their size is not known."""
    if pixel_size_m is None:
        return f"{pixels:.3g} px"
    metres = pixels * max(pixel_size_m)
    return f"{metres * 1e6:.3g} µm" if metres >= 0.9995e-6 else f"{metres * 1e9:.3g} nm"


def _facts(recon: Reconstruction) -> Iterator[tuple[str, str]]:
    told, pixel, engine = recon.metrics, recon.pixel_size_m, ENGINES.get(str(recon.config.get("engine")))
    yield "Scan", recon.name
    yield "Sample", recon.sample
    yield "Run" if told.get("same_scan", True) else "Model of run", str(told.get("run") or "")
    yield "Date", _minute(told.get("date"))
    yield "Engine", engine.title if engine else ""
    epoch = told.get("checkpoint_epoch")
    yield "Epoch", str(epoch) if isinstance(epoch, int) else ""
    polish = told.get("polish_epochs")
    yield "Polish", f"{polish} epochs" if polish else "none" if polish == 0 else ""
    yield "Patterns", str(len(recon.pattern_index))
    yield "Final pass", str(told.get("final_pass", ""))
    verdict = verdict_in(told)
    yield "Verdict", str(verdict) if verdict else ""
    for name, key in SCORES.items():
        yield name, f"{value:.4f}" if isinstance(value := told.get(key), float) and value == value else ""
    halves = told.get("half_scans_resolution_px")
    why_not = f"not known: {told['half_scans_reason']}" if "half_scans_reason" in told else ""
    yield "Resolution", why_not if halves is None else f"{length_text(halves, pixel)} (half scans)"
    moved = told.get("positions_rms_px")
    yield "Positions", "" if moved is None else f"moved by {length_text(moved, pixel)} (rms)"
    yield "Object pixel", "" if pixel is None else length_text(1, pixel)
    energy = recon.geometry.energy_ev
    yield "Energy", "" if energy is None else f"{energy / 1e3:.6g} keV"
    yield "Comment", recon.comments


def _minute(date: object) -> str:
    """Return a time as the clock on the wall shows it; empty where it is none."""
    try:
        return datetime.fromisoformat(str(date)).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return ""
