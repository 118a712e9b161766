"""2,002 scans opened one after another in one window: what memory, threads and file handles grow by."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from harness import Row, main, tell
from PySide6.QtCore import QEventLoop, QTimer

from ptycho_core.formats.writers.exports import SCAN_WRITERS, write_scan
from ptycho_core.scan.scan import Masks
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_gui.app import application
from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.window.garbage import GarbageKeeper
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences

ROUNDS, EVERY = 154, 11
"""Through all 13 files, so that the same one is open whenever the process is looked at."""
SETTLED = 600
"""Opens until caches and the log are full and the heap has found its size."""
_PATIENCE_MS, _LOOK_MS = 60_000, 30
HOW = (
    f"{ROUNDS} rounds of 13 opens: scans of two sizes in all formats that are written, with masks of all patterns and "
    "of single ones, and a file that is damaged; each is shown in all views, and three of its patterns"
)


@dataclasses.dataclass(frozen=True)
class Level:
    """What the process holds after so many opens."""

    opens: int
    rss_mb: float
    threads: int
    handles: int


def measure(scan: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        levels = list(soak(Path(folder), ROUNDS, EVERY))
    first, last = next(level for level in levels if level.opens >= SETTLED), levels[-1]
    per_open = 1024 * (last.rss_mb - first.rss_mb) / (last.opens - first.opens)
    yield Row(f"memory grows from open {first.opens} to {last.opens} by, an open", per_open, 10, "KB")
    yield Row("threads more", last.threads - first.threads, 0)
    yield Row("file handles more", last.handles - first.handles, 0)


def soak(folder: Path, rounds: int, every: int) -> Iterator[Level]:
    """Open all scans in one window, round after round; yield what the process holds after every few of them."""
    app = application()
    bridge, keeper = start_logging(folder / "log"), GarbageKeeper()
    window = MainWindow(Preferences(folder / "window.ini"), bridge)
    window.show()
    process = psutil.Process()
    try:
        paths, opening = scans(folder), _Opening(window)
        for number in range(1, rounds + 1):
            for path in paths:
                opening.show(path)
            if number % every == 0:
                app.processEvents()
                rss, opens = process.memory_info().rss / 2**20, number * len(paths)
                level = Level(opens, rss, process.num_threads(), _handles(process))
                tell(str(level))
                yield level
    finally:
        window.session.shut_down()
        window.close()
        window.deleteLater()
        app.processEvents()
        keeper.stop()
        bridge.stop()


def scans(folder: Path) -> list[Path]:
    """Write the scans, and a file that is none."""
    paths = []
    for size in (32, 48):
        made = simulate(SimulationSpec(size=size, n_patterns=60, step_px=4.0)).scan
        good = np.random.default_rng(size).random(made.patterns.shape) > 0.01
        for name, mask in (("clean", None), ("one", good[0]), ("each", Masks(good))):
            for format in SCAN_WRITERS:
                path = folder / f"{name}-{size}.{format}"
                paths.append(write_scan(made.replace(mask=mask), path, format, compress=size == 32))
    damaged = folder / "damaged.h5"
    damaged.write_bytes(paths[0].read_bytes()[:3000])
    return [*paths, damaged]


class _Opening:
    """Opens files in a window, waiting with one loop and one timer for all of them."""

    def __init__(self, window: MainWindow) -> None:
        self.window, self.loop = window, QEventLoop()
        self.timer = QTimer(singleShot=True)
        self.timer.timeout.connect(self.loop.quit)
        window.session.loader.opened.connect(self.loop.quit)
        window.session.loader.failed.connect(self.loop.quit)

    def show(self, path: Path) -> None:
        """Open a file, wait until it is told, and show some of its patterns."""
        self.window.open_path(path)
        self._wait(_PATIENCE_MS)
        source = self.window.session.loader.source
        for index in (7, 30, 59) if source is not None and source.file == path else ():
            self.window.panels.data.select(index)
            self._wait(_LOOK_MS)

    def _wait(self, milliseconds: int) -> None:
        self.timer.start(milliseconds)
        self.loop.exec()


def _handles(process: psutil.Process) -> int:
    return process.num_handles() if sys.platform == "win32" else process.num_fds()


if __name__ == "__main__":
    main(measure, HOW)
