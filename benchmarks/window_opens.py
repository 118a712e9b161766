"""How soon the window is there, from the start of its process; it imports no torch."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from harness import Row, finish, main

TIMES = 7
HOW = f"a process that opens the window, paints it and ends, median of {TIMES}"
SCRIPT = """
import sys, tempfile, pathlib
from ptycho_gui.app import application
app = application()
from PySide6.QtCore import QTimer
from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences
folder = pathlib.Path(tempfile.mkdtemp())
window = MainWindow(Preferences(folder / "window.ini"), start_logging(folder))
window.show()
window.grab()
QTimer.singleShot(0, window.close)
app.exec()
assert "torch" not in sys.modules
"""


def measure(scan: Path) -> Iterator[Row]:
    taken = [finish(sys.executable, "-c", SCRIPT) for _ in range(TIMES)]
    yield Row("whole process", statistics.median(one.seconds for one in taken), 1.5, "s")
    yield Row("peak of memory", max(one.peak_gib for one in taken), 0.5, "GiB")


if __name__ == "__main__":
    main(measure, HOW)
