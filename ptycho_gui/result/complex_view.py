"""`ComplexView`: two linked pictures of complex images: amplitude beside phase, or two objects side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.quality.picture import Picture, Pictures
from ptycho_core.quality.profile import Profile, line_profile
from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.colour_maps import colour_map
from ptycho_gui.kit.plots.lengths import place_text
from ptycho_gui.kit.plots.pyramid_plot import PyramidPlot

if TYPE_CHECKING:
    from ptycho_core.formats.writers.images import Style

_TITLES = {"amplitude": "Amplitude", "phase": "Phase (rad)"}
_TURN = [(-math.pi, "−π"), (-math.pi / 2, "−π/2"), (0.0, "0"), (math.pi / 2, "π/2"), (math.pi, "π")]
_MOST_POSITIONS = 5000
_PROFILE_EVERY_MS = 30
_RIGHT_AFTER_MS = 40
"""At first, the left picture is painted meanwhile: all at once would hold the window up."""

Slots = tuple[tuple[int, str], tuple[int, str]]
"""What the left and the right picture show: which object, and "amplitude" or "phase"."""
BOTH: Slots = ((0, "amplitude"), (0, "phase"))


class ComplexView(QWidget):
    """Pan, zoom and crosshair are common to both pictures, levels to all pictures of a quantity."""

    pointed = Signal(str)
    """Where the mouse is, in words."""
    levels_locked = Signal(bool)
    """The operator chose levels, which stay now, or automatic ones."""
    profiles_changed = Signal(object)
    """Profiles by the names of the objects, along the line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panes = (PyramidPlot("Left picture"), PyramidPlot("Right picture"))
        self._names: tuple[str, ...] = ()
        self._shown: tuple[Pictures, ...] = ()
        self._slots = BOTH
        self._styles: dict[str, Style] = {}
        self._amplitude_map = "gray"
        self._locked = False
        self._moved = False
        self._size = (0.0, 0.0)
        self.dots = [pg.ScatterPlotItem(size=3, pen=None) for _ in self.panes]
        self._with_positions = False
        self.roi: pg.LineSegmentROI | None = None
        self._mirrored = pg.PlotCurveItem()
        self._mirrored.setZValue(10)
        self._mirrored.hide()
        self._right = QTimer(self, singleShot=True, interval=_RIGHT_AFTER_MS)
        self._right.timeout.connect(self._fill_right)
        self._sampling = QTimer(self, singleShot=True, interval=_PROFILE_EVERY_MS)
        self._sampling.timeout.connect(self._sample)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for pane, dots in zip(self.panes, self.dots, strict=True):
            dots.setZValue(5)
            pane.view.addItem(dots, ignoreBounds=True)
            pane.hovered.connect(self._point)
            pane.moved_by_hand.connect(self._remember_move)
            row.addWidget(pane, 1)
        self.panes[0].levels_chosen.connect(self._take_left_levels)
        self.panes[1].levels_chosen.connect(self._take_right_levels)
        self.panes[1].view.addItem(self._mirrored, ignoreBounds=True)
        self.panes[1].view.setXLink(self.panes[0].view)
        self.panes[1].view.setYLink(self.panes[0].view)
        self.panes[0].view.sigResized.connect(self._refit)
        self._apply_colours()

    def show_objects(self, names: tuple[str, ...], shown: tuple[Pictures, ...]) -> None:
        """Show one object, or two on the same pixels.

        Zoom and pan stay where the operator put them unless the canvas is another one; levels unless they are
        automatic.
        """
        self._names, self._shown = names, shown
        picture, subject = shown[0].object, shown[0].subject
        if not self._locked:
            self._styles = dict(picture.styles)
        size = picture.images["amplitude"].size
        same = all(abs(a - b) < 2 * subject.binning + 1 for a, b in zip(size, self._size, strict=True))
        self._size = size
        if not same:
            self.show_line(False)
        for pane in self.panes:
            pane.set_pixel_size(subject.pixel_size_m)
            pane.set_box(picture.box)
        self._place_dots()
        self._slots = self._slots if len(shown) > 1 else BOTH
        self._fill(0)
        if same:
            self._fill(1)
        else:
            self._right.start()
        if not same or not self._moved:
            self.fit()
        self._sampling.start()

    def clear(self) -> None:
        """Show nothing, and range automatically at the next object."""
        self._names, self._shown, self._size = (), (), (0.0, 0.0)
        self.show_line(False)
        self._place_dots()
        for pane in self.panes:
            pane.show_pyramid(None, None)
        self.pointed.emit("")

    def arrange(self, slots: Slots) -> None:
        """Say what the left and the right picture show."""
        self._slots = slots
        for place in (0, 1):
            self._fill(place)

    def fit(self) -> None:
        """Show the whole of what there was light on."""
        self._moved = False
        self.panes[0].plot.show_all()

    def lock_levels(self, on: bool) -> None:
        """Keep the present levels for what comes, or take them from each picture."""
        self._locked = on
        if not on and self._shown:
            self._styles = dict(self._shown[0].object.styles)
        self._restyle()

    def set_amplitude_map(self, name: str) -> None:
        """Show amplitudes in "gray" or "viridis"."""
        self._amplitude_map = name
        self._restyle()

    def darken(self, on: bool) -> None:
        """Dim what got no light, or show it like the rest."""
        for pane in self.panes:
            pane.darken(on)

    def show_positions(self, on: bool) -> None:
        """Mark the places of the beam, or do not."""
        self._with_positions = on
        self._place_dots()
        self.arrange(self._slots)

    def show_line(self, on: bool) -> None:
        """Show the line of the profile, with handles to drag, or take it away."""
        if on and self.roi is None and self._shown:
            x, y, width, height = self._shown[0].object.box
            ends = [(x + 0.25 * width, y + 0.5 * height), (x + 0.75 * width, y + 0.5 * height)]
            self.roi = pg.LineSegmentROI(ends, rotatable=False)
            self.roi.setZValue(15)
            self.roi.sigRegionChanged.connect(self._follow_line)
            self.panes[0].view.addItem(self.roi, ignoreBounds=True)
            self._mirrored.show()
            self._apply_colours()
            self._follow_line()
        elif not on and self.roi is not None:
            self.panes[0].view.removeItem(self.roi)
            self.roi = None
            self._mirrored.hide()
            self._sampling.stop()

    @property
    def line(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """The ends (x, y) of the profile's line in object pixels; None while there is none."""
        if self.roi is None:
            return None
        ends = [self.roi.mapToParent(handle.pos()) for handle in self.roi.endpoints]
        return (ends[0].x(), ends[0].y()), (ends[1].x(), ends[1].y())

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._apply_colours()

    def _fill(self, place: int) -> None:
        """Show in the left (0) or right (1) pane what it is to show."""
        pane, (which, quantity) = self.panes[place], self._slots[place]
        if which < len(self._shown):
            picture = self._shown[which].object
            self._apply_style(pane, quantity)
            pane.show_pyramid(picture.images[quantity], picture.dark)
            letter = self._names[which] if len(self._shown) > 1 else ""
            pane.header.set_title(f"{letter}: {_TITLES[quantity]}" if letter else _TITLES[quantity])
            pane.write(self._notes(picture, quantity), letter)

    @Slot()
    def _fill_right(self) -> None:
        self._fill(1)

    def _notes(self, picture: Picture, quantity: str) -> str:
        notes = [picture.options.note] if quantity == "phase" and picture.options.note else []
        step = self._position_step()
        if self._with_positions and step > 1:
            notes.append(f"one of {step} positions")
        return "<br>".join(notes)

    def _restyle(self) -> None:
        for pane, (_, quantity) in zip(self.panes, self._slots, strict=True):
            if self._shown:
                self._apply_style(pane, quantity)

    def _apply_style(self, pane: PyramidPlot, quantity: str) -> None:
        style = self._styles[quantity]
        name = self._amplitude_map if quantity == "amplitude" else style.cmap
        pane.set_levels(colour_map(name, style.last), *style.limits, automatic=not self._locked)
        pane.set_ticks(_TURN if style.limits == (-np.pi, np.pi) else None)

    @Slot(object)
    def _take_left_levels(self, levels: tuple[float, float] | None) -> None:
        self._take_levels(self._slots[0][1], levels)

    @Slot(object)
    def _take_right_levels(self, levels: tuple[float, float] | None) -> None:
        self._take_levels(self._slots[1][1], levels)

    def _take_levels(self, quantity: str, levels: tuple[float, float] | None) -> None:
        if levels is not None:
            self._styles[quantity] = self._styles[quantity]._replace(limits=levels)
        self.lock_levels(levels is not None)
        self.levels_locked.emit(levels is not None)

    @Slot(object)
    def _refit(self, _: object) -> None:
        if self._shown and not self._moved:
            self.fit()

    @Slot()
    def _remember_move(self) -> None:
        self._moved = True

    @Slot(object)
    def _point(self, place: tuple[float, float] | None) -> None:
        for pane, (which, quantity) in zip(self.panes, self._slots, strict=True):
            pane.point_at(place)
            value = None
            if place is not None and which < len(self._shown):
                value = self._shown[which].object.images[quantity].value_at(*place)
            unit = " rad" if quantity == "phase" else ""
            pane.header.read_out("" if value is None else f"{value:.4g}{unit}")
        self.pointed.emit(place_text(*place, self._shown[0].subject.pixel_size_m) if place and self._shown else "")

    def _position_step(self) -> int:
        positions = self._shown[0].subject.positions_px if self._shown else None
        return 1 if positions is None else max(1, math.ceil(len(positions) / _MOST_POSITIONS))

    def _place_dots(self) -> None:
        positions = self._shown[0].subject.positions_px if self._shown and self._with_positions else None
        some = np.empty((0, 2)) if positions is None else positions[:: self._position_step()]
        for dots in self.dots:
            dots.setData(some[:, 1], some[:, 0])

    @Slot()
    def _follow_line(self) -> None:
        line = self.line
        if line is not None:
            self._mirrored.setData(*(np.array(places) for places in zip(*line, strict=True)))
            if not self._sampling.isActive():
                self._sampling.start()

    @Slot()
    def _sample(self) -> None:
        line = self.line
        if line is None:
            return
        profiles: dict[str, Profile] = {
            name: line_profile(each.object, *line, each.subject.pixel_size_m)
            for name, each in zip(self._names, self._shown, strict=True)
        }
        self.profiles_changed.emit(profiles)

    def _apply_colours(self) -> None:
        colours = theme.colours()
        for dots in self.dots:
            dots.setBrush(pg.mkBrush(colours.series[1]))
        pen = pg.mkPen(colours.series[2], width=2)
        self._mirrored.setPen(pen)
        if self.roi is not None:
            self.roi.setPen(pen)
