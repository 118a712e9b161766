"""`MappingDialog`: an operator says what is what in a file of no known format, and sees at once what comes of it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from PySide6.QtCore import QModelIndex, QPoint, QSize, QStandardPaths, Qt, QTimer, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QToolButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.formats.mapping.layout import arrays_of
from ptycho_core.formats.mapping.proposal import Proposal
from ptycho_core.formats.mapping.saved_mappings import SavedMapping
from ptycho_core.scan.mapping import Mapping
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.labels import worded
from ptycho_gui.kit.plots.pattern_view import PatternView
from ptycho_gui.kit.plots.position_map import PositionMap
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.map_file.file_tree import FileTreeModel
from ptycho_gui.map_file.jobs import mapping as jobs
from ptycho_gui.map_file.mapping_form import OF_POSITIONS, ROLES, MappingForm

_SIZE = (1180, 720)
_SHARES = (430, 390, 360)
_WIDEST_NAME = 24
"""Characters that the names get of the tree's width at first."""
_LARGE_TREE = 200
"""Arrays; a larger tree is not unfolded."""
_SETTLE_MS = 300
_GUESS = "Guess"
_TABLES = "Tables and data (*.csv *.txt *.dat *.tsv *.mda *.h5 *.hdf5 *.nxs *.cxi *.npz);;All files (*)"


def mappings_folder() -> Path:
    """Return where the window keeps mappings that were saved under a name."""
    return Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppConfigLocation)) / "mappings"


