"""Make the pictures of the window for README and guide: the window itself, led through a run on a simulated scan.

`make screenshots` writes every state, light and dark, into build/screenshots, to be looked at; those that pages show
are also written to docs/images, in fewer colours. No display is needed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import h5py
from PIL import Image
from PySide6.QtCore import QElapsedTimer, QEventLoop, QItemSelectionModel, QStandardPaths, Qt, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Crop, MaskRectangle
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from ptycho_gui.app import application
from ptycho_gui.kit import theme
from ptycho_gui.kit.threads.worker import Worker
from ptycho_gui.log.log_bridge import start_logging
from ptycho_gui.map_file.mapping_dialog import MappingDialog
from ptycho_gui.prepare.step_entry import StepEntry
from ptycho_gui.train.best_picture_dialog import BestPictureDialog
from ptycho_gui.window.garbage import GarbageKeeper
from ptycho_gui.window.guide_window import GuideWindow
from ptycho_gui.window.main_window import MainWindow
from ptycho_gui.window.preferences import Preferences

IMAGES = Path(__file__).with_name("images")
ALL = Path(__file__).parents[1] / "build" / "screenshots"
SMALL, LARGE, DIALOG = (1280, 800), (2560, 1440), (1180, 720)
SHOWN = ("training", "scan", "prepare", "grouping-invalid", "curves", "compare", "mapping")
"""What pages show; the dark ones in a dark window."""
SCHEMES = ("light", "dark")
PATIENCE_S = 900.0
EPOCHS = 20
"""Of both runs; as the preset quick has it."""
EARLY_EPOCH = 4
"""Compared with the best."""


class Photographer:
    """Leads a window from state to state and takes pictures.

    Parameters
    ----------
    window
        To be shown.
    """

    def __init__(self, window: MainWindow) -> None:
        self.window = window

    def wait(self, seconds: float) -> None:
        """Let the window go on."""
        loop = QEventLoop()
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Let the window go on until something holds."""
        clock = QElapsedTimer()
        clock.start()
        while not condition():
            if clock.elapsed() > 1000 * PATIENCE_S:
                raise TimeoutError(f"not within {PATIENCE_S:g} s: {what}")
            self.wait(0.1)

    def take(self, name: str, *docks: str, widget: QWidget | None = None) -> None:
        """Bring panels to the front and take a picture of the window, or of another widget, in all colours."""
        for dock in docks:
            self.window.docks.show(dock)
        for scheme in SCHEMES:
            theme.choose(scheme)
            self.wait(1.5)
            picture = (widget or self.window).grab()
            ALL.mkdir(parents=True, exist_ok=True)
            path = ALL / f"{name}-{scheme}.png"
            picture.save(str(path))
            if name in SHOWN:
                _reduce(path, IMAGES / path.name)
        theme.choose(SCHEMES[0])

    def take_dialog(self, name: str, trigger: Callable[[], None]) -> None:
        """Open a dialog, take its picture, and leave it."""

        def at_work() -> None:
            dialog = QApplication.activeModalWidget()
            if dialog is None:
                raise RuntimeError(f"no dialog opens for {name}")
            self.wait(1)
            self.take(name, widget=dialog)
            dialog.close()

        QTimer.singleShot(300, at_work)
        trigger()


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scan", type=Path, help="a measured scan instead of the simulated one")
    args = parser.parse_args()
    QStandardPaths.setTestModeEnabled(True)
    with tempfile.TemporaryDirectory() as name, _window(Path(name)) as window:
        folder = Path(name) / "beamtime"
        folder.mkdir()
        camera = Photographer(window)
        camera.take("first-start", "welcome")
        _show_scan(camera, args.scan or _simulated(folder))
        _show_settings(camera)
        _show_runs(camera, folder)
        _show_results(camera, folder)


@contextmanager
def _window(folder: Path) -> Iterator[MainWindow]:
    """Make the window as it is at first, and end all that belongs to it."""
    app, keeper, bridge = application(), GarbageKeeper(), start_logging(folder)
    window = MainWindow(Preferences(folder / "window.ini"), bridge)
    window.setWindowState(Qt.WindowState.WindowNoState)
    _resize(window, SMALL)
    window.show()
    try:
        yield window
    finally:
        window.close()
        app.processEvents()
        keeper.stop()
        bridge.stop()


def _resize(window: MainWindow, size: tuple[int, int]) -> None:
    window.resize(*size)
    window.commands["reset_layout"].trigger()


def _simulated(folder: Path) -> Path:
    return write_simulation(simulate(SimulationSpec(hot_pixels=8)), folder / "star.npz")[0]


