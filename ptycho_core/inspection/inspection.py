"""What a scan is, in figures, words and a picture; streams over the patterns in bounded memory. No torch here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, Problem
from ptycho_core.inspection.beam import Beam, beam_of, units_of
from ptycho_core.inspection.memory import gigabytes, memory_of
from ptycho_core.inspection.probe_guess import initial_probe
from ptycho_core.inspection.scan_checks import check_overlap, check_scan, median_step_px
from ptycho_core.scan.fixes import flag_of
from ptycho_core.scan.grouping import Neighborhoods, probe_diameter
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey, survey_of

_LABEL_WIDTH = 18


@dataclass(frozen=True, eq=False)
class Inspection:
    """A scan that was looked at.

    Parameters
    ----------
    scan
        As it was read and preprocessed.
    seen
        Of all its patterns, or of a sample (`Survey.rows` says which).
    probe
        (M, N, N) complex64: the scan's own, or a guess where it has none.
    near
        Neighbours of its positions.
    step_px
        `median_step_px` of its positions.
    problems
        From `check_scan`.
    beam
        Of the scan's own probe; None without one, and in the near field, where a probe is told as a shadow.
    """

    scan: Scan
    seen: Survey
    probe: NDArray[np.complex64]
    near: Neighborhoods
    step_px: float
    problems: tuple[Problem, ...]
    beam: Beam | None


def inspect(
    scan: Scan, everything: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> Inspection:
    """Look at a scan: at all of its patterns, or at a sample of a large one unless ``everything`` is asked for.

    Parameters
    ----------
    scan
        To look at.
    everything, progress
        As for `survey_of`.
    """
    seen = survey_of(scan, everything, progress)
    probe = initial_probe(scan, seen) if scan.probe is None else scan.probe
    step_px = median_step_px(scan.positions)
    problems = [*check_scan(scan, seen, step_px), *check_overlap(scan, step_px, probe)]
    fits = scan.probe is not None and scan.probe.shape[-1] == scan.size  # else it is a problem, and of any size
    focused = fits and scan.geometry.propagator == "far"
    beam = beam_of(probe, units_of(scan.geometry, scan.size)) if focused else None
    return Inspection(scan, seen, probe, Neighborhoods(scan.positions), step_px, tuple(problems), beam)


def scan_figures(scan: Scan) -> dict[str, Any]:
    """Look at all of a scan and return its `figures`."""
    return figures(inspect(scan, everything=True))


def figures(looked: Inspection) -> dict[str, Any]:
    """Return what is to know of a scan as primitives that JSON takes; None where it is not known.

    ``overlap`` is ``1 - step / diameter`` of neighbouring views, the step being the median distance of a position
    from the nearest other. ``diameter_px`` is that of `grouping.probe_diameter`, of the stored probe or else of a
    guess (``source``). Lengths are (y, x).
    """
    scan, seen, probe = looked.scan, looked.seen, looked.probe
    diameter = probe_diameter(probe)
    pixel = scan.pixel_size_m
    memory = memory_of(Config(), scan, looked.near)
    step = looked.step_px
    extent = np.ptp(scan.positions, axis=0)
    field = extent + scan.size
    counts = seen.sums
    modes = (abs(probe).astype(np.float64) ** 2).sum(axis=(1, 2))
    return {
        "path": scan.source.path and str(scan.source.path),
        "format": scan.source.format,
        "patterns": {
            "shape": list(scan.patterns.shape),
            "stored_as": str(scan.patterns.source.dtype),
            "in_memory": scan.patterns.in_memory,
            "bytes_as_float32": scan.patterns.nbytes,
            "looked_at": len(seen.rows),
            "empty": seen.empty_rows.tolist(),
        },
        "counts": {
            "per_pattern": _statistics(counts),
            "per_pixel_mean": _number(counts.mean() / max(np.count_nonzero(seen.good), 1)),
            "per_pixel_max": _number(seen.maximum),
            "total": _number(counts.sum()),
        },
        "positions": {
            "step_px": _number(step),
            "step_m": None if pixel is None else _number(step * math.sqrt(pixel[0] * pixel[1])),
            "extent_px": _numbers(extent),
            "field_of_view_px": _numbers(field),
            "field_of_view_m": None if pixel is None else _numbers(field * pixel),
        },
        "probe": {
            "source": "guess" if scan.probe is None else "file",
            "shape": list(probe.shape),
            "mode_powers": _numbers(modes / (modes.sum() or 1.0)),
            "diameter_px": _number(diameter),
            "diameter_m": None if pixel is None else _number(diameter * math.sqrt(pixel[0] * pixel[1])),
            "overlap": _number(max(0.0, 1 - step / diameter)) if diameter > 0 else None,
        },
        "beam": looked.beam and looked.beam.figures(),
        "memory": {"bytes": memory.total, "object_px": list(memory.canvas_px)},
        "mask": {
            "bad_pixels": int(np.count_nonzero(~seen.good)),
            "bad_in_one_pattern": _number((1 - seen.measured[seen.good] / len(seen.rows)).sum()),
        },
        "geometry": {**dataclasses.asdict(scan.geometry), "pixel_size_m": None if pixel is None else list(pixel)},
        "history": list(scan.history),
        "assumptions": [dataclasses.asdict(a) for a in scan.assumptions],
        "problems": [dataclasses.asdict(p) for p in looked.problems],
    }


def summary(info: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what `figures` found in words: (label, text), the label empty where a row continues the one before."""
    patterns, counts, positions = info["patterns"], info["counts"], info["positions"]
    probe, geometry, per_pattern = info["probe"], info["geometry"], counts["per_pattern"]
    n, height, width = patterns["shape"]
    mean, least, most = (_count(per_pattern[name]) for name in ("mean", "min", "max"))
    looked_at = patterns["looked_at"]
    sample = [] if looked_at == n else [("", f"as of {looked_at} patterns, evenly spread over the scan")]
    return [
        ("File", info["path"] or "in memory"),
        ("Format", info["format"]),
        ("Patterns", f"{n} of {height} x {width} pixels, stored as {patterns['stored_as']}"),
        ("Counts", f"{mean} per pattern ({least} to {most})"),
        ("", f"{_count(counts['per_pixel_mean'])} per pixel on average, {_count(counts['per_pixel_max'])} at most"),
        *sample,
        ("Bad pixels", _mask_line(info["mask"])),
        ("Step", f"{positions['step_px']:.3g} px{_length(positions['step_m'])}"),
        ("Field of view", _area(positions["field_of_view_px"], positions["field_of_view_m"])),
        ("Probe", _probe_line(probe)),
        *([("Beam", beam_line(info["beam"]))] if info["beam"] else []),
        ("Overlap", "unknown" if probe["overlap"] is None else f"{probe['overlap']:.0%} of the probe's diameter"),
        ("Energy", _or_unknown(geometry["energy_ev"], 1e-3, "keV") + _of_electrons(geometry)),
        ("Distance", _or_unknown(geometry["distance_m"], 1, "m") + _in_near_field(geometry)),
        ("Pixel size", _pixel_line(geometry["pixel_size_m"])),
        ("Memory", _memory_line(info["memory"])),
    ]


