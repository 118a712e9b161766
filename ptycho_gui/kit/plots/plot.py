"""`Plot`: a pyqtgraph plot in the window's colours, and the header that stands above one."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_gui.kit import theme

_ROUNDING = 1e-9


class Axis(pg.AxisItem):  # type: ignore[misc]
    """Writes 2 beside 3, and not 2.0: what it is scaled by makes the spacing of 1 a little less."""

    def tickStrings(self, values: list[float], scale: float, spacing: float | None) -> list[str]:
        """Pyqtgraph: what is written at the ticks; without a spacing on a logarithmic axis."""
        strings: list[str] = super().tickStrings(values, scale, spacing and spacing * (1 + _ROUNDING))
        return strings


class Plot(pg.PlotWidget):  # type: ignore[misc]
    """Follows light and dark. A double click, or the key Home, shows everything again after panning and zooming."""

    recoloured = Signal()
    """Light became dark or the other way round: items that are no axes take their colours again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, enableMenu=False, axisItems={side: Axis(side) for side in ("left", "bottom")})
        self.everything: QRectF | None = None
        """What `show_all` shows; None for what is drawn, which is a part of what there is where it is clipped."""
        self.moved = False
        """Whether the operator has panned or zoomed since everything was shown."""
        self.plot_item: pg.PlotItem = self.getPlotItem()
        self.plot_item.getViewBox().sigRangeChangedManually.connect(self._note_move)
        self.plot_item.hideButtons()
        self.plot_item.getAxis("left").setStyle(hideOverlappingLabels=True)  # which the plot's edge would cut
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumSize(60, 60)
        self.apply_colours()

    def show_all(self) -> None:
        """Pan and zoom so that everything is seen."""
        view, self.moved = self.plot_item.getViewBox(), False
        if self.everything is None:
            view.autoRange()
        else:
            view.setRange(self.everything)

    @Slot()
    def _note_move(self) -> None:
        self.moved = True

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Qt: show everything."""
        self.show_all()
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Qt: Home shows everything."""
        if event.key() == Qt.Key.Key_Home:
            self.show_all()
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.scene() is not None:  # there is none at first
            self.apply_colours()

    def apply_colours(self) -> None:
        """Take the colours of the scheme in force; to be called once when all axes are there."""
        colours = theme.colours()
        self.setBackground(colours.background)
        for item in self.scene().items():
            if isinstance(item, pg.AxisItem):
                item.setPen(colours.muted)
                item.setTextPen(colours.foreground)
        self.recoloured.emit()


class Header(QWidget):
    """A title, and beside it what is under the mouse."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = QLabel(f"<b>{title}</b>")
        self.readout = QLabel()
        self.readout.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.readout.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 0, 2, 0)
        row.addWidget(self.title)
        row.addWidget(self.readout, 1)

    def set_title(self, title: str) -> None:
        """Change the title."""
        self.title.setText(f"<b>{title}</b>")

    def read_out(self, text: str) -> None:
        """Say what is under the mouse; empty for nothing."""
        self.readout.setText(text)


def set_axis_length(axis: Any, name: str, pixel_m: float | None) -> None:
    """Label an axis whose plot coordinates are object pixels: in metres where their size is known, else in px."""
    axis.setScale(pixel_m or 1.0)
    axis.setLabel(name, units="m" if pixel_m else "px", siPrefixEnableRanges=None if pixel_m else ())
    axis.updateAutoSIPrefix()  # with a prefix for metres, and none for pixels
