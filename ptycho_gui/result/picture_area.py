"""`PictureArea`: the pictures of one object or two, the probe beside them, and plots below."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QSplitter

from ptycho_core.quality.profile import Profile
from ptycho_gui.kit.plots.probe_view import ProbeView
from ptycho_gui.result.complex_view import ComplexView, Slots
from ptycho_gui.result.displacement_view import DisplacementView
from ptycho_gui.result.frc_plot import FrcPlot
from ptycho_gui.result.object_content import LETTERS, Ready
from ptycho_gui.result.profile_plot import ProfilePlot

_BESIDE_AFTER_MS = 120
"""The pictures are painted before what stands beside them: all at once would hold the window up."""


class PictureArea(QSplitter):
    """Shows a content that is ready, and of the plots below those that are wanted and have something to show."""

    completed = Signal()
    """What stands beside the pictures is shown as well."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.ready: Ready | None = None
        self.view, self.probe = ComplexView(), ProbeView(stacked=True)
        self.profile, self.frc, self.displaced = ProfilePlot(), FrcPlot(), DisplacementView()
        self._line = self._rings = self._moves = False
        self._beside = QTimer(self, singleShot=True, interval=_BESIDE_AFTER_MS)
        self._beside.timeout.connect(self._show_beside)
        self.view.profiles_changed.connect(self._show_profiles)
        upper, self._lower = QSplitter(Qt.Orientation.Horizontal), QSplitter(Qt.Orientation.Horizontal)
        upper.addWidget(self.view)
        upper.addWidget(self.probe)
        upper.setSizes([800, 200])
        upper.setStretchFactor(0, 1)
        upper.setStretchFactor(1, 0)  # in a large window the object gains
        for plot in (self.profile, self.frc, self.displaced):
            self._lower.addWidget(plot)
        self.addWidget(upper)
        self.addWidget(self._lower)
        self.setSizes([600, 400])
        self._show_lower()

    @property
    def settled(self) -> bool:
        """Whether all that was given is shown."""
        return not self._beside.isActive()

    def show_ready(self, ready: Ready) -> None:
        """Show the pictures of a content now, and what stands beside them soon."""
        before, self.ready = self.ready, ready
        self.view.show_objects(LETTERS if ready.subjects[1] else ready.content.names, ready.pictures)
        if (before is None or before.subjects is not ready.subjects) and self.settled:
            self._beside.start()
        self._show_lower()
        self.view.show_line(self._line)

    def clear(self) -> None:
        """Show nothing."""
        self.ready = None
        self.view.clear()

    @Slot(object)
    def arrange(self, slots: Slots) -> None:
        """Say what of two objects stands where, and show the probe of the left one."""
        self.view.arrange(slots)
        if self.ready and len(self.ready.pictures) > 1:
            self._show_probe(self.ready, slots[0][0])

    @Slot(bool)
    def show_line(self, on: bool) -> None:
        """Show a line in the pictures, and the profile along it."""
        self._line = on
        self.view.show_line(on)
        self._show_lower()

    @Slot(bool)
    def show_rings(self, on: bool) -> None:
        """Plot the Fourier ring correlation where two objects are shown."""
        self._rings = on
        self._show_lower()

    @Slot(bool)
    def show_moves(self, on: bool) -> None:
        """Show where refinement moved the patterns, where it did."""
        self._moves = on
        self._show_lower()

    def _show_probe(self, ready: Ready, which: int) -> None:
        self.probe.show_probe(ready.pictures[which].probe, pixel_size_m=ready.subjects[0][0].pixel_size_m)

    @Slot()
    def _show_beside(self) -> None:
        if self.ready is None:
            return
        content, (subjects, found) = self.ready.content, self.ready.subjects
        pixel = subjects[0].pixel_size_m
        self._show_probe(self.ready, 0)
        if found:
            self.frc.show_frc(found, LETTERS, max(pixel) if pixel else None, content.one_run)
        if self.ready.displacements is not None:
            self.displaced.show_displacements(self.ready.displacements, pixel)
        self.completed.emit()

    @Slot(object)
    def _show_profiles(self, profiles: dict[str, Profile]) -> None:
        if self.ready is not None:
            self.profile.show_profiles(profiles, self.ready.subjects[0][0].pixel_size_m is not None)

    def _show_lower(self) -> None:
        compared = bool(self.ready and self.ready.subjects[1])
        moved = bool(self.ready and self.ready.displacements is not None)
        self.profile.setVisible(self._line)
        self.frc.setVisible(self._rings and compared)
        self.displaced.setVisible(self._moves and moved)
        self._lower.setVisible(any(not plot.isHidden() for plot in (self.profile, self.frc, self.displaced)))
