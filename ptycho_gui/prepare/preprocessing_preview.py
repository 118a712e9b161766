"""`PreprocessingPreview`: the scan before and after preprocessing, and shapes drawn on it that become steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QLayout,
    QSpinBox,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.base.errors import Problem
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.preprocessing.preview import Effect, Look, StepsPreview
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.steps import MaskThreshold, Step
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.forms.flow import flowing
from ptycho_gui.kit.forms.problem_note import ProblemNote
from ptycho_gui.kit.plots.position_map import PositionMap
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.prepare.jobs.steps import preview_steps_job
from ptycho_gui.prepare.marked_pattern import MarkedPattern
from ptycho_gui.prepare.preprocessing_figures import PreprocessingFigures
from ptycho_gui.prepare.step_entry import title
from ptycho_gui.prepare.step_tools import REGION, THRESHOLD, StepTools
from ptycho_gui.prepare.threshold import Threshold

PAUSE_MS = 150
_MEAN, _ONE, _MASK, _PLACES = "Mean pattern", "One pattern", "Mask", "Positions"


class PreprocessingPreview(QWidget):
    """Looks at the scan in a worker whenever the steps change; of several changes only the last is looked at."""

    step_drawn = Signal(object)
    """A `Step` to be put after those that are shown."""
    effect_ready = Signal(object)
    """`Effect` of the steps that were shown last."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(
            "The scan as it is in the file, and as it is after the chosen preprocessing step. Masks, regions and the "
            "centre can be drawn on the picture to the right; each becomes a step."
        )
        self._scan: Scan | None = None
        self._steps_preview: StepsPreview | None = None
        self._steps: tuple[Step, ...] = ()
        self._n_shown = self._row = 0
        self._effect: Effect | None = None
        self._waiting = False
        self._timer = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._timer.timeout.connect(self._look)
        self._slot = WorkerSlot(self)
        self._slot.succeeded.connect(self._take)
        self._slot.failed.connect(self._show_failure)
        self._slot.ended.connect(self._go_on)
        self._lay_out()
        self._show_view()

    @property
    def looking(self) -> bool:
        """Whether a thread looks at the scan."""
        return self._slot.busy

    def show_scan(self, looked: Inspection | None) -> None:
        """Show a scan that was loaded, before any steps and after those of `show_steps`; None for no scan."""
        same_file = self._scan is not None and looked is not None and self._scan.source.path == looked.scan.source.path
        self._scan = looked.scan if looked else None
        self._steps_preview = StepsPreview(looked.scan) if looked else None
        self._effect = None
        if looked:
            if not same_file:
                self._row = len(looked.scan) // 2
            self._request()
        else:
            self._timer.stop()
            self._slot.cancel()
            self._waiting = True  # what is being looked at is of no use
            self._show_effect()

    @Slot(object, int)
    def show_steps(self, steps: tuple[Step, ...], n_shown: int) -> None:
        """Show the scan before these steps and after the first ``n_shown``."""
        self._steps, self._n_shown = steps, n_shown
        if self._steps_preview:
            self._request()

    def shut_down(self) -> None:
        """Leave off looking and wait."""
        self._timer.stop()
        self._waiting = False
        self._slot.shut_down()

    def _lay_out(self) -> None:
        self.before, self.after = MarkedPattern(), MarkedPattern()
        self.places_before, self.places_after = PositionMap(), PositionMap()
        self.places_before.clicked.connect(self._choose_before)
        self.places_after.clicked.connect(self._choose_after)
        self.tools = StepTools(self, self.after.plot.plot, self.places_after.plot)
        self.tools.step_drawn.connect(self.step_drawn)
        self.tools.tool_chosen.connect(self._show_tool)
        self.threshold = Threshold()
        self.threshold.hide()
        self.threshold.changed.connect(self._mark)
        self.threshold.accepted.connect(self._mask_beyond)
        self.figures = PreprocessingFigures()
        self.problem = ProblemNote()
        self._pictures = QStackedWidget()
        self._pictures.addWidget(_beside(self.before, self.after))
        self._pictures.addWidget(_beside(self.places_before, self.places_after))
        column = QVBoxLayout(self)
        column.addLayout(self._choices())
        column.addWidget(self.tools)
        column.addWidget(self._pictures, 1)
        for widget in (self.threshold, self.problem, self.figures):
            column.addWidget(widget)

    def _choices(self) -> QLayout:
        self.view = QComboBox()
        self.view.setAccessibleName("What to show")
        self.view.addItems([_MEAN, _ONE, _MASK, _PLACES])
        self.view.setToolTip("What to show before and after")
        self.view.currentTextChanged.connect(self._show_view)
        self.index = QSpinBox()
        self.index.setAccessibleName("Pattern")
        self.index.setKeyboardTracking(False)
        self.index.setToolTip("Which pattern, by its place in the file")
        self.index.valueChanged.connect(self._choose)
        self._log = QCheckBox("Log scale")
        self._log.setChecked(True)
        self._log.setToolTip("Show counts on a logarithmic scale")
        self._log.toggled.connect(self.before.set_logarithmic)
        self._log.toggled.connect(self.after.set_logarithmic)
        self._busy = QLabel()
        shown, pattern = QLabel("Show"), QLabel("Pattern")
        shown.setBuddy(self.view)
        pattern.setBuddy(self.index)
        return flowing((shown, self.view), (pattern, self.index), self._log, self._busy)

    def _request(self) -> None:
        self._timer.start()

    @Slot()
    def _look(self) -> None:
        self._waiting = self._slot.busy
        if self._waiting:
            self._slot.cancel()
        elif self._steps_preview:
            self._slot.start(preview_steps_job(self._steps_preview, self._steps, self._n_shown, self._row))
            self._busy.setText("Looking…")

    @Slot()
    def _go_on(self) -> None:
        self._busy.setText("")
        if self._waiting:
            self._look()

    @Slot(object)
    def _take(self, effect: Effect) -> None:
        if self._waiting or self._timer.isActive():
            return
        self._effect = effect
        self.problem.show_problems([])
        self._show_effect()
        self.effect_ready.emit(effect)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        if not self._waiting:
            self.problem.show_problems([Problem("scan", failure.sentence)])

    def _show_effect(self) -> None:
        effect = self._effect
        self.figures.show_effect(effect)
        self.tools.set_size(effect.after.size if effect else 0)
        with QSignalBlocker(self.index):
            self.index.setRange(0, effect.before.n - 1 if effect else 0)
            self.index.setValue(effect.row if effect else 0)
        if effect and self.tools.tool == THRESHOLD:
            self.threshold.show_counts(effect.after.mean[effect.after.mask])
        self._show_view()

    @Slot()
    def _show_view(self) -> None:
        view, effect = self.view.currentText(), self._effect
        self._pictures.setCurrentIndex(view == _PLACES)
        allow(self.index, None if effect else "No pattern is shown.")
        self._log.setVisible(view in (_MEAN, _ONE))
        if effect is None:
            for picture, heading in ((self.before, "Before"), (self.after, "After")):
                picture.clear()
                picture.plot.header.set_title(heading)
            for places in (self.places_before, self.places_after):
                places.show_positions(np.empty((0, 2)))
            return
        for picture, places, look, heading in (
            (self.before, self.places_before, effect.before, "Before, as in the file"),
            (self.after, self.places_after, effect.after, self._after(effect)),
        ):
            picture.plot.header.set_title(heading)
            if view == _PLACES:
                left_out = " (grey: left out)" if look.n > effect.after.n else ""
                places.header.set_title(f"{heading}{left_out}")
                _show_places(places, look, effect)
            else:
                self._show_pattern(picture, look)
        self._mark()

    def _after(self, effect: Effect) -> str:
        n = effect.n_shown
        draws = self.tools.tool not in ("", THRESHOLD)
        heading = f"After step {n}: {title(type(self._steps[n - 1]))}" if n else "After: no step yet"
        return f"{heading}. Draw here" if draws else heading

    def _show_pattern(self, picture: MarkedPattern, look: Look) -> None:
        view = self.view.currentText()
        picture.set_logarithmic(self._log.isChecked() and view != _MASK)
        picture.mark_centre(look.size)
        picture.set_bad_pixels(None)  # those of another size would widen the view
        counts = {_MEAN: look.mean, _ONE: look.pattern, _MASK: np.zeros(look.mask.shape)}[view]
        if counts is None:
            picture.clear()
            picture.plot.header.read_out("left out by the steps")
        else:
            picture.show_counts(counts, (0.0, 1.0) if view == _MASK else _levels(counts, look.mask))
            picture.plot.bar.setVisible(view != _MASK)

    @Slot()
    def _mark(self) -> None:
        """Mark bad pixels, and those that a threshold would add."""
        if self._effect is None:
            return
        before, after = self._effect.before, self._effect.after
        one = self.view.currentText() == _ONE
        bad = ~(after.pattern_mask if one else after.mask)
        if self.tools.tool == THRESHOLD:
            low, high = self.threshold.limits
            bad = bad | (after.mean < (-np.inf if low is None else low)) | (after.mean > (high or np.inf))
        self.before.set_bad_pixels(~(before.pattern_mask if one else before.mask))
        self.after.set_bad_pixels(bad)

    @Slot(str)
    def _show_tool(self, tool: str) -> None:
        self.threshold.setVisible(tool == THRESHOLD)
        if tool == THRESHOLD and self._effect:
            self.threshold.show_counts(self._effect.after.mean[self._effect.after.mask])
        if tool == REGION:
            self.view.setCurrentText(_PLACES)
        elif tool and self.view.currentText() == _PLACES:
            self.view.setCurrentText(_MEAN)
        self._show_view()

    @Slot()
    def _mask_beyond(self) -> None:
        low, high = self.threshold.limits
        self.tools.put_down()
        self.step_drawn.emit(MaskThreshold(above=high, below=low))

    @Slot(int)
    def _choose(self, row: int) -> None:
        self._row = row
        self._request()

    @Slot(int)
    def _choose_before(self, place: int) -> None:
        if self._effect:
            self.index.setValue(int(self._effect.before.rows[place]))

    @Slot(int)
    def _choose_after(self, place: int) -> None:
        if self._effect:
            self.index.setValue(int(self._effect.after.rows[place]))


def _beside(left: QWidget, right: QWidget) -> QSplitter:
    both = QSplitter(Qt.Orientation.Horizontal)
    both.addWidget(left)
    both.addWidget(right)
    both.setSizes([1, 1])
    return both


def _levels(counts: NDArray[np.floating], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return levels in which the good pixels are seen, from the least light that there is."""
    lit = counts[mask & (counts > 0)]
    return (float(lit.min()), float(lit.max())) if lit.size else (0.0, 1.0)


def _show_places(places: PositionMap, look: Look, effect: Effect) -> None:
    kept = np.isin(look.rows, effect.after.rows)
    places.show_positions(look.positions, np.where(kept, look.rows, np.nan), look.pixel_size_m, "pattern")
    chosen = np.flatnonzero(look.rows == effect.row)
    places.mark(int(chosen[0]) if len(chosen) else None)
