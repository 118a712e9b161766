"""How long the window's thread is ever busy on the journey of the real scan, and how soon there is a picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
from harness import Row, main
from PySide6.QtCore import QEventLoop, Qt, QTimer

from ptycho_gui.app import application
from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.window.garbage import GarbageKeeper
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences

WIDTH, HEIGHT = 1280, 800
TICK_MS = 10
SOLVER_EPOCHS, NETWORK_EPOCHS, MINUTES = 10, 3, 1.0
USUAL_MS, LONGEST_MS, FIRST_PICTURE_S = 50.0, 100.0, 10.0
BURN = "while True: pass"
HOW = (
    f"a window of {WIDTH} x {HEIGHT}, and a timer of {TICK_MS} ms on its thread; a gap is the time between two ticks "
    "beyond that, the work in it the processor time that this thread had, which another program on the machine does "
    f"not lengthen. Opening the real scan; {SOLVER_EPOCHS} epochs of the direct engine, and {NETWORK_EPOCHS} of the "
    f"network (`quick`), each to the reconstruction with polish, half scans and final pass; the best picture that "
    f"{MINUTES:g} minute allows; "
    "all of it once more beside a process that keeps one core busy"
)


class Heart:
    """Beats on the window's thread, and notes when, and how much processor time that thread has had."""

    def __init__(self) -> None:
        self.beats: list[tuple[float, float]] = []
        self.timer = QTimer(interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(lambda: self.beats.append((time.perf_counter(), time.thread_time())))

    def during(self, what: str, begin: Callable[[], None], end) -> Iterator[Row]:
        """Begin something, wait for the signal of its end, and tell the gaps until then."""
        self.beats.clear()
        self.timer.start()
        QTimer.singleShot(0, begin)
        wait_for(end)
        self.timer.stop()
        gaps, work = (1e3 * np.diff(np.array(self.beats), axis=0)).T
        gaps -= TICK_MS
        yield Row(f"{what}: 99th percentile of the gaps", float(np.percentile(gaps, 99)), USUAL_MS, "ms")
        yield Row(f"{what}: longest gap", float(gaps.max()), LONGEST_MS, "ms")
        yield Row(f"{what}: gaps over {USUAL_MS:g} ms, of {len(gaps)}", int((gaps > USUAL_MS).sum()))
        yield Row(f"{what}: longest work in a gap", float(work.max()), USUAL_MS, "ms")


def measure(scan: Path) -> Iterator[Row]:
    folder = Path(tempfile.mkdtemp())
    screen = {"name": "", "x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "dpr": 1}  # Qt's own has 800 x 800
    (folder / "screen.json").write_text(json.dumps({"screens": [screen]}), encoding="utf-8")
    os.environ.setdefault("QT_QPA_PLATFORM", f"offscreen:configfile={folder / 'screen.json'}")
    app, keeper = application(), GarbageKeeper()
    heart = Heart()
    for beside, companion in (("", None), (", one core busy", BURN)):
        with running(companion):
            yield from journey(heart, scan, folder / f"{bool(companion)}", beside)
    app.processEvents()
    keeper.stop()


def journey(heart: Heart, scan: Path, folder: Path, beside: str) -> Iterator[Row]:
    folder.mkdir()
    window = MainWindow(Preferences(folder / "window.ini"), start_logging(folder))
    window.resize(WIDTH, HEIGHT)
    window.show()
    session, began, pictures = window.session, times(), []
    window.panels.object.jobs.succeeded.connect(lambda ready: pictures.append(times() - began))
    yield from heart.during(f"opening{beside}", lambda: window.open_path(scan), session.loader.opened)
    for engine, settings in (
        ("solver", {"engine": "direct", "max_epochs": SOLVER_EPOCHS}),
        ("network", {"engine": "pinn", "preset": "quick", "max_epochs": NETWORK_EPOCHS}),
    ):
        session.draft.load(settings)
        begin = lambda name=engine: session.start(folder / name)  # noqa: E731
        yield from heart.during(f"{engine}{beside}", begin, session.idle)
    begin = lambda: session.best_picture(folder / "best", MINUTES)  # noqa: E731
    yield from heart.during(f"best picture{beside}", begin, session.idle)
    seconds, work = pictures[0]
    yield Row(f"from opening to the first picture of the object{beside}", float(seconds), FIRST_PICTURE_S, "s")
    yield Row(f"processor time of the process until then{beside}", float(work), unit="s")
    window.close()


def times() -> np.ndarray:
    """Return the seconds of the clock and of the process' own work."""
    return np.array([time.perf_counter(), time.process_time()])


@contextmanager
def running(script: str | None) -> Iterator[None]:
    """Run a script of Python beside what is measured, if there is one."""
    if script is None:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", script]) as process:
        try:
            yield
        finally:
            process.kill()


def wait_for(signal) -> None:
    loop = QEventLoop()
    signal.connect(loop.quit)
    loop.exec()


if __name__ == "__main__":
    main(measure, HOW, needs_real_scan=True)
