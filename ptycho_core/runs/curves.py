"""What the curves of a run are: which metrics go together, where on the x axis they lie, how they are smoothed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ptycho_core.base.choices import loss_of_scan
from ptycho_core.runs.growing_table import Column, GrowingTable
from ptycho_core.runs.history import RunHistory

Axis = Literal["epoch", "step"]


@dataclass(frozen=True)
class Chart:
    """Metrics that are drawn together.

    Parameters
    ----------
    title
        Short, for a tab; the first letters differ.
    quantity
        What is on the y axis.
    of_steps
        The metric of each step, and what it is called; empty for none.
    of_epochs
        Metrics of each epoch: the role, which decides how it looks, the metric, and what it is called.
    noisy
        Whether smoothing the steps tells more than they do.
    of_scans
        Whether those of each epoch are of a scan each, and so look as different as those of runs.
    """

    title: str
    quantity: str
    of_steps: tuple[str, str] = ("", "")
    of_epochs: tuple[tuple[str, str, str], ...] = ()
    noisy: bool = True
    of_scans: bool = False

    def shows(self, metric: str) -> bool:
        """Return whether a metric is drawn here."""
        return metric == self.of_steps[0] or metric in [name for _, name, _ in self.of_epochs]


CHARTS = (
    Chart(
        "Poisson loss",
        "Poisson loss",
        ("poisson_train_loss_step", "training, each step"),
        (
            ("training", "poisson_train_loss_epoch", "training, mean of the epoch"),
            ("validation", "poisson_val_loss", "validation"),
        ),
    ),
    Chart(
        "Amplitude error",
        "mean absolute error of the amplitudes (mae)",
        of_epochs=(
            ("training", "mae_train_loss", "training, mean of the epoch"),
            ("validation", "mae_val_loss", "validation"),
        ),
    ),
    Chart("Learning rate", "learning rate", ("learning_rate", "learning rate"), noisy=False),
    Chart("Gradient", "norm of the gradient", ("grad_norm", "gradient norm")),
    Chart("Speed", "patterns per second", ("patterns_per_second", "patterns per second")),
)


def charts_of(history: RunHistory) -> tuple[Chart, ...]:
    """Return all charts of a run, the one with its monitored metric first."""
    charts = list(CHARTS)
    if history.scans:
        of_epochs = tuple(("validation", loss_of_scan(place), name) for place, name in enumerate(history.scans))
        charts.append(Chart("Scans", "Poisson loss, validation", of_epochs=of_epochs, of_scans=True))
    return tuple(sorted(charts, key=lambda chart: not chart.shows(history.config.monitor)))


@dataclass(frozen=True, eq=False)
class Curve:
    """A line to draw.

    Parameters
    ----------
    run
        0 for the run that is shown; overlaid ones count from 1.
    role
        "raw", "steps", "training", "validation", "misfit" or "free_misfit".
    words
        For the legend; empty to leave it out there.
    x, y
        Without gaps, x rising.
    """

    run: int
    role: str
    words: str
    x: Column
    y: Column

    def called(self, words: str) -> Curve:
        """Return the same curve under another name."""
        return dataclasses.replace(self, words=words)

    def nearest(self, x: float) -> float | None:
        """Return the value nearest to a place on the x axis; None beyond the ends of the curve."""
        if not len(self.x):
            return None
        gap = np.ptp(self.x) / (len(self.x) - 1) if len(self.x) > 1 else np.inf
        if not self.x[0] - gap <= x <= self.x[-1] + gap:
            return None
        return float(self.y[nearest_row(self.x, x)])


def curves_of(history: RunHistory, chart: Chart, axis: Axis, span: int) -> list[Curve]:
    """Return the curves of the run that is shown, each step's smoothed over about ``span`` steps if that is above 1."""
    curves = []
    name, words = chart.of_steps
    if name:
        x, y = _known(positions(history, history.steps, axis), history.steps[name])
        if span > 1 and chart.noisy:
            curves.append(Curve(0, "raw", "", x, y))
            curves.append(Curve(0, "steps", f"{words}, smoothed over {span}", x, smoothed(y, span)))
        else:
            curves.append(Curve(0, "steps", words, x, y))
    return curves + _of_epochs(history, chart, axis, 0, "")


def overlaid(history: RunHistory, chart: Chart, axis: Axis, run: int, label: str) -> list[Curve]:
    """Return the curves of another run, by epochs: those can be compared."""
    if chart.of_epochs:
        return _of_epochs(history, chart, axis, run, f"{label}: ")
    name, words = chart.of_steps
    epochs = history.steps["epoch"]
    if not len(epochs):
        return []
    firsts = np.flatnonzero(np.diff(epochs, prepend=-1))
    lasts = np.append(firsts[1:], len(epochs)) - 1
    means = np.add.reduceat(history.steps[name], firsts) / (lasts - firsts + 1)
    x, y = _known(positions(history, history.steps, axis)[lasts], means)
    return [Curve(run, "steps", f"{label}: {words}, mean of the epoch", x, y)]


def positions(history: RunHistory, table: GrowingTable, axis: Axis) -> Column:
    """Return where the rows of one of a run's tables lie on the x axis: steps or epochs that are done."""
    done = table["step"] + 1
    return done if axis == "step" else history.epochs_after(done)


def nearest_row(places: Column, x: float) -> int:
    """Return which of these places, rising and at least one, lies nearest to ``x``."""
    right = min(int(np.searchsorted(places, x)), len(places) - 1)
    left = max(0, right - 1)
    return left if x - places[left] < places[right] - x else right


def smoothed(y: Column, span: int) -> Column:
    """Return the exponential moving average with the weight 2 / (span + 1) for each new value."""
    if not len(y):
        return y
    # By Fourier transforms: scipy.signal would add half a second to the window's start.
    weight = 2 / (span + 1)
    kernel = weight * (1 - weight) ** np.arange(min(len(y), 8 * span))
    size = len(y) + len(kernel)
    product = np.fft.rfft(y - y[0], size) * np.fft.rfft(kernel, size)
    return np.asarray(y[0] + np.fft.irfft(product, size)[: len(y)])


def _of_epochs(history: RunHistory, chart: Chart, axis: Axis, run: int, before: str) -> list[Curve]:
    x = positions(history, history.epochs, axis)
    return [
        Curve(run + place * chart.of_scans, role, before + words, *_known(x, history.epochs[name]))
        for place, (role, name, words) in enumerate(chart.of_epochs)
        if name in history.epochs
    ]


def _known(x: Column, y: Column) -> tuple[Column, Column]:
    finite = np.isfinite(y)
    return (x, y) if finite.all() else (x[finite], y[finite])
