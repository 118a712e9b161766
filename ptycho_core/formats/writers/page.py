"""A page for the logbook: object and probe with all that is known of them, on a sheet of A4, as PDF or PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.atomic import atomic_write
from ptycho_core.base.build_config import fewest_settings
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import InputError
from ptycho_core.base.verdict import Level, Verdict, verdict_in
from ptycho_core.formats.writers.facts import facts_of
from ptycho_core.formats.writers.images import (
    SOFTWARE,
    Style,
    amplitude_style,
    cropped_images,
    draw_picture,
    is_png,
    mark_angles,
    phase_style,
    png_texts,
)
from ptycho_core.scan.reconstruction import Reconstruction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, MARGIN = 595.0, 842.0, 40.0
"""Of the sheet, in points."""
INSIDE = WIDTH - 2 * MARGIN
_DPI = 200
_GAP, _BAR, _LEAST = 14.0, 34.0, 250.0
"""Between two parts; of a colour bar with its numbers; height of the pictures that a long comment leaves them."""
_PROBE, _MODES = 92.0, 4
"""Side of a picture of the probe, and how many of them there are at most."""
_DIM = 0.05
"""Part of a probe's greatest amplitude below which its phase is not shown."""
_GREY = "#555555"
_COLOURS = {Level.GOOD: "#1a7f37", Level.DOUBTFUL: "#9a6700", Level.POOR: "#b42318"}
_FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans CJK KR",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
)
"""Those of them that are installed: the first comes with Matplotlib, the others have what it lacks."""


def write_page(recon: Reconstruction, *paths: Path) -> None:
    """Write the same page into each of the files, ``.pdf`` or ``.png``.

    Raises
    ------
    PtychoError
        A file cannot be written.
    """
    figure = draw_page(recon)
    for path in paths:
        pdf = path.suffix.lower() == ".pdf"
        texts = {"Title": recon.name, "Creator": SOFTWARE} if pdf else png_texts(recon)
        encoded = io.BytesIO()  # Matplotlib hides why a PDF could not be written
        figure.savefig(encoded, format="pdf" if pdf else "png", dpi=_DPI, metadata=texts)
        with atomic_write(path, _is_pdf if pdf else is_png) as temporary:
            temporary.write_bytes(encoded.getbuffer())


def _is_pdf(temporary: Path) -> None:
    data = temporary.read_bytes()
    if not data.startswith(b"%PDF") or b"%%EOF" not in data[-32:]:
        raise ValueError("it is no whole PDF")


