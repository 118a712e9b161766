"""`FileActions`: how scans come into the window and go out of it: dialogs, recent files, drops, the demo."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Signal, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from ptycho_core.formats.writers.exports import SCAN_WRITERS
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.runs.record import RECORD
from ptycho_core.scan.source import ScanSource
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.kit.forms.path_field import SCANS
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.map_file.mapping_dialog import MappingDialog
from ptycho_gui.result.jobs.export import export_scan_job
from ptycho_gui.scan.jobs.demo import demo_job
from ptycho_gui.window.preferences import Preferences
from ptycho_gui.window.session import Session

_POSITIONS = "Positions (*.h5 *.hdf5 *.npz *.mat *.csv *.txt *.mda);;All files (*)"
_WRITTEN = {"cxi": "CXI (*.cxi)", "ptychopinn": "PtychoPINN (*.npz)"}


class FileActions(QObject):
    """Asks for files and hands them to the session.

    Parameters
    ----------
    session
        Opens what is asked for.
    preferences
        Knows folders and recent files.
    window
        Over which dialogs appear.
    """

    opened = Signal()
    """A scan that the operator asked for is open."""

    def __init__(self, session: Session, preferences: Preferences, window: QWidget) -> None:
        super().__init__(window)
        self._session, self._preferences, self._window = session, preferences, window
        self._simulating, self._saving = WorkerSlot(self), WorkerSlot(self)
        self._saving.succeeded.connect(self._tell_saved)
        for slot in (self._simulating, self._saving):
            slot.failed.connect(self._show_failure)
        self._recent: QMenu | None = None
        self.may_leave: Callable[[], bool] = lambda: True
        """Asked before what is open is left; the window knows what would be lost."""

    def open(self) -> None:
        """Ask for a scan."""
        if path := self._ask("Open scan", SCANS):
            self.open_path(path)

    def open_path(self, path: Path) -> None:
        """Open a scan, or the run in a folder."""
        path = path.absolute()
        if path.is_dir() or path.name == RECORD:
            self.open_run(path if path.is_dir() else path.parent)
        else:
            self._open(ScanSource(path))

    @Slot(Path)
    def open_run(self, folder: Path) -> None:
        """Show a run, and open its scan."""
        if self.may_leave():
            self._session.open_run(folder)

    @Slot(Path)
    def resume_run(self, folder: Path) -> None:
        """Show a run and go on with it."""
        if self.may_leave():
            self._session.resume_run(folder)

    def _open(self, source: ScanSource) -> None:
        if self.may_leave():
            self._session.loader.open(source, lambda looked: self.opened.emit())

    def open_with_positions(self) -> None:
        """Ask for a scan, and for the file of its positions."""
        path = self._ask("Open scan: the file with the patterns", SCANS)
        positions = path and self._ask("Open scan: the file with the positions", _POSITIONS)
        if path and positions:
            self._open(ScanSource(path, positions))

    def open_mapped(self) -> None:
        """Ask for a file, and what in it is what."""
        if path := self._ask("Open any HDF5 or NPZ", SCANS):
            self._open_by_mapping(path)

    @Slot(object)
    def offer_mapping(self, path: Path) -> None:
        """Ask whether a file of no known format is to be opened by a mapping."""
        text = f"{path.name} cannot be read without being told more: you can say what in it is what."
        if confirmed(self._window, "Open scan", text, "&Say what is what…"):
            self._open_by_mapping(path)

    def _open_by_mapping(self, path: Path) -> None:
        dialog = MappingDialog(path, self._window)
        if dialog.exec():
            self._open(ScanSource(path, dialog.positions_file(), mapping=dialog.mapping()))

    def open_demo(self) -> None:
        """Simulate a scan and open it."""
        documents = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation)
        self._simulate(Path(documents) / "ptycho-demo", self._open)

    def run_demo(self, folder: Path) -> None:
        """Simulate a scan, open it, and begin to train on it with the preset quick."""
        self._simulate(folder, lambda source: self._session.loader.open(source, partial(self._train_quickly, folder)))

    def save_scan(self) -> None:
        """Ask for a file and write the scan as it was prepared."""
        looked = self._session.loader.looked
        if looked is None:
            return
        folder = self._preferences.folder("export")
        stem = looked.scan.source.path.stem if looked.scan.source.path else "scan"
        filters = ";;".join(_WRITTEN[format] for format in SCAN_WRITERS)
        name, _ = QFileDialog.getSaveFileName(
            self._window, "Save scan as", str(folder / f"{stem}-prepared.cxi"), filters
        )
        if name:
            self._preferences.set_folder("export", Path(name).parent)
            self._saving.start(export_scan_job(looked.scan, Path(name)))

    def fill_recent(self, menu: QMenu, before: QAction) -> None:
        """Put the recent files into a menu, those that are missing disabled."""
        self._recent = QMenu("Recent s&cans", menu)
        self._recent.setToolTipsVisible(True)
        self._recent.aboutToShow.connect(self._list_recent)
        menu.insertMenu(before, self._recent)

    def shut_down(self) -> None:
        """Leave off what runs and wait for it."""
        self._simulating.shut_down()
        self._saving.shut_down()

    def _ask(self, title: str, filters: str) -> Path | None:
        name, _ = QFileDialog.getOpenFileName(self._window, title, str(self._preferences.folder("open")), filters)
        if not name:
            return None
        self._preferences.set_folder("open", Path(name).parent)
        return Path(name)

    def _simulate(self, folder: Path, then: Callable[[ScanSource], object]) -> None:
        self._session.working.emit("simulating the demo scan", None)
        self._simulating.start(demo_job(folder), partial(self._take_simulated, then))

    def _take_simulated(self, then: Callable[[ScanSource], object], path: Path) -> None:
        self._session.working.emit("", None)
        then(ScanSource(path.absolute()))

    def _train_quickly(self, folder: Path, looked: Inspection) -> None:
        self._session.draft.load({"preset": "quick"})
        self._session.start(folder)

    @Slot(object)
    def _tell_saved(self, path: Path) -> None:
        self._session.message.emit("info", f"Wrote {path}.")

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self._session.working.emit("", None)
        self._session.message.emit("error", failure.sentence)

    def _open_recent(self, path: Path, checked: bool = False) -> None:
        self.open_path(path)

    @Slot()
    def _list_recent(self) -> None:
        assert self._recent is not None
        self._recent.clear()
        for number, path in enumerate(self._preferences.recent, 1):
            there = path.is_file()
            text = f"&{number % 10} {path.name} ({path.parent})" + ("" if there else ": missing")
            action = self._recent.addAction(text)
            action.triggered.connect(partial(self._open_recent, path))
            allow(action, None if there else "The file is not there.", str(path))
        if not self._recent.isEmpty():
            self._recent.addSeparator()
        clear = self._recent.addAction("&Clear this list", self._preferences.forget_recent)
        allow(clear, None if self._preferences.recent else "It is empty.", "Forget which scans were opened")
