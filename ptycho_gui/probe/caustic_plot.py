"""`CausticPlot`: how wide a beam is along the axis, where its foci and the sample are, and a plane to drag."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.inspection.beam import Caustic
from ptycho_gui.kit import theme
from ptycho_gui.kit.plots.plot import Plot

_AXES = ("y", "x")
_PLAIN_Z = "px²/wavelength"


class CausticPlot(QWidget):
    """Widths along y and x against the distance from the sample."""

    dragged = Signal(float)
    """The operator moved the plane to this distance, or clicked there."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = Plot()
        self.plot.setAccessibleName("Width of the beam along the axis")
        item = self.plot.plot_item
        item.addLegend(offset=(-8, -8), labelTextSize=f"{self.font().pointSize()}pt", colCount=2)
        self.widths = [item.plot(name=f"along {axis}") for axis in _AXES]
        self.foci = [self._line(f"focus {axis}", place) for axis, place in zip(_AXES, (0.7, 0.5), strict=True)]
        self.sample = self._line("sample", 0.9)
        self.plane = pg.InfiniteLine(angle=90, movable=True)
        self.plane.setZValue(10)
        item.addItem(self.plane, ignoreBounds=True)
        self.plane.sigDragged.connect(lambda: self.dragged.emit(self.plane.value()))
        self.plot.scene().sigMouseClicked.connect(self._click)
        self.plot.recoloured.connect(self._apply_colours)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.plot)
        self.plot.apply_colours()

    def show_caustic(self, caustic: Caustic) -> None:
        """Show a beam; the plane is at the sample."""
        beam = caustic.beam
        for curve, widths in zip(self.widths, caustic.widths.T, strict=True):
            curve.setData(caustic.z, widths)
        for line, focus in zip(self.foci, beam.foci, strict=True):
            line.setVisible(focus is not None)
            line.setValue(focus or 0.0)
        in_metres = beam.units.in_metres
        for side, name, plain in (("bottom", "Behind the sample", _PLAIN_Z), ("left", "FWHM", "px")):
            axis = self.plot.plot_item.getAxis(side)
            axis.setLabel(name, units="m" if in_metres else plain, siPrefixEnableRanges=None if in_metres else ())
            axis.updateAutoSIPrefix()
        first, last = float(caustic.z[0]), float(caustic.z[-1])
        self.plane.setBounds((first, last))
        self.plane.setValue(0.0)
        self.plot.plot_item.setXRange(first, last, padding=0)
        self.plot.plot_item.setYRange(0, float(caustic.widths.max()), padding=0.05)

    def mark(self, z: float) -> None:
        """Put the plane at a distance; nothing is told back."""
        self.plane.setValue(z)

    def _line(self, name: str, place: float) -> pg.InfiniteLine:
        line = pg.InfiniteLine(angle=90, label=name, labelOpts={"position": place})
        self.plot.plot_item.addItem(line, ignoreBounds=True)
        return line

    @Slot(object)
    def _click(self, event: object) -> None:
        place = self.plot.plot_item.getViewBox().mapSceneToView(QPointF(event.scenePos()))  # type: ignore[attr-defined]
        low, high = self.plane.maxRange
        if low <= place.x() <= high:
            self.dragged.emit(place.x())

    @Slot()
    def _apply_colours(self) -> None:
        colours = theme.colours()
        dotted, dashed = Qt.PenStyle.DotLine, Qt.PenStyle.DashLine
        for number, (curve, focus) in enumerate(zip(self.widths, self.foci, strict=True)):
            # Both are seen where they are alike.
            curve.setPen(pg.mkPen(colours.series[number], width=2, style=dashed if number else Qt.PenStyle.SolidLine))
            focus.setPen(pg.mkPen(colours.series[number], style=dashed))
            focus.label.setColor(colours.series[number])
        self.sample.setPen(pg.mkPen(colours.muted, style=dotted))
        self.sample.label.setColor(colours.foreground)
        self.plane.setPen(pg.mkPen(colours.foreground, width=2))
        self.plane.setHoverPen(pg.mkPen(colours.foreground, width=4))
        legend = self.plot.plot_item.legend
        legend.setLabelTextColor(colours.foreground)
        for _, label in legend.items:
            label.setText(label.text)  # pyqtgraph draws it in the new colour only then
