"""A scan of 100,000 patterns in the window: until it is known, and the longest pauses while its views show it."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import CACHE, Row, main, tell
from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from ptycho_core.inspection.inspection import Inspection
from ptycho_core.scan.source import ScanSource
from ptycho_gui.kit.jobs.load import count_all, load
from ptycho_gui.kit.threads.worker import Job, Worker
from ptycho_gui.scan.data_panel import DataPanel
from ptycho_gui.scan.scan_panel import ScanPanel

N_PATTERNS, SIZE, COLUMNS = 100_000, 48, 400
BEAT_MS, DRAG_EVERY_MS, DRAGS = 2, 15, 200
HOW = (
    f"{N_PATTERNS:,} patterns of {SIZE} x {SIZE}, uint16, memory-mapped, at 1700 x 1000 pixels, without a display; a "
    f"timer of {BEAT_MS} ms tells how long the window's thread was busy with something else"
)


class Heart:
    """Beats on the window's thread; knows, since `listen`, its longest pause and the longest work in one, in ms."""

    def __init__(self) -> None:
        self.pauses: list[tuple[float, float]] = []
        self.last = time.perf_counter(), time.thread_time()
        self.timer = QTimer(interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self._beat)
        self.timer.start()

    def _beat(self) -> None:
        now = time.perf_counter(), time.thread_time()
        self.pauses.append((1e3 * (now[0] - self.last[0]), 1e3 * (now[1] - self.last[1])))
        self.last = now

    def listen(self) -> None:
        """Forget the pauses so far."""
        self._beat()
        self.pauses.clear()

    def rows(self, when: str) -> Iterator[Row]:
        """Yield what was heard."""
        self._beat()
        pauses, works = zip(*self.pauses, strict=True)
        yield Row(f"longest pause {when}", max(pauses), 50, "ms")
        yield Row("of which the window's thread computed at most", max(works), None, "ms")


def measure(scan: Path) -> Iterator[Row]:
    app = QApplication.instance() or QApplication([])
    assert isinstance(app, QApplication)
    app.setStyle("Fusion")
    words, pictures = _window(ScanPanel(), 380), _window(DataPanel(), 1700)
    path, heart = _file(), Heart()
    wait(300)
    heart.listen()
    started = time.perf_counter()
    looked: Inspection = finish(load(ScanSource(path)))
    yield Row("from the file to what it is (a sample of the patterns)", time.perf_counter() - started, 2, "s")
    yield from heart.rows("while it is read")

    for panel in (words, pictures):
        heart.listen()
        panel.show_scan(looked)
        wait(500)
        yield from heart.rows(f"while {type(panel).__name__} shows it")

    heart.listen()
    drag(pictures)
    yield from heart.rows("while the slider is dragged")
    heart.listen()
    started = time.perf_counter()
    counted = finish(count_all(looked), meanwhile=lambda: drag(pictures))
    tell(f"counted all patterns in {time.perf_counter() - started:.2g} s")
    yield from heart.rows("while it is dragged and all patterns are counted")
    heart.listen()
    pictures.show_scan(counted)
    wait(500)
    yield from heart.rows("while the counts of all are shown")
    pictures.shut_down()


def finish(job: Job, meanwhile: Callable[[], None] = lambda: None) -> Any:
    """Run a job in a worker, and something else on this thread; return the job's result."""
    results: list[Any] = []
    worker, loop = Worker(job), QEventLoop()
    worker.succeeded.connect(results.append)
    worker.failed.connect(lambda failure: tell(failure.traceback))
    worker.finished.connect(loop.quit)
    worker.start()
    meanwhile()
    if worker.isRunning():
        loop.exec()
    QApplication.processEvents()
    worker.wait()
    return results[0]


def drag(panel: DataPanel) -> None:
    """Move the slider from one end to the other."""
    for index in np.linspace(0, N_PATTERNS - 1, DRAGS).astype(int):
        panel.browser.slider.setValue(int(index))
        wait(DRAG_EVERY_MS)


def wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def _window(panel: Any, width: int) -> Any:
    assert isinstance(panel, QWidget)
    panel.resize(width, 1000)
    panel.show()
    return panel


def _file() -> Path:
    """Return a scan on a raster, of a spot whose brightness changes along it."""
    path = CACHE / f"raster-{N_PATTERNS}x{SIZE}.npz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        rng, axis = np.random.default_rng(0), np.arange(SIZE) - SIZE // 2
        spot = 200 * np.exp(-(axis[:, None] ** 2 + axis**2) / 50)
        few = rng.poisson(spot * rng.uniform(0.8, 1.2, (500, 1, 1))).astype(np.uint16)
        y, x = np.divmod(np.arange(N_PATTERNS), COLUMNS)
        positions = 4.0 * np.stack([y, x], axis=1) + rng.uniform(-1, 1, (N_PATTERNS, 2))
        np.savez(path, patterns=np.tile(few, (N_PATTERNS // 500, 1, 1)), scan=positions)
    return path


if __name__ == "__main__":
    main(measure, HOW)
