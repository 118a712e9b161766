"""`RunsPanel`: the history of an output folder."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QItemSelectionModel, QRegularExpression, QSortFilterProxyModel, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent, QPixmap, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QCheckBox, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from ptycho_core.base.events import Status
from ptycho_core.runs.job import WaitingRun
from ptycho_core.runs.listing import Kind
from ptycho_core.runs.record import RunInfo
from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.kit.forms.path_field import PathField
from ptycho_gui.kit.table import Table, TableActions
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.runs.jobs.runs import ListedRun, RunList, list_runs, stamp_of_runs, trash_run
from ptycho_gui.runs.run_table import FIND_ROLE, PICTURE_HEIGHT, REASON, SORT_ROLE, RunTable
from ptycho_gui.runs.settings_comparison import SettingsComparison

_PICTURE_FROM_WIDTH = 900
_ONE_ROW_FROM_WIDTH = 700
_LOOK_EVERY_MS = 5000
_NO_RUNS = "There are no runs in this folder yet. Start one, or choose another folder."
_NONE_FOUND = "No run has all of the words in Find: clear it to see every run."


class RunsPanel(QWidget):
    """The runs in a folder, newest first, and what can be done with them. Reads the disk in threads of its own."""

    open_requested = Signal(Path)
    wait_requested = Signal(Path)
    """A run is to be shown when the job that waits for it has begun it."""
    resume_requested = Signal(Path)
    note_requested = Signal(Path)
    overlay_requested = Signal(Path)
    remove_overlay_requested = Signal(Path)
    folder_chosen = Signal(Path)
    """The operator has chosen another output folder."""
    message = Signal(str, str)
    """Severity and sentence for the operator."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder: Path | None = None
        self._busy: str | None = None
        self._overlaid: set[Path] = set()
        self._list = RunList([], frozenset())
        self.table, self._sorted = RunTable(self), QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.table)
        self._sorted.setSortRole(SORT_ROLE)
        self._sorted.setFilterRole(FIND_ROLE)
        self.view = Table(self._sorted, "Runs", "Choose the folder whose runs are to be listed.")
        self.view.verticalHeader().setDefaultSectionSize(max(PICTURE_HEIGHT, self.fontMetrics().height()) + 4)
        self.view.horizontalHeader().setSortIndicatorClearable(True)
        self.view.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.view.setSortingEnabled(True)
        self._make_actions()
        self.search = QLineEdit(clearButtonEnabled=True)
        self.search.setPlaceholderText("sample, comment, scan, …")
        self.search.setToolTip("Show only the runs in whose row all of these words are, in any column")
        self.search.setMinimumWidth(12 * self.fontMetrics().averageCharWidth())
        self.search.setMaximumWidth(28 * self.fontMetrics().averageCharWidth())
        self.search.textChanged.connect(self._filter)
        self.all = QCheckBox()
        self.all.setToolTip("List the trials of searches and earlier versions of runs, too")
        self.all.toggled.connect(self._fill)
        self.all.hide()
        self.field = PathField("folder", "Folder whose runs are listed", "Choose…")
        self.field.path_entered.connect(self._choose)
        self.picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.picture.setAccessibleName("Phase of the selected run's reconstruction")
        self.picture.setFixedWidth(150)
        self.picture.setWordWrap(True)
        self._lay_out()
        self.setWhatsThis(
            "<b>Runs</b> lists what was trained in a folder. Open a run to see its curves, its object and its "
            "checkpoints again; resume one that was stopped; overlay the curves of others to compare them."
        )
        self._listing, self._trashing, self._looking = WorkerSlot(self), WorkerSlot(self), WorkerSlot(self)
        self._looking.succeeded.connect(self._compare_stamps)
        self._watch = QTimer(self, interval=_LOOK_EVERY_MS)  # network drives tell nobody of what is written there
        self._watch.timeout.connect(self._look)
        self._listing.failed.connect(self._show_failure)
        self._trashing.succeeded.connect(self._show_trashed)
        self._trashing.failed.connect(self._tell_failure)
        self._sorted.layoutChanged.connect(self._stretch_reasons)
        self.view.selectionModel().selectionChanged.connect(self._follow)
        self.view.doubleClicked.connect(self.open.trigger)
        self._follow()

    def _make_actions(self) -> None:
        self.buttons = TableActions(self.view, self)
        add = self.buttons.add
        self.open = add(
            "&Open",
            "open",
            "Show this run: its curves, its object, its checkpoints",
            self._open,
            "Return",
            why_not=lambda: self._busy or (None if self._awaited() else self._why_not_read()),
        )
        self.resume = add(
            "Res&ume",
            "resume",
            "Go on with this run from its last checkpoint",
            self._resume,
            why_not=lambda: self._busy or self._why_not_change(),
        )
        self.note = add(
            "&Note…",
            "note",
            "Write down the sample and what you think of this run",
            lambda: self.note_requested.emit(self._runs()[0].found.folder),
            why_not=self._why_not_read,
        )
        self.overlay = add(
            "Over&lay",
            "overlay",
            "Show the curves of this run beside those of the present one",
            self._toggle_overlay,
            why_not=lambda: None if self._whole() else "Select a run first.",
        )
        self.compare = add(
            "Com&pare settings…",
            "compare",
            "List the settings in which two runs differ",
            self._compare,
            why_not=self._why_not_compare,
        )
        self.compare.setIconText("Compare")
        self.trash = add(
            "Move to &trash…",
            "trash",
            "Move this run's files to the trash",
            self._trash,
            "Delete",
            why_not=self._why_not_change,
        )
        self.trash.setIconText("Trash")
        self.reread = add("Refre&sh", "refresh", "Look into the folder again", self.refresh, "F5")

    def _lay_out(self) -> None:
        find = QLabel("Find:")
        find.setBuddy(self.search)
        where = QHBoxLayout()
        where.addWidget(find)
        where.addWidget(self.search)
        where.addWidget(self.all)
        where.addWidget(self.field, 1)
        self._top = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._top.addWidget(self.buttons)
        self._top.addLayout(where, 1)
        below = QHBoxLayout()
        below.addWidget(self.view, 1)
        below.addWidget(self.picture)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(self._top)
        layout.addLayout(below, 1)
        self.setFocusProxy(self.view)

    def set_folder(self, folder: Path) -> None:
        """List the runs of a folder and below it."""
        if folder != self._folder:
            self._list = RunList([], frozenset())
            self.table.show_runs(folder, [])
        self._folder = folder
        self.field.set_path(folder)
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Look into the folder again."""
        if self._folder is None:
            return
        self._say("Looking for runs…")
        self._listing.start(list_runs(self._folder), self._show)

    def set_busy(self, reason: str | None) -> None:
        """Say why no run can be opened or resumed now; None if one can."""
        self._busy = reason
        self._follow()

    def set_overlaid(self, folders: set[Path]) -> None:
        """Say whose curves are overlaid."""
        self._overlaid = set(folders)
        self.table.mark_overlaid(self._overlaid)
        self._follow()

    def shut_down(self) -> None:
        """Cancel what reads the disk and wait for it."""
        self._watch.stop()
        self._listing.shut_down()
        self._looking.shut_down()
        self._trashing.shut_down()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt: the picture is shown where there is room, and what is sought beside the buttons."""
        wide = self.width() >= _ONE_ROW_FROM_WIDTH
        self._top.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)
        self.picture.setVisible(self.width() >= _PICTURE_FROM_WIDTH)
        super().resizeEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: other processes begin and end runs; look while somebody sees it."""
        super().showEvent(event)
        self._watch.start()
        self._look()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: nobody sees the list."""
        super().hideEvent(event)
        self._watch.stop()

    @Slot()
    def _look(self) -> None:
        if self._folder is not None and not self._listing.busy and not self._looking.busy:
            self._looking.start(stamp_of_runs(self._folder))

    @Slot(object)
    def _compare_stamps(self, stamp: frozenset[tuple[Path, int]]) -> None:
        if stamp != self._list.stamp or any(run.goes_on for run in self._list.runs):
            self.refresh()

    def _runs(self) -> list[ListedRun]:
        indexes = self.view.selectionModel().selectedRows()
        return [self.table.runs[row] for row in sorted(self._sorted.mapToSource(index).row() for index in indexes)]

    def _say(self, sentence: str) -> None:
        self.view.empty = sentence
        self.view.viewport().update()

    @Slot(Path)
    def _choose(self, folder: Path) -> None:
        self.set_folder(folder)
        self.folder_chosen.emit(folder)

    def _show(self, found: RunList) -> None:
        self._list = found
        parts = sum(run.kind != Kind.RUN for run in found.runs)
        self.all.setText(f"Show all ({parts} more)")
        self.all.setVisible(parts > 0)
        self._fill()

    @Slot()
    def _fill(self) -> None:
        """Show the runs of the list, and their parts where these are asked for; what was selected stays so."""
        assert self._folder is not None
        selected = {run.found.folder for run in self._runs()}
        runs = [run for run in self._list.runs if run.kind == Kind.RUN or self.all.isChecked()]
        self.table.show_runs(self._folder, runs)
        self.table.mark_overlaid(self._overlaid)
        self._filter()
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row, run in enumerate(runs):
            if run.found.folder in selected:
                self.view.selectionModel().select(self._sorted.mapFromSource(self.table.index(row, 0)), flags)
        self._follow()

    @Slot()
    def _filter(self) -> None:
        """Show the runs that have all the words that are sought, in whatever order."""
        words = "".join(f"(?=.*{QRegularExpression.escape(word)})" for word in self.search.text().split())
        self._sorted.setFilterRegularExpression(
            QRegularExpression(words, QRegularExpression.PatternOption.CaseInsensitiveOption)
        )
        self._say(_NONE_FOUND if self.table.rowCount() else _NO_RUNS)
        self._stretch_reasons()

    @Slot()
    def _stretch_reasons(self) -> None:
        """Let what there is instead of a record reach to the right edge, wherever the run is sorted to."""
        self.view.clearSpans()
        for row in range(self._sorted.rowCount()):
            if not self.table.has_record(self._sorted.mapToSource(self._sorted.index(row, 0)).row()):
                self.view.setSpan(row, REASON, 1, self.table.columnCount() - REASON)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        assert self._folder is not None
        self._list = RunList([], frozenset())
        self.table.show_runs(self._folder, [])
        self._say(failure.sentence)

    @Slot(object)
    def _show_trashed(self, folder: Path) -> None:
        self.message.emit("info", f"The run in {folder} is in the trash.")
        self.refresh()

    @Slot(object)
    def _tell_failure(self, failure: Failure) -> None:
        self.message.emit("error", failure.sentence)
        self.refresh()

    def _whole(self) -> list[RunInfo]:
        return [run.info for run in self._runs() if run.info is not None]

    def _awaited(self) -> Path | None:
        """Return the folder of the one run that is selected, if a job waits for it."""
        found = [run.found for run in self._runs()]
        return found[0].folder if len(found) == 1 and found[0].status == "waiting" else None

    def _why_not_read(self) -> str | None:
        if len(self._runs()) != 1:
            return "Select one run first."
        if self._whole():
            return None
        unbegun = isinstance(self._runs()[0].found, WaitingRun)
        return "The run has not begun yet." if unbegun else "The record of this run cannot be read."

    def _why_not_change(self) -> str | None:
        if self._awaited():
            return "A job waits for this run: take it back first, with ptycho stop."
        if reason := self._why_not_read():
            return reason
        alive = self._whole()[0].status == Status.RUNNING
        return "The run is still training: stop it first." if alive else None

    def _why_not_compare(self) -> str | None:
        two = len(self._runs()) == len(self._whole()) == 2
        return None if two else "Select two runs first (Ctrl + click)."

    @Slot()
    def _follow(self) -> None:
        self.buttons.follow()
        whole = self._whole()
        removes = bool(whole) and all(info.folder in self._overlaid for info in whole)
        self.overlay.setText("Remove over&lay" if removes else "Over&lay")
        self._show_picture(self._runs())

    def _show_picture(self, runs: list[ListedRun]) -> None:
        if len(runs) != 1 or runs[0].picture is None:
            self.picture.setPixmap(QPixmap())
            self.picture.setText("Not reconstructed yet" if len(runs) == 1 else "")
            return
        ratio = self.devicePixelRatioF()
        picture = runs[0].picture.scaled(
            self.picture.size() * ratio, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        picture.setDevicePixelRatio(ratio)
        self.picture.setPixmap(QPixmap.fromImage(picture))

    def _open(self) -> None:
        if whole := self._whole():
            self.open_requested.emit(whole[0].folder)
        if awaited := self._awaited():
            self.wait_requested.emit(awaited)

    def _resume(self) -> None:
        self.resume_requested.emit(self._runs()[0].found.folder)

    def _toggle_overlay(self) -> None:
        folders = {run.found.folder for run in self._runs() if run.info}
        removes = folders <= self._overlaid
        changed = folders if removes else folders - self._overlaid
        self.set_overlaid(self._overlaid - folders if removes else self._overlaid | folders)
        for folder in sorted(changed):
            (self.remove_overlay_requested if removes else self.overlay_requested).emit(folder)

    def _compare(self) -> None:
        first, second = (run.found for run in self._runs())
        if isinstance(first, RunInfo) and isinstance(second, RunInfo):
            names = (first.folder.name, second.folder.name)
            SettingsComparison(first, second, names, self).exec()

    def _trash(self) -> None:
        folder = self._runs()[0].found.folder
        question = (
            f"Move the run in {folder} to the trash, with its checkpoints and reconstructions? "
            "Other files in the folder stay."
        )
        if confirmed(self, "Move to trash", question, "Move to &trash"):
            self._trashing.start(trash_run(folder))