def _show_scan(camera: Photographer, path: Path) -> None:
    window = camera.window
    window.open_path(path)
    camera.until(lambda: window.session.loader.looked, "the scan is open")
    camera.wait(2)
    camera.take("scan", "scan", "data")
    size = window.session.loader.looked.scan.patterns.shape[-1]
    steps = (MaskRectangle(size // 2 - 4, 0, size // 2 + 4, size // 4), Crop(size * 3 // 4 // 2 * 2))
    for row, step in enumerate(steps):
        window.panels.prepare.model.insert(row, StepEntry.of(step))
    camera.wait(2)
    camera.take("prepare", "prepare", "before_after")
    while window.panels.prepare.model.entries:
        window.panels.prepare.model.remove(0)
    camera.wait(1)


def _show_settings(camera: Photographer) -> None:
    draft = camera.window.session.draft
    draft.set("gridsize", 3)
    draft.set("neighbor_count", 4)
    camera.take("grouping-invalid", "grouping", "data")
    draft.reset("neighbor_count")
    draft.reset("gridsize")
    camera.take("grouping", "grouping")
    draft.load({"preset": "quick", "checkpoint_save_top_k": -1})
    camera.take("settings", "training")


def _show_runs(camera: Photographer, folder: Path) -> None:
    window, session = camera.window, camera.window.session
    window.panels.training.output_folder = folder / "star-network"
    camera.until(lambda: window.commands["start"].isEnabled(), "the run can be started")
    window.commands["start"].trigger()
    camera.until(
        lambda: session.shown.run and len(session.shown.run.history.epochs["epoch"]) >= EPOCHS // 2,
        "half of it is done",
    )
    camera.take("training", "training", "object")
    camera.take("curves", "curves")
    camera.until(lambda: not session.busy and session.shown.reconstruction, "the run is reconstructed")
    camera.take("finished", "object", "checkpoints")
    camera.take("probe", "probe")
    early = next(row.path for row in window.panels.checkpoints.table.rows if row.saved.epoch == EARLY_EPOCH)
    session.compare(session.shown.run.history.best_checkpoint, early)
    camera.until(lambda: not session.busy, "two checkpoints are reconstructed")
    window.panels.object.tools.rings.setChecked(True)
    camera.wait(2)
    camera.take("compare", "object")
    session.draft.load({"engine": "direct", "loss": "mae", "max_epochs": EPOCHS})
    window.panels.training.output_folder = folder / "star-direct"
    camera.until(lambda: window.commands["start"].isEnabled(), "the next run can be started")
    window.commands["start"].trigger()
    camera.until(lambda: not session.busy and session.shown.reconstruction, "the next run is reconstructed")
    window.panels.runs.overlay_requested.emit(folder / "star-network")
    camera.wait(2)
    camera.take("overlay", "curves")


def _show_results(camera: Photographer, folder: Path) -> None:
    window = camera.window
    window.panels.runs.set_folder(folder)
    camera.wait(2)
    select = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
    window.panels.runs.view.selectionModel().select(window.panels.runs.view.model().index(0, 0), select)
    camera.take("runs", "runs", "object")
    camera.take("log", "log")
    for name, trigger in (
        ("export-checkpoint", window.results.export_best),
        ("export-reconstruction", window.results.export_reconstruction),
        ("apply", window.results.apply),
    ):
        camera.take_dialog(name, trigger)
    window.run_actions.best_picture()
    _take_and_close(camera, "best-picture", window.findChild(BestPictureDialog))
    window.run_actions.search_settings()
    _take_and_close(camera, "search", window.run_actions.search)
    dialog = MappingDialog(_foreign(window.session.loader.looked.scan, folder / "scan_0042.h5"), window, folder)
    dialog.resize(*DIALOG)
    dialog.show()
    camera.wait(3)
    camera.take("mapping", widget=dialog)
    dialog.reject()
    guide = GuideWindow()
    guide.show()
    camera.take("guide", widget=guide)
    guide.close()
    _resize(window, LARGE)
    camera.take("large", "runs", "object", "curves", "training")
    camera.take("large-probe", "probe", "scan")
    camera.until(lambda: not window.findChildren(Worker), "all is at rest")


def _take_and_close(camera: Photographer, name: str, dialog: QWidget | None) -> None:
    assert dialog is not None
    camera.wait(1)
    camera.take(name, widget=dialog)
    dialog.close()


def _foreign(scan: Scan, path: Path) -> Path:
    """Write a scan as no program does, and return the path."""
    pixel, known = scan.pixel_size_m or (1e-8, 1e-8), scan.geometry
    with h5py.File(path, "w") as file:
        good = 1.0 if scan.mask is None else scan.mask
        file["entry/detector/frames"] = scan.patterns[:] * good
        for key, value, unit in (
            ("entry/motors/piezo_y", 1e6 * pixel[0] * scan.positions[:, 0], "um"),
            ("entry/motors/piezo_x", 1e6 * pixel[1] * scan.positions[:, 1], "um"),
            ("entry/monochromator/energy", (known.energy_ev or 8000.0) / 1e3, "keV"),
            ("entry/detector/distance", known.distance_m or 2.0, "m"),
            ("entry/detector/x_pixel_size", (known.detector_pixel_m or (75e-6, 75e-6))[1] * 1e6, "um"),
        ):
            file[key] = value
            file[key].attrs["units"] = unit
    return path


def _reduce(source: Path, target: Path) -> None:
    """Write a picture in 256 colours, none of them far from the true one."""
    target.parent.mkdir(exist_ok=True)
    with Image.open(source) as picture:
        few = picture.convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
        few.save(target, optimize=True)


if __name__ == "__main__":
    main()