def describe(info: dict[str, Any]) -> str:
    """Return what `scan_figures` found as text for a terminal."""
    lines = [f"{label:<{_LABEL_WIDTH}}{text}" for label, text in summary(info)]
    lines += _section("History", info["history"])
    lines += _section("Assumed", [f"{a['key']}={a['value']}: {a['reason']}" for a in info["assumptions"]])
    lines += _section("Problems", [f"{p['severity']}: {p['message']}{_ways_out(p)}" for p in info["problems"]])
    return "\n".join(lines)


def _ways_out(problem: dict[str, Any]) -> str:
    """Return the flags that put a problem right, as the end of its sentence."""
    flags = [flag_of(fix["field"], fix["value"]) for fix in problem["fixes"]]
    return f" [{' or '.join(flags)}]" if flags else ""


def plot_scan(scan: Scan, path: Path) -> None:
    """Write a picture: mean pattern (logarithmic), positions coloured by counts, amplitude and phase of the probe.

    Parameters
    ----------
    scan
        What to show; without a probe, the guess is shown.
    path
        Any format that matplotlib writes; the suffix decides.
    """
    from matplotlib.figure import Figure

    seen = survey_of(scan, everything=True)
    probe = (initial_probe(scan) if scan.probe is None else scan.probe)[0]
    figure = Figure(figsize=(11, 9), layout="constrained")
    (top_left, top_right), (bottom_left, bottom_right) = figure.subplots(2, 2)
    mean = np.where(seen.good, seen.mean, np.nan)
    image = top_left.imshow(np.log10(1 + mean), cmap="viridis")
    top_left.set_title("Mean pattern")
    figure.colorbar(image, ax=top_left, label="log10(1 + counts)")
    dots = top_right.scatter(scan.positions[:, 1], scan.positions[:, 0], c=seen.sums, s=12, cmap="viridis")
    top_right.set(title=f"{len(scan)} positions", xlabel="x (px)", ylabel="y (px)", aspect="equal")
    top_right.invert_yaxis()
    figure.colorbar(dots, ax=top_right, label="counts per pattern")
    name = "Probe guess" if scan.probe is None else "Probe"
    image = bottom_left.imshow(abs(probe), cmap="viridis")
    bottom_left.set_title(f"{name}, amplitude")
    figure.colorbar(image, ax=bottom_left)
    image = bottom_right.imshow(visible_phase(probe), cmap="twilight", vmin=-np.pi, vmax=np.pi)
    bottom_right.set_title(f"{name}, phase")
    figure.colorbar(image, ax=bottom_right, label="rad")
    if path.suffix[1:].lower() not in figure.canvas.get_supported_filetypes():
        raise InputError(f"{path} must end in .png, .pdf or .svg, or as another picture that Matplotlib writes")
    with explain_write_errors(path):
        figure.savefig(path, dpi=110)


