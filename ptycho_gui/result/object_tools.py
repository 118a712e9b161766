"""`ObjectTools`: the buttons above the pictures of an object, each with a key."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget
from superqt import QFlowLayout

from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.keyed_button import KeyedButton
from ptycho_gui.result.object_content import Ready


class ObjectTools(QWidget):
    """Who shows the pictures does what the buttons say.

    Parameters
    ----------
    panel
        Its keys work there.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self.fit = KeyedButton(panel, "Fit", "F", "Show the whole of what got light", checkable=False)
        self.lock = KeyedButton(panel, "Lock", "L", "Keep the levels of the colour bars from picture to picture")
        self.viridis = KeyedButton(panel, "Viridis", "V", "Show the amplitude in colours instead of grey")
        self.ramp = KeyedButton(panel, "No ramp", "R", "Level the phase, for display only")
        self.unwrap = KeyedButton(panel, "Unwrap", "U", "Show the phase without jumps of 2π, for display only")
        self.positions = KeyedButton(panel, "Positions", "P", "Mark where the beam was")
        self.dim = KeyedButton(panel, "Dim", "M", "Dim what got no light")
        self.dim.setChecked(True)
        self.probe = KeyedButton(panel, "Probe", "B", "Show the probe beside the object")
        self.probe.setChecked(True)
        self.line = KeyedButton(panel, "Profile", "O", "Plot amplitude and phase along a line; drag its ends")
        self.rings = KeyedButton(panel, "FRC", "C", "Plot the Fourier ring correlation of the two objects compared")
        self.moves = KeyedButton(panel, "Displacements", "A", "Show where refinement moved the patterns")
        self.course = KeyedButton(panel, "Course", "T", "Play back how the object came about, from picture to picture")
        self.export = KeyedButton(panel, "Export…", "E", "Write this reconstruction to files", checkable=False)
        self.page = KeyedButton(panel, "Page", "G", "Write the logbook page of this, and copy it", checkable=False)
        row = QFlowLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for button in (
            self.fit, self.lock, self.viridis, self.ramp, self.unwrap, self.positions, self.dim, self.probe,
            self.line, self.rings, self.moves, self.course, self.export, self.page,
        ):  # fmt: skip
            row.addWidget(button)

    def allow(self, ready: Ready | None, with_run: bool) -> None:
        """Enable the buttons that have something to do, and say of the others why they have not.

        Parameters
        ----------
        ready
            What is shown; None for nothing.
        with_run
            Whether there is a run whose course can be played back.
        """
        nothing = None if ready else "There is no object yet."
        preview = bool(ready and ready.content.preview)
        compared = bool(ready and ready.subjects[1])
        for button in (self.fit, self.lock, self.viridis, self.ramp, self.unwrap, self.dim, self.probe, self.line):
            allow(button, nothing)
        allow(self.positions, nothing or ("Previews carry no positions." if preview else None))
        why = "It needs two reconstructions: choose Compare at a checkpoint or a run."
        allow(self.rings, None if compared else why)
        allow(self.course, None if with_run else "Train first, or open a run.")
        same = "Its patterns are where they were recorded: train with positions at refine."
        allow(self.moves, nothing or (None if ready and ready.displacements is not None else same))
        two = "Two objects are shown: show one of them first." if compared else None
        for button in (self.export, self.page):
            allow(button, nothing or ("This is on the way to a picture." if preview else two))
