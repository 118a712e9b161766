"""Curves of 100,000 steps stay fluid: milliseconds of the window's thread."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from harness import Row, main
from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication

from ptycho_core.base.choices import EPOCH_METRICS, STEP_METRICS
from ptycho_core.base.config import Config
from ptycho_core.runs.history import RunHistory
from ptycho_gui.train.curves_panel import CurvesPanel

EPOCHS, STEPS = 200, 500
WIDTH, HEIGHT = 1700, 1000
TIMES = 15
LIMIT_MS = 50.0
HOW = (
    f"curves of {EPOCHS} epochs of {STEPS} steps, smoothed, with two more runs overlaid, {WIDTH} x {HEIGHT} pixels; "
    f"CPU time of the window's thread, median of {TIMES}"
)


def history(seed: int) -> RunHistory:
    rng = np.random.default_rng(seed)
    run = RunHistory(Config(max_epochs=EPOCHS))
    step = np.arange(EPOCHS * STEPS, dtype=float)
    noise = {name: np.exp(-step / len(step)) * rng.lognormal(sigma=0.2, size=len(step)) for name in STEP_METRICS}
    run.steps.extend({**noise, "step": step, "epoch": 1 + step // STEPS})
    last = step[STEPS - 1 :: STEPS]
    values = {name: rng.lognormal(sigma=0.1, size=EPOCHS) for name in EPOCH_METRICS}
    run.epochs.extend({**values, "step": last, "epoch": 1 + last // STEPS})
    return run


def milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        started = time.thread_time()
        work()
        times.append(1e3 * (time.thread_time() - started))
    return statistics.median(times)


def measure(scan: Path) -> Iterator[Row]:
    app = QApplication.instance() or QApplication([])
    panel = CurvesPanel()
    panel.resize(WIDTH, HEIGHT)
    panel.show_run(history(0))
    panel.overlay("another", history(1))
    panel.overlay("a third", history(2))
    panel.show()
    app.processEvents()
    places = itertools.cycle(panel.view.mapToScene(QPoint(x, HEIGHT // 2)) for x in range(100, WIDTH - 100, 40))
    box = panel.view.plot_item.getViewBox()

    def point() -> None:
        panel.view.scene().sigMouseMoved.emit(next(places))
        app.processEvents()

    def zoom() -> None:
        box.scaleBy((0.97, 1.0))
        app.processEvents()

    yield Row("refresh", milliseconds(panel.draw), LIMIT_MS, "ms")
    yield Row("repaint", milliseconds(panel.view.viewport().repaint), LIMIT_MS, "ms")
    yield Row("mouse moved and repaint", milliseconds(point), LIMIT_MS, "ms")
    yield Row("zoom and repaint", milliseconds(zoom), LIMIT_MS, "ms")


if __name__ == "__main__":
    main(measure, HOW)