def visible_phase(probe: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return the phase (N, N) of a mode where there is light to have one, NaN elsewhere."""
    amplitude = abs(probe)
    return np.where(amplitude > 0.05 * amplitude.max(), np.angle(probe), np.float32(np.nan)).astype(np.float32)


def _statistics(values: NDArray[np.float64]) -> dict[str, float | None]:
    return {
        "min": _number(values.min()),
        "median": _number(np.median(values)),
        "mean": _number(values.mean()),
        "max": _number(values.max()),
        "std": _number(values.std()),
    }


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: Any) -> list[float | None]:
    return [_number(value) for value in values]


def _section(title: str, sentences: list[str]) -> list[str]:
    return ["", title, *(f"  {sentence}" for sentence in sentences)] if sentences else []


def _count(value: float) -> str:
    """Return four digits of a number of photons: ``461,200``, ``28.15``, ``1.235e+09``."""
    return f"{float(f'{value:.4g}'):,.7g}"


def _length(metres: float | None) -> str:
    return "" if metres is None else f" ({with_unit(metres)})"


def with_unit(metres: float) -> str:
    """Return a length in the unit in which it is a handy number, from metres to picometres."""
    for factor, unit in ((1.0, "m"), (1e-3, "mm"), (1e-6, "µm"), (1e-9, "nm")):
        if abs(metres) >= factor:
            return f"{metres / factor:.4g} {unit}"
    return f"{metres * 1e12:.4g} pm"


def _area(pixels: list[float], metres: list[float] | None) -> str:
    size = f"{pixels[0]:.0f} x {pixels[1]:.0f} px"
    return size if metres is None else f"{size} ({with_unit(metres[0])} x {with_unit(metres[1])})"


def _mask_line(mask: dict[str, Any]) -> str:
    of_one = mask["bad_in_one_pattern"]
    return f"{mask['bad_pixels']}" + (f", and {of_one:.4g} more in a pattern, others in each" if of_one else "")


def _probe_line(probe: dict[str, Any]) -> str:
    modes, height, width = probe["shape"]
    origin = "guessed from the patterns" if probe["source"] == "guess" else f"{height} x {width} pixels"
    count = "1 mode" if modes == 1 else f"{modes} modes"
    diameter = probe["diameter_px"]
    size = "no power" if diameter is None else f"{diameter:.3g} px{_length(probe['diameter_m'])} in diameter"
    return f"{origin}, {count}, {size}"


def beam_line(beam: dict[str, Any]) -> str:
    """Return what `Beam.figures` found in words."""
    at_sample = _widths(beam["width_px"], beam["width_m"])
    if beam["in_focus"]:
        return f"{at_sample} wide (FWHM, y x x), in focus"
    if None in beam["defocus_px2_per_wavelength"]:
        return f"{at_sample} wide (FWHM, y x x), no focus within reach"
    in_focus = _widths(beam["focus_width_px"], beam["focus_width_m"])
    return f"{at_sample} wide (FWHM, y x x) at the sample, {_behind(beam)} the focus, where it is {in_focus}"


def _behind(beam: dict[str, Any]) -> str:
    """Return how far the sample is behind the focus, or before it."""
    metres, plain = beam["defocus_m"], beam["defocus_px2_per_wavelength"]

    def told(along: int | None) -> str:
        y, x = metres or plain
        z = (y + x) / 2 if along is None else (y, x)[along]
        length = with_unit(abs(z)) if metres else f"{abs(z):.4g} px²/wavelength"
        return f"{length} {'behind' if z > 0 else 'before'}"

    return f"{told(0)} (y) and {told(1)} (x)" if beam["astigmatic"] else told(None)


def _widths(pixels: list[float], metres: list[float] | None) -> str:
    if metres is None:
        return f"{pixels[0]:.3g} x {pixels[1]:.3g} px"
    return f"{with_unit(metres[0])} x {with_unit(metres[1])}"


def _or_unknown(value: float | None, factor: float, unit: str) -> str:
    return "unknown" if value is None else f"{value * factor:.6g} {unit}"


def _of_electrons(geometry: dict[str, Any]) -> str:
    return ", electrons" if geometry["source"] == "electrons" else ""


def _in_near_field(geometry: dict[str, Any]) -> str:
    if geometry["propagator"] == "far":
        return ""
    magnification = geometry["magnification"]
    return ", near field" + ("" if magnification is None else f", magnified {magnification:.4g} times")


def _memory_line(memory: dict[str, Any]) -> str:
    height, width = memory["object_px"]
    return f"about {gigabytes(memory['bytes'])} for a run, on an object of {height:,} x {width:,} pixels"


def _pixel_line(pixel: list[float] | None) -> str:
    return "unknown" if pixel is None else f"{with_unit(pixel[0])} x {with_unit(pixel[1])} on the object"