class _Sheet:
    """A sheet that is filled from the top; lengths are points, x from its left edge."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure
        from matplotlib.font_manager import get_font_names

        self.figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        self.left = HEIGHT - MARGIN
        """Above the lower edge, where the next part begins."""
        installed = set(get_font_names())
        self.fonts = [name for name in _FONTS if name in installed]

    def lines(self, text: str, width: float, size: float, weight: str = "normal") -> list[str]:
        """Return a text in lines that are no wider, each of its own ones on a new line."""
        found = []
        for paragraph in text.splitlines():
            line = ""
            for word in paragraph.split():
                joined = f"{line} {word}".lstrip()
                if self._wide(joined, size, weight) <= width:
                    line = joined
                    continue
                found += [line] if line else []
                while self._wide(word, size, weight) > width:
                    part = next(n for n in range(len(word) - 1, 0, -1) if self._wide(word[:n], size, weight) <= width)
                    found.append(word[:part])
                    word = word[part:]
                line = word
            found.append(line)
        return found

    def write(self, lines: Sequence[str], x: float, top: float, size: float, **style: Any) -> float:
        """Write lines below one another; return where they end."""
        for line in lines:
            top -= 1.3 * size
            self.figure.text(
                x / WIDTH, (top + 0.3 * size) / HEIGHT, line, size=size, family=self.fonts, parse_math=False, **style
            )
        return top

    def axes(self, x: float, top: float, width: float, height: float) -> Axes:
        """Return axes whose upper left corner is there."""
        return self.figure.add_axes((x / WIDTH, (top - height) / HEIGHT, width / WIDTH, height / HEIGHT))

    def _wide(self, text: str, size: float, weight: str) -> float:
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import text_to_path

        font = FontProperties(family=self.fonts, size=size, weight=weight)
        return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def draw_page(recon: Reconstruction) -> Figure:
    """Return the page."""
    sheet, facts, verdict = _Sheet(), facts_of(recon), verdict_in(recon.metrics)
    _head(sheet, facts)
    if verdict:
        _say(sheet, verdict)
    settings, comment = _settings(sheet, recon), sheet.lines(facts.pop("Comment", ""), INSIDE, 9)
    below = [part for part in (("Settings that are not as by default", settings), ("Comment", comment)) if part[1]]
    taken = _height_of_middle(sheet, recon, facts) + sum(2 * 9 + 1.3 * 9 * len(lines) + _GAP for _, lines in below) + 24
    _pictures(sheet, recon, max(_LEAST, sheet.left - MARGIN - taken))
    _probe_and_facts(sheet, recon, facts)
    for heading, lines in below:
        room = int((sheet.left - MARGIN - 24 - 2 * 9) / (1.3 * 9))
        if len(lines) > room:
            lines = [*lines[: max(0, room - 1)], "…  (the rest is in the run's folder)"]
        sheet.left = sheet.write([heading], MARGIN, sheet.left, 9, weight="bold")
        sheet.left = sheet.write(lines, MARGIN, sheet.left, 9) - _GAP
    foot = ", ".join(filter(None, (SOFTWARE, str(recon.metrics.get("checkpoint") or ""))))
    sheet.write(sheet.lines(foot, INSIDE, 7)[:2], MARGIN, MARGIN + 8, 7, color=_GREY)
    return sheet.figure


def _head(sheet: _Sheet, facts: dict[str, str]) -> None:
    """Write what the picture is of, in large letters, and where it comes from."""
    scan, sample = facts.pop("Scan", ""), facts.pop("Sample", "")
    title = sample or scan or "Reconstruction"
    date = facts.pop("Date", "")
    sheet.figure.text(
        1 - MARGIN / WIDTH, (sheet.left - 16) / HEIGHT, date, size=10, ha="right", family=sheet.fonts, color=_GREY
    )
    lines = sheet.lines(title, INSIDE - 110, 17, "bold")[:2]
    sheet.left = sheet.write(lines, MARGIN, sheet.left, 17, weight="bold")
    known = [f"scan {scan}" if scan and sample else "", f"run {facts['Run']}" if "Run" in facts else ""]
    facts.pop("Run", "")
    sheet.left = sheet.write(sheet.lines(", ".join(filter(None, known)), INSIDE, 10)[:2], MARGIN, sheet.left, 10) - 8


def _say(sheet: _Sheet, verdict: Verdict) -> None:
    """Write the verdict beside a bar of its colour."""
    colour, top = _COLOURS[verdict.level], sheet.left
    end = sheet.write([str(verdict.level).capitalize()], MARGIN + 10, top, 11, weight="bold", color=colour)
    end = sheet.write(sheet.lines("; ".join(verdict.reasons) + ".", INSIDE - 10, 9), MARGIN + 10, end, 9)
    bar = sheet.axes(MARGIN, top, 4, top - end)
    bar.set_facecolor(colour)
    bar.set(xticks=[], yticks=[])
    for edge in bar.spines.values():
        edge.set_visible(False)
    sheet.left = end - _GAP


def _settings(sheet: _Sheet, recon: Reconstruction) -> list[str]:
    """Return in lines what preset and defaults have otherwise."""
    try:
        config = Config.from_dict(recon.config)
    except InputError:  # by another version
        return []
    changed = {"preset": config.preset, **fewest_settings(config)}
    return sheet.lines("; ".join(f"{name} {KNOBS[name].text(value)}" for name, value in changed.items()), INSIDE, 9)


def _pictures(sheet: _Sheet, recon: Reconstruction, room: float) -> None:
    """Draw amplitude and phase: beside each other, or below where they are wide."""
    amplitude, phase = cropped_images(recon)
    dy, dx = recon.pixel_size_m or (1.0, 1.0)
    tall = len(amplitude) * dy / (len(amplitude[0]) * dx)
    stacked = tall < 0.5
    width = INSIDE if stacked else (INSIDE - _GAP) / 2
    height = min(width * tall, (room - _GAP) / 2 - _BAR - 14 if stacked else room - _BAR - 14)
    styles = (("Amplitude", amplitude, amplitude_style(amplitude)), ("Phase (rad)", phase, phase_style(phase)))
    top = sheet.left
    for number, (title, image, style) in enumerate(styles):
        x = MARGIN if stacked or not number else MARGIN + width + _GAP
        top = sheet.left if stacked or not number else top
        _picture(sheet, x, top, width, height, title, image, recon, style)
        sheet.left = top - 14 - height - _BAR
    sheet.left -= _GAP / 2


def _picture(
    sheet: _Sheet,
    x: float,
    top: float,
    width: float,
    height: float,
    title: str,
    image: NDArray[np.float32],
    recon: Reconstruction,
    style: Style,
) -> None:
    sheet.write([title], x, top, 9, weight="bold")
    axes = sheet.axes(x, top - 14, width, height)
    axes.set_anchor("NW")
    shown = draw_picture(axes, image, recon.pixel_size_m, style, 8)
    shown.set_interpolation("antialiased")
    shown.set_interpolation_stage("rgba")  # of angles there is no mean
    axes.apply_aspect()
    bar = sheet.axes(x, top - 14 - height - 5, axes.get_position().width * WIDTH, 7)
    colours = sheet.figure.colorbar(shown, cax=bar, orientation="horizontal")
    colours.ax.tick_params(labelsize=8)
    mark_angles(colours, style)


def _height_of_middle(sheet: _Sheet, recon: Reconstruction, facts: dict[str, str]) -> float:
    """Return how high the probe and the facts beside it are."""
    rows = sum(len(lines) for _, lines in _rows(sheet, facts))
    return max((_PROBE + 14) * (2 if len(recon.probe) > 1 else 1), 1.3 * 8.5 * rows) + _GAP


_FACTS_AT, _VALUES_AT = MARGIN + 2 * _PROBE + 8 + 1.5 * _GAP, 74.0


def _rows(sheet: _Sheet, facts: dict[str, str]) -> list[tuple[str, list[str]]]:
    width = WIDTH - MARGIN - _FACTS_AT - _VALUES_AT
    return [(name, sheet.lines(text, width, 8.5)) for name, text in facts.items() if name != "Verdict"]


def _probe_and_facts(sheet: _Sheet, recon: Reconstruction, facts: dict[str, str]) -> None:
    """Draw the probe at the left and list what is known at the right."""
    top, end = sheet.left, sheet.left - _height_of_middle(sheet, recon, facts)
    powers = (np.abs(recon.probe) ** 2).sum(axis=(1, 2))
    powers = powers / (powers.sum() or 1.0)
    first = recon.probe[0]
    phase = np.where(np.abs(first) >= _DIM * np.abs(first).max(), np.angle(first), np.nan).astype(np.float32)
    share = f", {powers[0]:.0%}" if len(powers) > 1 else ""
    drawn: list[tuple[str, NDArray[np.float32], Style]] = [
        (f"Probe{share}", *_amplitude(first)),
        ("Its phase", phase, Style("phase (rad)", "twilight", 1.0, (-np.pi, np.pi))),
    ]
    drawn += [(f"Mode {n + 1}, {powers[n]:.0%}", *_amplitude(recon.probe[n])) for n in range(1, len(powers))]
    for number, (title, image, style) in enumerate(drawn[:_MODES]):
        x, y = MARGIN + (number % 2) * (_PROBE + 8), top - (number // 2) * (_PROBE + 14)
        sheet.write([title], x, y, 8.5, weight="bold")
        draw_picture(sheet.axes(x, y - 13, _PROBE, _PROBE - 2), image, recon.pixel_size_m, style, 5.5)
    for name, lines in _rows(sheet, facts):
        sheet.write([name], _FACTS_AT, top, 8.5, color=_GREY)
        top = sheet.write(lines, _FACTS_AT + _VALUES_AT, top, 8.5)
    sheet.left = end


def _amplitude(mode: NDArray[np.complex64]) -> tuple[NDArray[np.float32], Style]:
    amplitude = np.abs(mode).astype(np.float32)
    return amplitude, Style("amplitude", "gray", 1.0, (0.0, float(amplitude.max()) or 1.0))
