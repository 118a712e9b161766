"""The object panel takes a preview without a stutter, and a large object stays fluid."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from harness import Row, main
from PySide6.QtWidgets import QApplication

from ptycho_core.base.events import PreviewReady
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_gui.result.object_panel import ObjectPanel

PREVIEW, LARGE, PROBE, TIMES = 512, 4000, 256, 20
HOW = (
    f"panel of 1700 x 1000 drawn offscreen; time between two returns to the event loop: the longest while {TIMES} "
    f"previews of {PREVIEW} x {PREVIEW} come, and medians of {TIMES} steps with a {LARGE} x {LARGE} object"
)


class Loop:
    """Runs the window's thread until something holds and keeps how long its longest turn took."""

    def __init__(self, app: QApplication) -> None:
        self.app, self.longest = app, 0.0

    def until(self, holds: Callable[[], bool]) -> None:
        """Turn until it holds."""
        while not holds():
            self.turn()
            time.sleep(0.001)

    def turn(self, step: Callable[[], object] = lambda: None) -> float:
        """Do a step and what follows from it; return the seconds that took."""
        started = time.perf_counter()
        step()
        self.app.processEvents()
        took = time.perf_counter() - started
        self.longest = max(self.longest, took)
        return took


def measure(scan: Path) -> Iterator[Row]:
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    app.setStyle("Fusion")
    loop = Loop(app)
    panel = ObjectPanel()
    panel.resize(1700, 1000)
    panel.show()
    yield from _previews(panel, loop)
    yield from _large(panel, loop)
    panel.shut_down()


def _previews(panel: ObjectPanel, loop: Loop) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    probe = _noise(rng, PROBE)
    previews = [PreviewReady(epoch, epoch, _noise(rng, PREVIEW), probe) for epoch in range(1, TIMES + 2)]
    for preview in previews:
        if preview.epoch == 2:  # the first one makes what all share
            loop.longest = 0.0
        title = f"Live, epoch {preview.epoch}"
        loop.turn(lambda preview=preview: panel.show_preview(preview, None))  # type: ignore[misc]
        loop.until(lambda title=title: panel.title.text() == title)  # type: ignore[misc]
        for _ in range(3):
            loop.turn()
    yield Row("a preview, longest turn of the window's thread", round(1000 * loop.longest, 1), 50, "ms")


def _large(panel: ObjectPanel, loop: Loop) -> Iterator[Row]:
    rng = np.random.default_rng(1)
    positions = rng.uniform(PROBE, LARGE - PROBE, (10_000, 2))
    recon = Reconstruction(
        object=_noise(rng, LARGE),
        probe=_noise(rng, PROBE)[None],
        coverage=np.ones((LARGE, LARGE), np.float32),
        positions_px=positions,
        pattern_index=np.arange(len(positions)),
    )
    loop.longest = 0.0
    started = time.perf_counter()
    panel.show_reconstruction("large", recon)
    loop.until(lambda: panel.title.text().startswith("large"))
    seconds = time.perf_counter() - started
    loop.turn()
    yield Row("a large object, until it is shown", round(seconds, 2), 5, "s")
    yield Row("a large object, longest turn of the window's thread", round(1000 * loop.longest, 1), 50, "ms")
    view, bar = panel.view.panes[0].view, panel.view.panes[0].bar
    zooming = [loop.turn(lambda: view.scaleBy((0.8, 0.8))) for _ in range(TIMES)]
    panning = [loop.turn(lambda: view.translateBy(x=0.2 * view.viewRect().width())) for _ in range(TIMES)]
    levels = [loop.turn(lambda i=i: bar.region.setRegion((63, 191 + i))) for i in range(1, TIMES)]  # type: ignore[misc]
    pointing = [loop.turn(lambda i=i: panel.view.panes[0].hovered.emit((i, i))) for i in range(TIMES)]  # type: ignore[misc]
    for what, times in (("zooming", zooming), ("panning", panning), ("levels", levels), ("crosshair", pointing)):
        yield Row(f"a large object, {what}", round(1000 * statistics.median(times), 1), 50, "ms")


def _noise(rng: np.random.Generator, side: int) -> np.ndarray:
    values = 1 + 0.1 * rng.standard_normal((2, side, side), np.float32)
    return (values[0] * np.exp(1j * values[1])).astype(np.complex64)


if __name__ == "__main__":
    main(measure, HOW)
