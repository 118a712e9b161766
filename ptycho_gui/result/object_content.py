"""What the object panel can be asked to show, in words and as a job.

What a job needs it imports when it runs: the window opens sooner.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptycho_core.base.events import PreviewReady, StopToken
from ptycho_core.base.verdict import Verdict, verdict_in
from ptycho_core.quality.picture import Options, Pictures, Subject
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_gui.kit.plots.lengths import length_text
from ptycho_gui.kit.threads.worker import Job
from ptycho_gui.kit.words import figure

if TYPE_CHECKING:
    from ptycho_core.quality.comparison import Comparison
    from ptycho_core.quality.displacements import DisplacementMap

LETTERS = ("A", "B")
"""What two objects that are compared are called."""
Subjects = tuple[tuple[Subject, ...], "Comparison | None"]


@dataclass(frozen=True, eq=False)
class Content:
    """One object or two.

    Parameters
    ----------
    title
        Stands above the pictures.
    names
        Of the objects.
    subjects
        Makes what the pictures are made from; takes long where there are two.
    preview
        The object on its way, not a result.
    displacements
        Makes the map of what refinement moved; None where nothing was.
    verdict
        On the object; None for a preview, of two, and of old reconstructions.
    one_run
        Whether two objects were made with checkpoints of the same run.
    """

    title: str
    names: tuple[str, ...]
    subjects: Callable[[], Subjects]
    preview: bool = False
    displacements: Callable[[], DisplacementMap] | None = None
    verdict: Verdict | None = None
    one_run: bool = False


@dataclass(frozen=True, eq=False)
class Ready:
    """A content with its pictures."""

    content: Content
    subjects: Subjects
    pictures: tuple[Pictures, ...]
    displacements: DisplacementMap | None


def preview_content(name: str, preview: PreviewReady) -> Content:
    """Return the content that shows a preview, of a run that goes on or that was."""

    def subjects() -> Subjects:
        from ptycho_core.quality.picture_making import subject_of_preview

        return (subject_of_preview(preview),), None

    return Content(f"{name}, {preview.moment}", (name,), subjects, preview=True)


def final_content(label: str, recon: Reconstruction) -> Content:
    """Return the content that shows a reconstruction."""

    def subjects() -> Subjects:
        from ptycho_core.quality.picture_making import subject_of_reconstruction

        return (subject_of_reconstruction(recon),), None

    def displacements() -> DisplacementMap:
        from ptycho_core.quality.displacements import displacement_map

        assert recon.recorded_positions_px is not None
        return displacement_map(recon.recorded_positions_px, recon.positions_px)

    moved = None if recon.recorded_positions_px is None else displacements
    verdict = verdict_in(recon.metrics)
    return Content(f"{label}: {quality(recon)}", (label,), subjects, displacements=moved, verdict=verdict)


def compared_content(first: tuple[str, Reconstruction], second: tuple[str, Reconstruction]) -> Content:
    """Return the content that shows two reconstructions on the same pixels."""

    def subjects() -> Subjects:
        from ptycho_core.quality.comparison import compare
        from ptycho_core.quality.picture_making import subjects_of_comparison

        found = compare(first[1], second[1])
        return subjects_of_comparison(found, first[1], second[1]), found

    title = "; ".join(
        f"{letter}: {_figures(recon)}" for letter, (_, recon) in zip(LETTERS, (first, second), strict=True)
    )
    places = {Path(str(recon.metrics.get("checkpoint", ""))).parent for _, recon in (first, second)}
    return Content(title, (first[0], second[0]), subjects, one_run=len(places) == 1 and places != {Path()})


_FIGURES = (("free misfit", "free_misfit"), ("free deviance", "free_deviance"))


def quality(recon: Reconstruction) -> str:
    """Return how good a reconstruction is, in one line for the operator."""
    halves, pixel = recon.metrics.get("half_scans_resolution_px"), recon.pixel_size_m
    if "half_scans_reason" in recon.metrics:
        return f"{_figures(recon)}, half scans are not compared: {recon.metrics['half_scans_reason']}"
    if halves is None:
        return _figures(recon)
    length = length_text(halves * max(pixel), True) if pixel else length_text(halves, False)
    return f"half scans agree down to {length}, {_figures(recon)}"


def _figures(recon: Reconstruction) -> str:
    figures = ", ".join(f"{name} {figure(recon.metrics.get(key))}" for name, key in _FIGURES if key in recon.metrics)
    if "final_pass" in recon.metrics:
        return f"{figures} before the final pass"
    return ", ".join(filter(None, (figures, f"{len(recon.pattern_index)} patterns")))


def pictures_job(content: Content, subjects: Subjects | None, options: Options) -> Job:
    """Make the pictures of a content; what they are made from is made too where it is not given. Result: `Ready`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> Ready:
        from ptycho_core.quality.picture_making import make_pictures

        made = subjects or content.subjects()
        token.leave_if_cancelled()
        pictures = tuple(make_pictures(subject, options, token) for subject in made[0])
        return Ready(content, made, pictures, content.displacements() if content.displacements else None)

    return job
