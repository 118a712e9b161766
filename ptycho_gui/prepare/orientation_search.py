"""`OrientationSearch`: tries the eight ways to turn the patterns and ranks them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QCloseEvent, QFont, QIcon, QImage, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.formats.writers.images import phase_style
from ptycho_core.scan.orientation import OrientationTrial, half_turn_of, rivals
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import Step
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.plots.colour_maps import colour_map
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure, Progress
from ptycho_gui.kit.words import figure
from ptycho_gui.prepare.jobs.orientation import Tried, orientation_job

_PLAIN = {
    "+y+x": "as it is",
    "+y-x": "mirrored left to right",
    "-y+x": "mirrored top to bottom",
    "-y-x": "half a turn",
    "+x+y": "axes swapped",
    "+x-y": "quarter turn clockwise",
    "-x+y": "quarter turn anticlockwise",
    "-x-y": "axes swapped and half a turn",
}
_PICTURE_PX = 60
_RIM = 6
_LEGEND = (
    "Eight ways to turn the patterns are tried on a part of the scan. Deviance says how far patterns that a short "
    "fit did not see are from it: the lowest is best. The pictures show the object's phase."
)


class OrientationSearch(QDialog):
    """Opens empty; the operator starts the search, sees it rank, and takes one."""

    chosen = Signal(str)
    """The patterns shall be turned so: one of `ORIENTATIONS`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Try all orientations")
        self.setWhatsThis(
            "Patterns that are mirrored or turned against the positions give a blurred picture. A short "
            "reconstruction of a part of the scan in each of the eight orientations shows which one fits."
        )
        self._scan: Scan | None = None
        self._steps: tuple[Step, ...] = ()
        self._searched: object = None
        self._tried: dict[str, Tried] = {}
        self._slot = WorkerSlot(self)
        self._slot.events.connect(self._hear)
        self._slot.succeeded.connect(self._show_verdict)
        self._slot.failed.connect(self._show_failure)
        self._slot.cancelled.connect(self._show_cancelled)
        self._slot.ended.connect(self._update)
        self._lay_out()
        self._update()

    def show_scan(self, scan: Scan, steps: tuple[Step, ...]) -> None:
        """Say which scan to search, and with which steps; what was found for another is forgotten."""
        if (scan, steps) == (self._scan, self._steps):
            return
        self._slot.cancel()
        self._scan, self._steps, self._tried = scan, steps, {}
        self.words.setText(_LEGEND)
        self._fill()
        self._update()

    def begin(self) -> None:
        """Search, unless it was done or goes on."""
        if not self._tried and not self._slot.busy:
            self.start()

    def start(self) -> None:
        """Search."""
        if self._scan is not None:
            self._tried = {}
            self._fill()
            self.words.setText(_LEGEND)
            self._searched = self._scan, self._steps
            self._slot.start(orientation_job(self._scan, self._steps))
            self._update()

    def shut_down(self) -> None:
        """Leave off searching and wait."""
        self._slot.shut_down()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Qt: leave off searching."""
        self._slot.cancel()
        super().closeEvent(event)

    def reject(self) -> None:
        """Qt: as closing."""
        self._slot.cancel()
        super().reject()

    def _lay_out(self) -> None:
        self.table = QTableWidget(0, 3)
        self.table.setAccessibleName("Orientations, the best first")
        self.table.setHorizontalHeaderLabels(["Picture", "Patterns are turned", "Deviance"])
        self.table.setIconSize(QSize(_PICTURE_PX, _PICTURE_PX))
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setTabKeyNavigation(False)
        self.table.verticalHeader().setDefaultSectionSize(_PICTURE_PX + 6)
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._update)
        self.table.doubleClicked.connect(self._choose)
        self._bar = QProgressBar()
        self._bar.setAccessibleName("Progress of the search")
        self.words = QLabel(_LEGEND, wordWrap=True)
        self.search, self.stop, self.use = QPushButton("&Search"), QPushButton("S&top"), QPushButton("&Use this")
        self.search.setIcon(icon("search"))
        self.stop.setIcon(icon("stop"))
        self.use.setIcon(icon("ok"))
        self.search.setToolTip("Try all orientations; less than a minute as a rule")
        self.stop.setToolTip("Leave off searching")
        self.use.setToolTip("Add the step that turns the patterns so, and apply all steps")
        self.search.clicked.connect(self.start)
        self.stop.clicked.connect(self._slot.cancel)
        self.use.clicked.connect(self._choose)
        close = QPushButton("&Close")
        close.setToolTip("Close and change nothing (Esc)")
        close.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        for button in (self.search, self.stop):
            buttons.addWidget(button)
        buttons.addStretch(1)
        for button in (self.use, close):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        for widget in (self.words, self.table, self._bar):
            column.addWidget(widget)
        column.addLayout(buttons)
        self.resize(460, 680)

    @Slot(object)
    def _hear(self, events: tuple[Any, ...]) -> None:
        for event in events if self._is_present() else ():
            if isinstance(event, Progress):
                self._bar.setRange(0, event.total)
                self._bar.setValue(event.done)
                self._bar.setFormat(f"{event.stage.capitalize()}: {event.done} of {event.total}")
            elif isinstance(event, Tried):
                self._tried[event.trial.orientation] = event
                self._fill()

    @Slot(object)
    def _show_verdict(self, trials: list[OrientationTrial]) -> None:
        if not self._is_present():
            return
        self.words.setText(verdict(trials))
        self.table.selectRow(0)
        self.table.setFocus()

    def _is_present(self) -> bool:
        """Tell whether what the search says is about the scan that is shown."""
        return self._searched == (self._scan, self._steps)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        if self._is_present():
            self.words.setText(failure.sentence)

    @Slot()
    def _show_cancelled(self) -> None:
        if self._is_present():
            self.words.setText("The search was stopped: orientations that are not listed were not tried.")

    def _fill(self) -> None:
        ranked = sorted(self._tried.values(), key=lambda tried: tried.trial.deviance)
        self.table.setRowCount(len(ranked))
        bold = QFont(self.font())
        bold.setBold(True)
        for row, tried in enumerate(ranked):
            name = tried.trial.orientation
            best = " (best)" if row == 0 and len(ranked) > 1 else ""
            items = (
                QTableWidgetItem(QIcon(_picture(tried.object)), ""),
                QTableWidgetItem(f"{name}{best}\n{_PLAIN[name]}"),
                QTableWidgetItem(figure(tried.trial.deviance)),
            )
            if best:
                items[1].setFont(bold)
            items[1].setData(Qt.ItemDataRole.UserRole, name)
            items[2].setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            for column, item in enumerate(items):
                self.table.setItem(row, column, item)

    @Slot()
    def _choose(self) -> None:
        name = self._selected()
        if name and not self._slot.busy:
            self.accept()
            self.chosen.emit(name)

    def _selected(self) -> str:
        rows = self.table.selectionModel().selectedRows()
        item = self.table.item(rows[0].row(), 1) if rows else None
        return str(item.data(Qt.ItemDataRole.UserRole)) if item else ""

    @Slot()
    def _update(self) -> None:
        busy, selected = self._slot.busy, self._selected()
        self._bar.setVisible(busy)
        allow(self.search, "The search runs." if busy else None)
        allow(self.stop, None if busy else "Nothing runs.")
        not_chosen = None if selected else "Choose an orientation first."
        allow(self.use, "Wait for the search to end, or stop it." if busy else not_chosen)


def verdict(trials: list[OrientationTrial]) -> str:
    """Return what trials tell, the best of which comes first."""
    best, close = trials[0].orientation, rivals(trials)
    if close == [half_turn_of(best)]:
        return (
            f"{best} or {close[0]}: turned by half a turn, patterns fit as well with the phases of object and probe "
            "reversed, so that only a probe or an object that you know tells them apart."
        )
    if close:
        return f"{best} is the best, but {', '.join(close)} fit nearly as well: the scan does not tell clearly."
    if best == "+y+x":
        return "The patterns fit the positions as they are: nothing needs to be turned."
    return f"{best} fits clearly best: use it."


def _picture(object: NDArray[np.complex64]) -> QPixmap:
    """Return the phase about its mean, without the rim that hardly any light reaches."""
    rim = tuple(slice(side // _RIM, side - side // _RIM) for side in object.shape)
    phase = np.angle(object * np.conj(object.mean()))[rim]
    style = phase_style(phase)
    low, high = style.limits
    part = np.clip((phase - low) / max(high - low, 1e-6), 0, 1)
    pixels = np.ascontiguousarray(colour_map(style.cmap, style.last).map(part, mode="byte"))
    height, width = phase.shape
    image = QImage(pixels.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return QPixmap.fromImage(image.copy()).scaledToHeight(_PICTURE_PX, Qt.TransformationMode.SmoothTransformation)
