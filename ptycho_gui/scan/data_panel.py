"""`DataPanel`: the scan in pictures: patterns, positions, probe, and counts, with one pattern selected in all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QLabel, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from ptycho_core.base.errors import Problem
from ptycho_core.inspection.inspection import Inspection
from ptycho_gui.kit.plots.position_map import PositionMap
from ptycho_gui.kit.plots.probe_view import ProbeView
from ptycho_gui.scan.counts_plot import CountsPlot
from ptycho_gui.scan.pattern_browser import PatternBrowser, is_same_file


class DataPanel(QWidget):
    """Four views of the scan that is open."""

    selected = Signal(int)
    """The operator selected a pattern, by its place in the scan."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(
            "The scan in pictures: its diffraction patterns, where the beam was, the probe, and the counts of each "
            "pattern. Click a position or a point of the counts to see that pattern. Drag to move, turn the wheel to "
            "zoom, double-click or press Home to see everything again; drag the handles of a colour bar for contrast."
        )
        self._looked: Inspection | None = None
        # One view at a time, and painted before the next, so that no single one of them holds the window up.
        self._undrawn: list[Callable[[Inspection], None]] = []
        self._draw = QTimer(self, singleShot=True, interval=0)
        self._draw.timeout.connect(self._draw_next)
        self.browser, self.map, self.probe, self.counts = PatternBrowser(), PositionMap(), ProbeView(), CountsPlot()
        self.browser.selected.connect(self._choose)
        self.map.clicked.connect(self._choose)
        self.counts.clicked.connect(self._choose)
        sides = QSplitter(Qt.Orientation.Horizontal)
        for top, bottom, parts in ((self.browser, self.counts, (7, 3)), (self.map, self.probe, (1, 1))):
            side = QSplitter(Qt.Orientation.Vertical)
            for widget, part in zip((top, bottom), parts, strict=True):
                side.addWidget(widget)
                side.setStretchFactor(side.count() - 1, part)
            side.setChildrenCollapsible(False)
            side.setSizes([100 * part for part in parts])
            sides.addWidget(side)
            sides.setStretchFactor(sides.count() - 1, 1)
        sides.setChildrenCollapsible(False)
        sides.setSizes([1000, 1000])
        nothing = QLabel("No scan is open.")
        nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedWidget()
        self._stack.addWidget(nothing)
        self._stack.addWidget(sides)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self._stack)

    def show_scan(self, looked: Inspection | None) -> None:
        """Show a scan that was looked at, or none.

        The pattern selected stays if there are as many; pan and zoom stay where the file is the same or has grown.
        """
        if not is_same_file(self._looked, looked):
            self.counts.plot.moved = False
        self._looked = looked
        self.browser.show_scan(looked)
        self._stack.setCurrentIndex(int(looked is not None))
        if looked is not None:
            self._undrawn = [self._show_positions, self._show_probe, self._show_sums]
            self._draw.start()

    @property
    def drawing(self) -> bool:
        """Whether some of the views are still to be drawn."""
        return self._draw.isActive()

    @Slot()
    def _draw_next(self) -> None:
        if self._looked is not None and self._undrawn:
            self._undrawn.pop(0)(self._looked)
            self._draw.start()

    def _show_positions(self, looked: Inspection) -> None:
        n, counted = len(looked.scan), len(looked.seen.rows)
        values = np.full(n, np.nan)
        values[looked.seen.rows] = looked.seen.sums
        self.map.header.set_title("Positions" if counted == n else f"Positions, {counted} of {n} counted")
        self.map.show_positions(looked.scan.positions, values, looked.scan.pixel_size_m)
        self.map.mark(self.browser.index)

    def _show_probe(self, looked: Inspection) -> None:
        self.probe.show_probe(looked.probe, looked.scan.probe is None, looked.scan.pixel_size_m)

    def _show_sums(self, looked: Inspection) -> None:
        self.counts.show_counts(looked.seen.rows, looked.seen.sums)
        self.counts.mark(self.browser.index)

    def select(self, index: int) -> None:
        """Show one pattern in all views."""
        if self._looked is None:
            return
        self.browser.select(index)
        self._mark(index)

    def show_problem(self, problem: Problem) -> None:
        """Show what a problem is about, where there is something to see."""
        if self._looked is None:
            return
        if problem.field == "patterns":
            empty = self._looked.seen.empty_rows
            self.select(int(empty[0]) if len(empty) else self.browser.index)
        elif problem.field == "mask":
            self.browser.show_bad_pixels()
        elif problem.field == "positions":
            self.map.plot.show_all()
            self.map.plot.setFocus()

    def shut_down(self) -> None:
        """Leave off reading patterns, and wait."""
        self.browser.shut_down()

    @Slot(int)
    def _choose(self, index: int) -> None:
        self.select(index)
        self.selected.emit(index)

    def _mark(self, index: int) -> None:
        self.map.mark(index)
        self.counts.mark(index)
