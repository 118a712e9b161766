"""`FurtherScans`: the scans that the network is trained on beside the open one, and what each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from ptycho_core.base.errors import Problem
from ptycho_core.scan.source import ENDINGS, ScanSource
from ptycho_gui.kit.forms.fold import Fold
from ptycho_gui.kit.forms.problem_note import ProblemNote
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import worded
from ptycho_gui.kit.table import Table, TableActions
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.jobs.further_scans import Further, find_scans_job, look_at_further_job

_FILTERS = f"Scans and lists of scans (*{' *'.join(ENDINGS)} *.xml *.txt);;All files (*)"
_NONE = "Add scans here, and one network is trained on them and the open one together."
_LOOKING = "being looked at…"
_ROWS = 5


class FurtherScans(QWidget):
    """A list of files that are read as the open scan is; of another scan it begins empty.

    Parameters
    ----------
    draft
        Has the open scan, and is told what was found.
    """

    def __init__(self, draft: Draft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = draft
        self._of: Path | None = None  # the first scan, with which these are trained
        self._looked_as: ScanSource | None = None
        self._rows = QStandardItemModel(0, 2, self)
        self._rows.setHorizontalHeaderLabels(["Scan", "What it is"])
        self.view = Table(self._rows, "Further scans", _NONE)
        self.view.setFixedHeight((_ROWS + 1) * (self.fontMetrics().height() + 8))
        self.note = ProblemNote()
        inside = QWidget()
        self.buttons = TableActions(self.view, inside)
        add = self.buttons.add
        self.add = add("Add scans…", "add", "Add files of scans, or text files that list them", self._choose_files)
        self.add_folder = add("Add folder…", "folder", "Add all scans that are in a folder", self._choose_folder)
        self.remove = add(
            "Take out",
            "cancel",
            "Train without these",
            self._remove,
            "Delete",
            why_not=lambda: None if self.view.selected_rows() else "Select scans first.",
        )
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.buttons, self.view, self.note):
            column.addWidget(widget)
        self.fold = Fold("", inside)
        self.fold.button.setToolTip("Scans that the network is trained on together with the open one")
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.fold)
        self._finding, self._looking = WorkerSlot(self), WorkerSlot(self)
        self._finding.failed.connect(self._show_failure)
        self._looking.failed.connect(self._show_failure)
        self._looking.succeeded.connect(self._take_looks)
        self.view.selectionModel().selectionChanged.connect(self.buttons.follow)
        draft.changed.connect(self._hear)
        self._hear()

    def set_scans(self, first: Path | None, further: Sequence[Path]) -> None:
        """Take these scans in place of those before, for a first one that is open or is being opened."""
        self._of, self._looked_as = first, None
        self._draft.set_further(tuple(map(Further, further)))

    def add_scans(self, named: Sequence[Path]) -> None:
        """Add files, those of folders, and those that text files list, where they are not here yet."""
        self._finding.start(find_scans_job(named), self._take)

    def shut_down(self) -> None:
        """Wait for what is read."""
        self._finding.shut_down()
        self._looking.shut_down()

    def _take(self, found: list[Path]) -> None:
        self.note.show_problems([])
        here = self._draft.further_files()
        known = {path.resolve() for path in (*here, *([self._of] if self._of else []))}
        new = [path.absolute() for path in found if path.resolve() not in known]
        self.set_scans(self._of, [*here, *new])

    @Slot(object)
    def _take_looks(self, found: tuple[Further, ...]) -> None:
        if tuple(one.path for one in found) == self._draft.further_files():  # they may be others by now
            self._draft.set_further(found)

    @Slot()
    def _hear(self) -> None:
        looked, further = self._draft.looked, self._draft.further
        path = looked.scan.source.path if looked else None
        if path is not None and path != self._of:
            self.set_scans(path, ())
            return
        if looked is not None and further and path == self._of and looked.scan.source != self._looked_as:
            self._looked_as = looked.scan.source
            self._looking.start(look_at_further_job(looked.scan, self._draft.further_files()))
        self._show()

    def _show(self) -> None:
        further = self._draft.further
        wrong = sum(any(problem.severity == "error" for problem in one.problems) for one in further)
        count = f"{len(further)}, {wrong} to put right" if wrong else str(len(further) or "none")
        self.fold.set_title(f"Train with further scans: {count}")
        if [self._rows.item(row).data() for row in range(self._rows.rowCount())] != list(further):
            self._rows.setRowCount(0)
            for one in further:
                self._rows.appendRow(_cells(one))
        self.buttons.follow()

    @Slot()
    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add scans", self._where, _FILTERS)
        if names:
            self.add_scans([Path(name) for name in names])

    @Slot()
    def _choose_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Add a folder of scans", self._where):
            self.add_scans([Path(name)])

    @property
    def _where(self) -> str:
        return str(self._of.parent if self._of else Path.home())

    def _remove(self) -> None:
        out = self.view.selected_rows()
        self.set_scans(self._of, [path for row, path in enumerate(self._draft.further_files()) if row not in out])

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self.note.show_problems([Problem("", failure.sentence)])


def _cells(one: Further) -> list[QStandardItem]:
    """Return a scan as a row, worst things first."""
    worst = sorted(one.problems, key=lambda problem: problem.severity != "error")
    sentences = [worded(problem.message) for problem in worst]
    picture = worst[0].severity if worst else "ok" if one.about else "search"
    wrong = bool(worst) and worst[0].severity == "error"
    cells = [
        QStandardItem(icon(picture), one.path.name),
        QStandardItem(sentences[0] if wrong else one.about or _LOOKING),
    ]
    cells[0].setData(one)
    for cell in cells:
        cell.setToolTip("\n".join(filter(None, (str(one.path), one.about, *sentences))))
        cell.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
    return cells
