"""`StepTools`: a bar of tools; what is drawn with one becomes a preprocessing step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import QDoubleSpinBox, QLabel, QWidget

from ptycho_core.scan.steps import Centre, MaskBrush, MaskPolygon, MaskRectangle, Region, Step
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.forms.flow import flowing
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.keyed_button import KeyedButton
from ptycho_gui.kit.plots.plot import Plot
from ptycho_gui.prepare.drawing import POINT, POLYGON, RECTANGLE, STROKE, Drawing

THRESHOLD, REGION = "threshold", "region"
_SHAPES = {
    "rectangle": RECTANGLE,
    "polygon": POLYGON,
    "brush": STROKE,
    "centre": POINT,
    REGION: RECTANGLE,
}
_TOOLS = {
    "rectangle": ("mask-rectangle", "Rectangle", "R", "Mask a rectangle: drag from corner to corner"),
    "polygon": ("mask-polygon", "Polygon", "P", "Mask a polygon: click its corners, end with a double click or Enter"),
    "brush": ("mask-brush", "Brush", "B", "Mask what you paint over"),
    THRESHOLD: ("mask-threshold", "Threshold", "T", "Mask pixels by their mean count"),
    "centre": ("centre", "Set centre", "C", "Click where the centre of the patterns is"),
    REGION: ("region", "Region", "G", "Keep the patterns of a part of the scan: drag over their positions"),
}


class StepTools(QWidget):
    """At most one tool is chosen at a time; choosing it again puts it down.

    Parameters
    ----------
    panel
        The tools' keys work while it, or anything in it, has the focus.
    pattern
        Where masks and the centre are drawn; a pixel's corner is at whole numbers.
    places
        Where regions are drawn, in object pixels.
    """

    step_drawn = Signal(object)
    """`Step`."""
    tool_chosen = Signal(str)
    """A key of the tools, or nothing."""

    def __init__(self, panel: QWidget, pattern: Plot, places: Plot) -> None:
        super().__init__(panel)
        self._size = 0
        self._on_pattern, self._on_places = Drawing(pattern), Drawing(places)
        self._on_pattern.drawn.connect(self._make_step)
        self._on_places.drawn.connect(self._make_step)
        self.radius = QDoubleSpinBox(minimum=0.5, maximum=500, value=3, singleStep=1, decimals=1)
        self.radius.setSuffix(" px")
        self.radius.setAccessibleName("Brush radius")
        self.radius.setToolTip("Radius of the brush")
        self.radius.valueChanged.connect(self._apply)
        self.buttons = {name: self._button(name, panel) for name in _TOOLS}
        tip = "Move the patterns' centre of mass to the middle"
        self._find = KeyedButton(panel, "Find centre", "F", tip, checkable=False)
        _decorate(self._find, "search")
        self._find.clicked.connect(self._find_centre)
        self._lay_out()
        self.set_size(0)

    @property
    def tool(self) -> str:
        """The one that is chosen, or nothing."""
        return next((name for name, button in self.buttons.items() if button.isChecked()), "")

    def set_size(self, size: int) -> None:
        """Say how wide the patterns are that are shown; 0 for none."""
        self._size = size
        for button in (*self.buttons.values(), self._find):
            allow(button, None if size else "Open a scan first.")
        if not size:
            self.put_down()

    def put_down(self) -> None:
        """Choose no tool."""
        for button in self.buttons.values():
            button.setChecked(False)
        self._apply()

    def _lay_out(self) -> None:
        buttons = self.buttons
        self.setLayout(
            flowing(
                (QLabel("Mask:"), buttons["rectangle"], buttons["polygon"]),
                (buttons["brush"], self.radius),
                buttons[THRESHOLD],
                (buttons["centre"], self._find),
                buttons[REGION],
            )
        )

    def _button(self, name: str, panel: QWidget) -> KeyedButton:
        picture, text, key, tip = _TOOLS[name]
        button = KeyedButton(panel, text, key, tip)
        _decorate(button, picture)
        button.clicked.connect(self._choose)
        return button

    @Slot(bool)
    def _choose(self, on: bool) -> None:
        chosen = self.sender()
        for button in self.buttons.values():
            button.setChecked(on and button is chosen)
        self._apply()

    @Slot()
    def _apply(self) -> None:
        tool = self.tool
        shape = _SHAPES.get(tool)
        self._on_pattern.choose(None if tool == REGION else shape, 2 * self.radius.value())
        self._on_places.choose(shape if tool == REGION else None)
        allow(self.radius, None if tool == "brush" else "Choose the brush first.")
        self.tool_chosen.emit(tool)

    @Slot(object)
    def _make_step(self, points: NDArray[np.float64]) -> None:
        tool = self.tool
        step = step_of(tool, points, self._size, self.radius.value())
        if tool in ("centre", REGION):
            self.put_down()
        if step:
            self.step_drawn.emit(step)

    @Slot()
    def _find_centre(self) -> None:
        self.step_drawn.emit(Centre())


def step_of(tool: str, points: NDArray[np.float64], size: int, radius: float) -> Step | None:
    """Return the step that a drawing stands for, None if it lies outside of the patterns.

    Parameters
    ----------
    tool
        What it was drawn with.
    points
        (n, 2): (y, x), of a pattern with pixel corners at whole numbers, or in object pixels for a region.
    size
        Width of the patterns.
    radius
        Of the brush in pixels.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    if tool == REGION:
        return Region(*np.round((*low, *high), 1).tolist()) if (high > low + 0.1).all() else None
    if (high < 0).any() or (low > size).any():
        return None
    if tool == "rectangle":
        top, left = np.floor(np.clip(low, 0, size - 1)).astype(int).tolist()
        bottom, right = np.ceil(np.clip(high, (top + 1, left + 1), size)).astype(int).tolist()
        return MaskRectangle(top, left, bottom, right)
    if tool == "centre":
        y, x = np.floor(np.clip(low, 0, size - 1)).astype(int).tolist()
        return Centre("given", y, x)
    words = " ".join(f"{y:.8g},{x:.8g}" for y, x in np.round(points - 0.5, 1))
    return MaskPolygon(words) if tool == "polygon" else MaskBrush(words, radius)


def _decorate(button: KeyedButton, picture: str) -> None:
    button.setIcon(icon(picture))
    button.setIconSize(QSize(16, 16))
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
