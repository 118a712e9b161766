"""`PatternBrowser`: steps through a scan's patterns, and shows their mean and maximum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QHideEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.inspection.inspection import Inspection
from ptycho_core.scan.survey import Survey
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.plots.levels import LevelsButton
from ptycho_gui.kit.plots.pattern_view import PatternView
from ptycho_gui.scan.jobs.patterns import PatternReader

SINGLE, MEAN, MAXIMUM = range(3)
"""Places in the choice of what is shown."""
_PLAY_EVERY_MS = 100
_LOWEST_COUNT = 0.5
"""A logarithmic scale of photons begins below one of them, where that is far below the end."""


class PatternBrowser(QWidget):
    """One pattern at a time, read in a thread of its own, or what all of them have in common."""

    selected = Signal(int)
    """The operator went to another pattern."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._looked: Inspection | None = None
        self._reader = PatternReader(self)
        self._reader.ready.connect(self._show_single)
        self._reader.failed.connect(self._show_failure)
        self._timer = QTimer(self, interval=_PLAY_EVERY_MS)
        self._timer.timeout.connect(self._play_on)
        self._arrived = True
        self.view = PatternView()
        self._make_choices()
        self._make_steps()
        look = (self._label("Show:", self.what), self.what, self.logarithmic, self.mark_bad, self.levels, None)
        step = (self.previous, self.play, self.next, self.slider, self._label("Pattern", self.number), self.number)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(self._row(*look))
        column.addWidget(self.view, 1)
        column.addLayout(self._row(*step, self._total))
        self.show_scan(None)

    def _make_choices(self) -> None:
        self.what = QComboBox()
        self.what.addItems(["Single pattern", "Mean", "Maximum"])
        self.what.setAccessibleName("What is shown")
        self.what.setToolTip("One pattern, the mean of the patterns, or the largest value of each pixel")
        self.what.currentIndexChanged.connect(self._show)
        self.logarithmic = QCheckBox("Log")
        self.logarithmic.setChecked(True)
        self.logarithmic.setToolTip("Logarithmic colour scale")
        self.logarithmic.setAccessibleName("Logarithmic colour scale")
        self.logarithmic.toggled.connect(self.view.set_logarithmic)
        self.mark_bad = QCheckBox("Bad pixels")
        self.mark_bad.setChecked(True)
        self.mark_bad.setToolTip("Mark pixels that are masked or hold no counts")
        self.mark_bad.toggled.connect(self.view.mark_bad_pixels)
        self.levels = LevelsButton()
        self.levels.chosen.connect(self.view.set_levels)
        self.view.levels_changed.connect(self.levels.show_levels)

    def _make_steps(self) -> None:
        self.previous = self._button("previous", "Previous pattern", self._step_back)
        self.play = self._button("play", "Play", self._toggle_play)
        self.next = self._button("next", "Next pattern", self._step_on)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Pattern")
        self.slider.setToolTip("Pattern; arrow keys step, Page up and Page down leap")
        self.slider.setMinimumWidth(60)
        self.slider.valueChanged.connect(self._go_to)
        self.number = QSpinBox()
        self.number.setAccessibleName("Pattern number")
        self.number.setToolTip("Pattern, counted from 0")
        self.number.setKeyboardTracking(False)
        self.number.valueChanged.connect(self._go_to)
        self._total = QLabel()

    @property
    def index(self) -> int:
        """The pattern selected."""
        return self.slider.value()

    @property
    def playing(self) -> bool:
        """Whether it goes through the patterns by itself."""
        return self._timer.isActive()

    def show_scan(self, looked: Inspection | None) -> None:
        """Show a scan, at the pattern selected before if it has as many; None for no scan."""
        self._pause()
        before, self._looked = self._looked, looked
        n = len(looked.scan) if looked else 0
        for box in (self.slider, self.number):
            box.blockSignals(True)
            box.setRange(0, max(n - 1, 0))
            box.blockSignals(False)
        self.slider.setPageStep(max(1, n // 20))
        self._total.setText(f"of {n}")
        if not is_same_file(before, looked):
            self.view.clear()
        self._mark_bad(None if looked is None else _bad_pixels(looked))
        no_scan = self._no_scan()
        for widget in (self.what, self.levels, self.previous, self.play, self.next, self.slider, self.number):
            allow(widget, no_scan)
        self._show()

    def _mark_bad(self, bad: NDArray[np.bool_] | None) -> None:
        self.view.set_bad_pixels(bad)
        n_bad = 0 if bad is None else int(bad.sum())
        self.mark_bad.setText(f"Bad pixels ({n_bad})" if n_bad else "Bad pixels")
        allow(self.mark_bad, self._no_scan() or (None if n_bad else "No pixel is masked or bad."))

    def select(self, index: int) -> None:
        """Show one pattern."""
        self._set_index(index)
        self.what.setCurrentIndex(SINGLE)
        self._show()

    def show_bad_pixels(self) -> None:
        """Show the mean pattern, where bad pixels stand out."""
        self.mark_bad.setChecked(True)
        self.what.setCurrentIndex(MEAN)

    def shut_down(self) -> None:
        """Leave off playing and reading, and wait."""
        self._pause()
        self._reader.shut_down()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: nobody looks, so nothing is played."""
        self._pause()
        super().hideEvent(event)

    def _no_scan(self) -> str | None:
        return None if self._looked else "Open a scan first."

    def _set_index(self, index: int) -> None:
        for box in (self.slider, self.number):
            box.blockSignals(True)
            box.setValue(index)
            box.blockSignals(False)

    @Slot(int)
    def _go_to(self, index: int) -> None:
        self.select(index)
        self.selected.emit(index)

    @Slot()
    def _show(self) -> None:
        looked, what = self._looked, self.what.currentIndex()
        if looked is None:
            self.view.plot.header.set_title("Pattern")
        elif what == SINGLE:
            self._arrived = False
            self._reader.read(looked.scan, self.index)
        else:
            seen = looked.seen
            self.view.plot.header.set_title(f"{self.what.currentText()} of {_how_many(seen)} patterns")
            counts = seen.mean if what == MEAN else seen.highest
            self._mark_bad(_bad_pixels(looked))
            self.view.show_counts(counts.astype(np.float32), _levels(counts))

    @Slot(int, object, object)
    def _show_single(self, index: int, counts: NDArray[np.float32], good: NDArray[np.bool_] | None) -> None:
        self._arrived = True
        if self._looked is not None and self.what.currentIndex() == SINGLE:
            bad = _bad_pixels(self._looked)
            self._mark_bad(bad if good is None else bad | ~good)
            self.view.plot.header.set_title(f"Pattern {index}")
            self.view.show_counts(counts, _levels(self._looked.seen.highest))

    @Slot(str)
    def _show_failure(self, sentence: str) -> None:
        self._pause()
        self.view.plot.clear()
        self.view.plot.header.read_out(f"Error: {sentence}")

    @Slot()
    def _toggle_play(self) -> None:
        if self._timer.isActive():
            self._pause()
        else:
            self._timer.start()
            self._show_playing("pause", "Pause")

    def _pause(self) -> None:
        self._timer.stop()
        self._show_playing("play", "Play")

    def _show_playing(self, name: str, text: str) -> None:
        self.play.setIcon(icon(name))
        allow(self.play, self._no_scan(), text)
        self.play.setAccessibleName(text)

    @Slot()
    def _play_on(self) -> None:
        if self._arrived:
            self._leap(1)

    @Slot()
    def _step_on(self) -> None:
        self._leap(1)

    @Slot()
    def _step_back(self) -> None:
        self._leap(-1)

    def _leap(self, by: int) -> None:
        if self._looked is not None:
            self._go_to((self.index + by) % len(self._looked.scan))

    def _button(self, name: str, text: str, clicked: Any) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon(name))
        button.setIconSize(QSize(16, 16))
        button.setAutoRaise(True)
        button.setToolTip(text)
        button.setAccessibleName(text)
        button.clicked.connect(clicked)
        return button

    @staticmethod
    def _label(text: str, of: QWidget) -> QLabel:
        label = QLabel(text)
        label.setBuddy(of)
        return label

    @staticmethod
    def _row(*widgets: QWidget | None) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        for widget in widgets:
            if widget is None:
                row.addStretch()
            else:
                row.addWidget(widget, int(widget.sizePolicy().horizontalPolicy() == QSizePolicy.Policy.Expanding))
        return row


def is_same_file(before: Inspection | None, looked: Inspection | None) -> bool:
    """Tell whether a scan is the one before, of which there may be more by now."""
    if before is None or looked is None:
        return False
    return before.scan.source.path is not None and before.scan.source.path == looked.scan.source.path


def _bad_pixels(looked: Inspection) -> NDArray[np.bool_]:
    """Return (N, N) where pixels are masked in all patterns, or had values that are no counts."""
    return looked.seen.bad_pixels | ~looked.seen.good


def _levels(counts: NDArray[np.floating]) -> tuple[float, float]:
    """Return levels in counts for a pattern that is at most as bright as this one."""
    high = float(counts.max())
    return min(_LOWEST_COUNT, 1e-3 * high), high


def _how_many(seen: Survey) -> str:
    return f"{seen.total}" if len(seen.rows) == seen.total else f"{len(seen.rows)} of {seen.total}"
