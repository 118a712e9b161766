"""`GroupMap`: one group after another on the map of positions, with the probe's footprint at each of its patterns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.scan.grouping import GroupingPlan, Neighborhoods, draw_groups, group_overlap
from ptycho_gui.kit import theme
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.plots.dots import Dots
from ptycho_gui.kit.plots.position_map import PositionMap

_AROUND = 1.1
"""What is shown, over what a group covers with its footprints and candidates."""

_LEAST_HEIGHT = 200
_NO_GROUP = np.empty(0, np.int64)


class GroupMap(QWidget):
    """Zooms to each group; where the operator has zoomed, that zoom is kept and the group put in the middle."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._near: Neighborhoods | None = None
        self._plan: GroupingPlan | None = None
        self._diameter = 0.0
        self._seed = self._number = 0
        self._zoomed = False
        self.map = PositionMap()
        self.map.plot.setAccessibleName("Map of one group")
        self.map.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.map.setMinimumHeight(_LEAST_HEIGHT)
        self._view: pg.ViewBox = self.map.plot_item.getViewBox()
        self._candidates = Dots()
        self._footprints = pg.ScatterPlotItem(pxMode=False, symbol="o")
        self._members = pg.ScatterPlotItem(size=9, symbol="o")
        for level, item in enumerate((self._footprints, self._candidates, self._members), 1):
            item.setZValue(level)
            self.map.plot_item.addItem(item, ignoreBounds=True)
        self.caption = QLabel(wordWrap=True)
        self.previous = self._button("&Previous group", "previous", self._step_back)
        self.previous.setToolTip("Show the group before")
        self.next = self._button("Ne&xt group", "next", self._step_on)
        self.next.setToolTip("Show another group")
        self._lay_out()
        self._view.sigRangeChangedManually.connect(self._keep_zoom)
        self.map.plot.recoloured.connect(self._apply_colours)
        self._apply_colours()
        self._show_group()

    def show_scan(
        self,
        near: Neighborhoods | None,
        probe_diameter: float | None = None,
        pixel_size_m: tuple[float, float] | None = None,
    ) -> None:
        """Show a scan's positions, or none; `show_plan` then shows groups of them.

        Parameters
        ----------
        near
            Neighbours of the positions.
        probe_diameter
            In object pixels; None where it is not known.
        pixel_size_m
            Object pixel (y, x); None where it is not known.
        """
        self._near, self._plan, self._diameter, self._zoomed = near, None, probe_diameter or 0.0, False
        self.map.show_positions(np.empty((0, 2)) if near is None else near.positions, pixel_size_m=pixel_size_m)
        self._show_group()

    def show_plan(self, plan: GroupingPlan | None, seed: int) -> None:
        """Show groups as this plan and this seed draw them; None for no groups."""
        if (plan, seed) != (self._plan, self._seed):
            self._plan, self._seed = plan, seed
            self._show_group()

    @property
    def group(self) -> NDArray[np.int64]:
        """(C,) the patterns of the group that is shown, that in the middle first."""
        return self._draw()[0]

    def _button(self, text: str, name: str, step: object) -> QPushButton:
        button = QPushButton(icon(name), text)
        button.clicked.connect(step)
        return button

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.previous, self.next):
            buttons.addWidget(button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.map, 1)
        column.addWidget(self.caption)
        column.addLayout(buttons)

    @Slot()
    def _step_on(self) -> None:
        self._number += 1
        self._show_group()

    @Slot()
    def _step_back(self) -> None:
        self._number -= 1
        self._show_group()

    def _draw(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the group of the present number (C,), and the patterns that it was drawn from (K,)."""
        if self._near is None or self._plan is None:
            return _NO_GROUP, _NO_GROUP
        rng = np.random.default_rng([self._seed, self._number])
        center = rng.integers(len(self._near), size=1)
        candidates = self._near.nearest(center, self._plan.resolve_neighbors(len(self._near)))
        return draw_groups(candidates, self._plan.group_size, rng)[0], candidates[0]

    def _show_group(self) -> None:
        group, candidates = self._draw()
        positions = np.empty((0, 2)) if self._near is None else self._near.positions
        xy, around = positions[group, ::-1], positions[candidates, ::-1]
        self._candidates.set_places(around)
        self._members.setData(pos=xy)
        self._footprints.setData(pos=xy, size=self._diameter)
        self.map.header.set_title(f"Group {self._number + 1}" if len(group) else "Groups")
        self.caption.setText(self._describe(group, candidates, positions))
        nothing = None if len(group) else "There is no group to show."
        allow(self.next, nothing)
        allow(self.previous, nothing or (None if self._number else "This is the first group."))
        if len(group):
            self._look_at(xy[0], float(abs(around - xy[0]).max()) + self._diameter / 2)

    def _describe(self, group: NDArray[np.int64], candidates: NDArray[np.int64], positions: NDArray[np.float64]) -> str:
        if self._near is None:
            return "Open a scan to see its groups."
        if not len(group):
            return "No group can be drawn with these settings."
        colours = theme.colours()
        text = f'<span style="color:{colours.series[1]}">●</span> pattern {group[0]}'
        if len(group) > 1:
            nearest = f'<span style="color:{colours.series[0]}">●</span> its {len(candidates) - 1} nearest'
            text += f" and {len(group) - 1} of {nearest}"
        if len(group) > 1 and self._diameter:
            text += f"; mean overlap {group_overlap(positions[group], self._diameter):.0%}"
        return text

    def _look_at(self, center: NDArray[np.float64], reach: float) -> None:
        seen = self._view.viewRect()
        width, height = (seen.width(), seen.height()) if self._zoomed else (2 * _AROUND * reach,) * 2
        x, y = center
        self._view.setRange(QRectF(x - width / 2, y - height / 2, width, height), padding=0)

    @Slot()
    def _keep_zoom(self) -> None:
        self._zoomed = True

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        self._candidates.missing_colour = colours.series[0]
        self._candidates.update()
        footprint = pg.mkColor(colours.series[1])
        self._footprints.setPen(pg.mkPen(footprint, width=1.5))
        footprint.setAlphaF(0.12)
        self._footprints.setBrush(footprint)
        self._members.setPen(pg.mkPen(colours.background))
        self._members.setBrush(colours.series[1])
