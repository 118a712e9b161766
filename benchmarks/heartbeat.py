"""How long the window's thread is ever busy while the window trains on the real scan, and how soon the window opens."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from harness import Row, main
from PySide6.QtCore import QEventLoop, Qt, QTimer

from ptycho_gui.app import application
from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.window.garbage import GarbageKeeper
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences

TICK_MS = 10
EPOCHS = 5
LIMIT_MS = 50.0
HOW = (
    f"a timer of {TICK_MS} ms on the window's thread, from the click on Start, through {EPOCHS} epochs of `quick` "
    "on the real scan, to the reconstruction; a gap is the time between two ticks beyond that"
)


def measure(scan: Path) -> Iterator[Row]:
    app, keeper = application(), GarbageKeeper()
    folder = Path(tempfile.mkdtemp())
    window = MainWindow(Preferences(folder / "window.ini"), start_logging(folder))
    window.resize(1280, 800)
    window.show()
    session = window.session
    window.open_path(scan)
    wait_for(session.loader.opened)
    session.draft.load({"preset": "quick", "max_epochs": EPOCHS})

    beats: list[float] = []
    first_event: list[float] = []
    session.heard.connect(lambda events: first_event.append(time.perf_counter()))
    heart = QTimer(interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
    heart.timeout.connect(lambda: beats.append(time.perf_counter()))
    heart.start()
    session.start(folder / "run")
    wait_for(session.idle)
    heart.stop()
    gaps = np.diff(beats) * 1e3 - TICK_MS
    training = np.array(beats[1:]) > first_event[0]
    yield Row("99th percentile of the gaps", float(np.percentile(gaps, 99)), LIMIT_MS, "ms")
    yield Row("99th percentile once torch is loaded", float(np.percentile(gaps[training], 99)), LIMIT_MS, "ms")
    yield Row("longest gap", float(gaps.max()), unit="ms")
    yield Row("longest gap once torch is loaded", float(gaps[training].max()), unit="ms")
    yield Row(f"gaps over {LIMIT_MS:g} ms, of {len(gaps)}", int((gaps > LIMIT_MS).sum()))
    window.close()
    app.processEvents()
    keeper.stop()


def wait_for(signal) -> None:
    loop = QEventLoop()
    signal.connect(loop.quit)
    loop.exec()


if __name__ == "__main__":
    main(measure, HOW, needs_real_scan=True)
