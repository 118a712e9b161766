"""`ptycho-gui [FILE]`: arguments, the application, its window. The composition root."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptycho_core import __version__
from ptycho_gui.window.display import why_no_window

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

DESKTOP_ID = "io.github.ptycho.Ptycho"
_SWITCH_S = 5e-4
"""For so long a worker keeps Python's lock that the window's thread waits for: it takes it for each thing it paints."""


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window and return the exit code: 0, or 2 where there is no display or the arguments are wrong."""
    # Threads that spin while they wait would take the window's core; read by OpenMP when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = _arguments().parse_args(argv)
    if reason := why_no_window():
        print(f"ptycho-gui: {reason}", file=sys.stderr)
        return 2
    return _run(args)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ptycho-gui", description="The window of ptycho.")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a scan to open, or a run's folder")
    parser.add_argument("--demo", action="store_true", help="simulate a scan in ./demo, train on it and reconstruct it")
    parser.add_argument("--fresh", action="store_true", help="ignore what earlier sessions saved: layout, recent files")
    parser.add_argument("--theme", choices=("system", "light", "dark"), help="colours, from now on")
    parser.add_argument("--version", action="version", version=f"ptycho {__version__}")
    return parser


def application() -> QApplication:
    """Make the application, with the name and the icon by which desktops know it."""
    from PySide6.QtWidgets import QApplication

    from ptycho_gui.kit.icons import icon

    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setStyle("Fusion")  # the same everywhere, light and dark, at any scale
    app.setApplicationName("ptycho")
    app.setApplicationDisplayName("ptycho")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName(DESKTOP_ID)
    app.setWindowIcon(icon("app"))
    sys.setswitchinterval(_SWITCH_S)
    return app


def _run(args: argparse.Namespace) -> int:
    app = application()

    from PySide6.QtCore import QStandardPaths

    from ptycho_core.runs.queue import queue_path
    from ptycho_gui.kit import theme
    from ptycho_gui.log.log_bridge import start_logging
    from ptycho_gui.window.garbage import GarbageKeeper
    from ptycho_gui.window.main_window import MainWindow
    from ptycho_gui.window.preferences import Preferences, preferences_path

    preferences = Preferences(preferences_path(), args.fresh)
    if args.theme:
        preferences.set_text("scheme", args.theme)
    theme.choose(preferences.text("scheme") or "system")
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppLocalDataLocation)
    bridge = start_logging(Path(folder))
    keeper = GarbageKeeper()
    window = MainWindow(preferences, bridge, queue_path(os.environ))
    window.show()
    if args.demo:
        window.run_demo(Path("demo").absolute())
    elif args.file:
        window.open_path(args.file)
    else:
        window.open_unfinished()
    code = app.exec()
    keeper.stop()
    bridge.stop()
    return code
