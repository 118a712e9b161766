"""`ProfilePlot`: amplitude and phase along a line, with two marks that measure what lies between them."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Slot
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.quality.profile import Profile, edge_width
from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.lengths import length_text
from ptycho_gui.kit.plots.plot import Plot

_LOWEST = 170
_AXES = {"amplitude": "Amplitude", "phase": "Phase (rad)"}


class ProfilePlot(QWidget):
    """Curves of one object or of two; the marks are dragged, and stay at the same part of the line when it moves."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._profiles: dict[str, Profile] = {}
        self._in_metres = False
        self.setMinimumHeight(_LOWEST)
        self._marks = (0.25, 0.75)
        self.readout = QLabel()
        self.readout.setAccessibleName("Between the marks")
        self.readout.setToolTip("Drag the two marks to either side of one edge to read how wide it is")
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.readout.setWordWrap(True)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.addWidget(self.readout, 0, 0, 1, 2)
        self.plots: dict[str, Plot] = {}
        self.regions: dict[str, pg.LinearRegionItem] = {}
        self._curves: dict[str, list[pg.PlotDataItem]] = {}
        for column, (quantity, title) in enumerate(_AXES.items()):
            plot = self.plots[quantity] = Plot()
            plot.setAccessibleName(f"{title} along the line")
            plot.plot_item.setLabel("left", title)
            plot.plot_item.getAxis("left").enableAutoSIPrefix(False)
            region = self.regions[quantity] = pg.LinearRegionItem()
            region.sigRegionChanged.connect(self._move_marks)
            plot.plot_item.addItem(region, ignoreBounds=True)
            # Not downsampled: they are short, and pyqtgraph drops all of a curve that is tiny in the present range.
            self._curves[quantity] = [plot.plot_item.plot() for _ in range(2)]
            grid.addWidget(plot, 1, column)
            grid.setColumnStretch(column, 1)
            plot.recoloured.connect(self._apply_colours)
        grid.setRowStretch(1, 1)
        self.plots["phase"].plot_item.setXLink(self.plots["amplitude"].plot_item)
        for plot in self.plots.values():
            plot.apply_colours()

    def show_profiles(self, profiles: dict[str, Profile], in_metres: bool) -> None:
        """Show the profiles of one or two objects along the same line.

        Parameters
        ----------
        profiles
            By the names of the objects.
        in_metres
            The distances are; else they are object pixels.
        """
        self._profiles, self._in_metres = profiles, in_metres
        shown = list(profiles.values())
        for quantity, curves in self._curves.items():
            for number, curve in enumerate(curves):
                if number < len(shown):
                    curve.setData(shown[number].distance, getattr(shown[number], quantity))
                else:
                    curve.clear()
            axis = self.plots[quantity].plot_item.getAxis("bottom")
            axis.enableAutoSIPrefix(in_metres)
            axis.setLabel("Along the line", units="m" if in_metres else "px")
        self._place_marks()
        self._read_out()

    def _place_marks(self) -> None:
        length = self._length()
        for region in self.regions.values():
            region.blockSignals(True)
            region.setBounds((0, length))
            region.setRegion([part * length for part in self._marks])
            region.blockSignals(False)

    def _length(self) -> float:
        return max((float(profile.distance[-1]) for profile in self._profiles.values()), default=0.0) or 1.0

    @Slot(object)
    def _move_marks(self, moved: pg.LinearRegionItem) -> None:
        low, high = moved.getRegion()
        self._marks = low / self._length(), high / self._length()
        self._place_marks()
        self._read_out()

    def _read_out(self) -> None:
        between = length_text((self._marks[1] - self._marks[0]) * self._length(), self._in_metres)
        lines = []
        for name, profile in self._profiles.items():
            measures = [text for quantity in _AXES if (text := self._measured(profile, quantity))]
            lines.append(f"{name + ': ' if len(self._profiles) > 1 else ''}{'; '.join(measures)}")
        total = length_text(self._length(), self._in_metres)
        lengths = f"Line {total}, marks {between} apart"
        self.readout.setText("\n".join([lengths, *lines]) if len(lines) > 1 else "; ".join([lengths, *lines]))

    def _measured(self, profile: Profile, quantity: str) -> str:
        values = getattr(profile, quantity)
        low, high = (part * profile.distance[-1] for part in self._marks)
        inside = (profile.distance >= low) & (profile.distance <= high) & np.isfinite(values)
        if inside.sum() < 2:
            return ""
        distance, values = profile.distance[inside], values[inside]
        unit = " rad" if quantity == "phase" else ""
        text = f"{quantity} {values[0]:.3g} to {values[-1]:.3g}{unit}"
        width = edge_width(distance, values)
        return text if width is None else f"{text}, 10–90 % edge {length_text(width, self._in_metres)}"

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        fill = pg.mkColor(colours.muted)
        fill.setAlpha(50)
        for region in self.regions.values():
            region.setBrush(fill)
            region.setHoverBrush(fill)
            for line in region.lines:
                line.setPen(pg.mkPen(colours.muted, width=2))
                line.setHoverPen(pg.mkPen(colours.foreground, width=3))
        for curves in self._curves.values():
            curves[0].setPen(pg.mkPen(colours.series[0], width=1.5))
            curves[1].setPen(pg.mkPen(colours.series[1], width=1.5, dash=[5, 3]))