class MappingDialog(QDialog):
    """Asks what is what in a file; `mapping` and `positions_file` are the answer.

    Parameters
    ----------
    path
        The file with the patterns.
    folder
        Where mappings are saved.
    """

    def __init__(self, path: Path, parent: QWidget | None = None, folder: Path | None = None) -> None:
        super().__init__(parent)
        self._path, self._folder = path, folder or mappings_folder()
        self._fingerprint = ""
        self._saved: list[SavedMapping] = []
        self._proposal = Proposal()
        self._answer: Mapping | None = None
        self.setWindowTitle(f"What is what in {path.name}")
        self.setWhatsThis(
            "For files of no known format. Each field takes the name of an array: choose it, drag it from the tree, or "
            "select it there and press Use as. The previews show at once what comes of it. Save the mapping under a "
            "name, and it is offered for files of the same layout."
        )
        self.resize(QSize(*_SIZE).boundedTo(self.screen().availableSize()))
        self._examiner, self._previewer, self._writer = WorkerSlot(self), WorkerSlot(self), WorkerSlot(self)
        self._settled = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._make_content()
        self._connect()
        self._examine(None)

    def mapping(self) -> Mapping:
        """Return the mapping; to be asked once the dialog was accepted."""
        if self._answer is None:
            raise RuntimeError("the dialog was not accepted")
        return self._answer

    def positions_file(self) -> Path | None:
        """Return the file of positions, where they are in one of their own."""
        return self.form.positions_file

    def shut_down(self) -> None:
        """Cancel what is at work and wait for it."""
        self._settled.stop()
        for slot in (self._examiner, self._previewer, self._writer):
            slot.shut_down()

    def done(self, result: int) -> None:
        """Qt: accepted or rejected."""
        self.shut_down()
        super().done(result)

    def _make_content(self) -> None:
        self.form = MappingForm(self._path)
        self.pattern, self.places = PatternView(), PositionMap()
        keeps_its_place = self.places.sizePolicy()
        keeps_its_place.setRetainSizeWhenHidden(True)
        self.places.setSizePolicy(keeps_its_place)
        self.remarks = QPlainTextEdit(readOnly=True)
        self.remarks.setAccessibleName("What was found and converted")
        self.remarks.setMaximumHeight(5 * self.fontMetrics().lineSpacing() + 10)
        previews = self._column(self.pattern, self.places, self.remarks)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        for part in (self._tree_side(), self.form, previews):
            splitter.addWidget(part)
        splitter.setChildrenCollapsible(False)
        splitter.setSizes(_SHARES)
        column = QVBoxLayout(self)
        column.addLayout(self._head())
        column.addWidget(splitter, 1)
        column.addLayout(self._status())
        column.addLayout(self._foot())

    @staticmethod
    def _column(*widgets: QWidget) -> QWidget:
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in widgets:
            column.addWidget(widget, int(not isinstance(widget, QPlainTextEdit | QToolButton)))
        return side

    def _head(self) -> QHBoxLayout:
        self.saved = QComboBox()
        self.saved.addItem(_GUESS)
        self.saved.setAccessibleName("Mapping to begin with")
        self.saved.setToolTip("A guess, or a mapping that was saved, or is shipped, for files of this layout")
        self.saved.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        label = QLabel("Be&gin with:")
        label.setBuddy(self.saved)
        self.load = QPushButton("Lo&ad…")
        self.load.setToolTip("Read a mapping from a JSON file")
        self.load.setAutoDefault(False)
        self.load.clicked.connect(self._load)
        row = QHBoxLayout()
        row.addWidget(QLabel("Check what is filled in against the previews, and change what is not right."), 1)
        row.addWidget(label)
        row.addWidget(self.saved)
        row.addWidget(self.load)
        return row

    def _tree_side(self) -> QWidget:
        self.model = FileTreeModel(self)
        self.tree = QTreeView()
        self.tree.setModel(self.model)
        self.tree.setAccessibleName("Content of the file")
        self.tree.setDragEnabled(True)
        self.tree.setUniformRowHeights(True)
        self.tree.setIndentation(14)
        self.tree.setAlternatingRowColors(True)
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.use = QToolButton()
        self.use.setText("&Use as")
        self.use.setToolTip("What the selected array is")
        self.use.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.use)
        menu.setToolTipsVisible(True)
        for role, words in ROLES.items():
            menu.addAction(words).setData(role)
        self.use.setMenu(menu)
        self._allow_use(False)
        return self._column(self.tree, self.use)

    def _status(self) -> QHBoxLayout:
        self._sign, self.status = QLabel(), QLabel("Looking at the file", wordWrap=True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.status.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        row = QHBoxLayout()
        row.addWidget(self._sign)
        row.addWidget(self.status, 1)
        return row

    def _foot(self) -> QHBoxLayout:
        self.name = QLineEdit(placeholderText="such as Beamline 5, detector 2")
        self.name.setAccessibleName("Name to save the mapping under")
        self.name.setToolTip("Under this name the mapping is offered for files of the same layout")
        label = QLabel("Name &to save it under:")
        label.setBuddy(self.name)
        self.save, self.export = QPushButton("&Save"), QPushButton("Export as &JSON…")
        self.save.setToolTip("Save the mapping under this name")
        self.export.setToolTip("Write the mapping to a file, for the command line and for others")
        for button in (self.save, self.export):
            button.setAutoDefault(False)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self.open_button = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        self.open_button.setToolTip("Open the scan as the fields say")
        row = QHBoxLayout()
        row.addWidget(label)
        row.addWidget(self.name, 1)
        row.addWidget(self.save)
        row.addWidget(self.export)
        row.addSpacing(24)
        row.addWidget(self.buttons)
        self._allow_answer()
        return row

    def _connect(self) -> None:
        self._examiner.succeeded.connect(self._show_examined)
        self._examiner.failed.connect(self._show_failure)
        self._previewer.failed.connect(self._show_failure)
        self._writer.failed.connect(self._show_failure)
        self._settled.timeout.connect(self._preview)
        self.form.changed.connect(self._wait_and_preview)
        self.form.positions_wanted.connect(self._choose_positions)
        self.form.positions_dropped.connect(self._drop_positions)
        self.tree.selectionModel().currentChanged.connect(self._select)
        self.tree.customContextMenuRequested.connect(self._show_menu)
        self.use.menu().triggered.connect(self._use_as)
        self.saved.activated.connect(self._begin_with)
        self.name.textChanged.connect(self._allow_answer)
        self.save.clicked.connect(self._save)
        self.export.clicked.connect(self._export)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)

    # What the operator does

    @Slot()
    def _choose_positions(self) -> None:
        text, _ = QFileDialog.getOpenFileName(self, "File with the positions", str(self._path.parent), _TABLES)
        if text:
            self.use_positions_file(Path(text))

    @Slot()
    def _drop_positions(self) -> None:
        self.use_positions_file(None)

    def use_positions_file(self, path: Path | None) -> None:
        """Take the positions from a file of their own, or from the file itself; the guess is made anew."""
        self.form.say_positions_file(path)
        self._examine(path)

    def _examine(self, positions_file: Path | None) -> None:
        self._say("info", "Looking at the file")
        self._examiner.start(jobs.examine(self._path, positions_file, self._folder))

    @Slot(QModelIndex, QModelIndex)
    def _select(self, current: QModelIndex, _: QModelIndex) -> None:
        self._allow_use(bool(self.model.key(current)))
        theirs = self.model.is_positions(current)
        for action in self.use.menu().actions():
            of_positions, elsewhere = action.data() in OF_POSITIONS, self.form.positions_file is not None
            if theirs:
                allow(action, None if of_positions else "This is in the file of positions.")
            else:
                allow(action, "Positions have a file of their own." if of_positions and elsewhere else None)

    def _allow_use(self, allowed: bool) -> None:
        allow(self.use, None if allowed else "Select an array or an attribute first.")

    @Slot(QPoint)
    def _show_menu(self, place: QPoint) -> None:
        if self.use.isEnabled():
            self.use.menu().popup(self.tree.viewport().mapToGlobal(place))

    @Slot(QAction)
    def _use_as(self, action: QAction) -> None:
        self.form.use(action.data(), self.model.key(self.tree.currentIndex()))

    @Slot(int)
    def _begin_with(self, place: int) -> None:
        mapping = self._saved[place - 1].mapping if place else self._proposal.mapping
        if place:
            self.name.setText(self._saved[place - 1].name)
        if mapping is not None:
            self.form.say(mapping)

    @Slot()
    def _load(self) -> None:
        text, _ = QFileDialog.getOpenFileName(self, "Load mapping", str(self._path.parent), "Mappings (*.json)")
        if text:
            self._writer.start(jobs.load(Path(text)), self.form.say)

    @Slot()
    def _save(self) -> None:
        if self._answer is not None:
            job = jobs.save(self._folder, self.name.text(), self._answer, self._fingerprint)
            self._writer.start(job, self._tell_written)

    @Slot()
    def _export(self) -> None:
        suggestion = str(self._path.with_name(f"{self._path.stem}-mapping.json"))
        text, _ = QFileDialog.getSaveFileName(self, "Export mapping", suggestion, "Mappings (*.json)")
        if text and self._answer is not None:
            self._writer.start(jobs.export(Path(text), self._answer), self._tell_written)

    # What the workers tell

    @Slot(object)
    def _show_examined(self, examined: jobs.Examined) -> None:
        self._fingerprint, self._saved, self._proposal = examined.fingerprint, examined.saved, examined.proposal
        trees = [(self._path.name, examined.root)]
        if examined.positions_root is not None and self.form.positions_file is not None:
            trees.append((self.form.positions_file.name, examined.positions_root))
        self.model.show(trees)
        self.tree.expandToDepth(2 if len(arrays_of(examined.root)) < _LARGE_TREE else 0)
        self._fit_columns()
        self.saved.clear()
        self.saved.addItems([_GUESS, *(saved.name for saved in self._saved)])
        self.form.offer(examined.proposal, examined.root, examined.positions_root)
        separate = self.form.positions_file is not None
        whole = [(i, saved.mapping) for i, saved in enumerate(self._saved, 1) if not saved.mapping.open]
        fitting = [i for i, of in whole if of.positions.separate_file == separate and "step" not in of.guessed]
        self.saved.setCurrentIndex(fitting[0] if fitting else 0)
        self._begin_with(self.saved.currentIndex())
        if self._proposal.mapping is None and not fitting:
            self.form.say_part(self._proposal)

    def _fit_columns(self) -> None:
        header = self.tree.header()
        header.setStretchLastSection(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for section in range(3):
            self.tree.resizeColumnToContents(section)
        header.resizeSection(0, min(header.sectionSize(0), _WIDEST_NAME * self.fontMetrics().averageCharWidth()))

    @Slot()
    def _wait_and_preview(self) -> None:
        self._answer = None
        self._allow_answer()
        self._say("info", "Reading")
        self._settled.start()

    @Slot()
    def _preview(self) -> None:
        partial_mapping = self.form.partial_mapping()
        self._previewer.start(jobs.preview(partial_mapping), partial(self._show_preview, partial_mapping))

    def _show_preview(self, partial_mapping: jobs.PartialMapping, preview: jobs.Preview) -> None:
        if self._settled.isActive():  # the fields have changed since
            return
        by_fields = bool(preview.problem) and self.form.show_problem(preview.problem)
        asks = preview.answers and not by_fields
        self._answer = partial_mapping.mapping if asks or not preview.problem else None
        self._allow_answer()
        self._show_pictures(preview)
        self.remarks.setPlainText("\n".join(preview.remarks))
        if asks:
            self._say("warning", f"The scan can be opened, and the panel Scan asks then: {worded(preview.problem)}.")
        elif self._answer is not None:
            self._say("ok", f"The scan can be opened: {preview.summary}.")
        elif preview.problem and not by_fields:
            self._say("error", worded(preview.problem))
        else:
            self._say("warning", "Not a scan yet: see below the fields.")

    def _show_pictures(self, preview: jobs.Preview) -> None:
        if preview.pattern is None:
            self.pattern.clear()
        else:
            seen = preview.pattern[np.isfinite(preview.pattern) & (preview.pattern > 0)]
            levels = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
            self.pattern.show_counts(preview.pattern, levels)
            self.pattern.set_bad_pixels(preview.bad)
        positions = np.empty((0, 2)) if preview.positions is None else preview.positions
        self.places.show_positions(positions, None, preview.pixel_size_m)
        self.places.setVisible(len(positions) > 0)

    def _tell_written(self, sentence: str) -> None:
        self._say("ok", sentence)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self._say("error", failure.sentence)

    def _say(self, sign: str, sentence: str) -> None:
        self._sign.setPixmap(icon(sign).pixmap(20, 20))
        self.status.setText(sentence)

    @Slot()
    def _allow_answer(self) -> None:
        why_not = None if self._answer is not None else "The fields do not make a scan yet."
        allow(self.open_button, why_not)
        allow(self.export, why_not)
        allow(self.save, why_not or (None if self.name.text().strip() else "Type a name to save it under."))
