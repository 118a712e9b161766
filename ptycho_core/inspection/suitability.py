"""Whether a trained model is meant for a scan: beam, steps, counts and pixels beside those of its training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Problem
from ptycho_core.inspection.scan_beam import ScanBeam
from ptycho_core.inspection.scan_checks import median_step_px
from ptycho_core.scan.grouping import probe_diameter
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import survey_of

STEP, COUNTS, PIXEL = 2.0, 10.0, 1.5
"""Times that a figure may be larger or smaller than in the training."""
FURTHER_SCANS = "further_scans"
"""In the summary of a network that was trained on several scans: the summaries of those beside the first."""


def scans_of(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the summaries of all scans of a training, the first one first."""
    return [summary, *summary.get(FURTHER_SCANS, ())]


def conditions_of(scan: Scan) -> dict[str, Any]:
    """Return what a checkpoint keeps of how its scan was measured, beside what tells which scan it was."""
    known: dict[str, Any] = {"step_px": float(f"{median_step_px(scan.positions):.4g}")}
    if scan.source.path is not None:
        known["name"] = scan.source.path.name
    if scan.geometry.energy_ev is not None:
        known["energy_ev"] = float(f"{scan.geometry.energy_ev:.6g}")
    if (pixel := scan.pixel_size_m) is not None:
        known["pixel_m"] = [float(f"{length:.4g}") for length in pixel]
    return known


def check_suitability(
    summary: dict[str, Any], probe: NDArray[np.complexfloating[Any, Any]], beam: ScanBeam
) -> list[Problem]:
    """Return in what a scan differs from that of a model's training by more than a network takes well: warnings.

    Parameters
    ----------
    summary
        Of the scan that it was trained on, as its checkpoint has it; versions before 0.2 recorded less.
    probe
        (M, N, N) of the model.
    beam
        Of the scan that it is to reconstruct.
    """
    return [Problem("checkpoint", sentence, "warning") for sentence in _differences(summary, probe, beam)]


def _differences(
    summary: dict[str, Any], probe: NDArray[np.complexfloating[Any, Any]], beam: ScanBeam
) -> Iterator[str]:
    scan = beam.scan
    if summary["size"] != scan.size:
        yield f"the scan's patterns have {scan.size} pixels a side, those of the training {summary['size']}"
    if not beam.may_be(probe):
        how = ", as guessed from the patterns" if beam.guessed else ""
        told = "" if beam.misfit(probe) is None else ", which does not explain the scan's patterns better"
        there = probe_diameter(probe)
        yield f"the scan's beam is {beam.width_px:.3g} px wide{how}, that of the training {there:.3g} px{told}"
    step, trained = median_step_px(scan.positions), summary.get("step_px")
    if trained and _apart(step, trained, STEP):
        yield f"the scan's steps are {step:.3g} px, those of the training {trained:.3g} px"
    brightest = float(survey_of(scan).sums.max())
    if _apart(brightest, summary["brightest"], COUNTS):
        yield (
            f"the scan's brightest pattern has {brightest:.3g} counts, that of the training {summary['brightest']:.3g}"
        )
    pixel, before = scan.pixel_size_m, summary.get("pixel_m")
    if pixel and before and _apart(pixel[0], before[0], PIXEL):
        yield f"the scan's pixels are {1e9 * pixel[0]:.3g} nm, those of the training {1e9 * before[0]:.3g} nm"
    if trained is None:
        yield "steps and pixel size of the training are not recorded in this checkpoint, and so are not compared"


def _apart(one: float, other: float, factor: float) -> bool:
    low, high = sorted((one, other))
    return low <= 0 < high or high > factor * low
