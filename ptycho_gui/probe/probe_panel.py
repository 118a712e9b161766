"""`ProbePanel`: the probe of the open scan or of the result that is shown, and its beam along the axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ptycho_core.inspection.beam import PLANES, Caustic, units_of
from ptycho_core.inspection.inspection import Inspection, beam_line, with_unit
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Geometry
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.plots.probe_view import ProbeView
from ptycho_gui.kit.threads.latest import LatestSlot
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.kit.words import begun
from ptycho_gui.probe.caustic_plot import CausticPlot
from ptycho_gui.probe.jobs.beam import Plane, caustic_job, plane_job

_HELP = (
    "The probe: amplitude and phase of each mode, and the beam before and behind the sample as it is without one. Drag "
    "the line in the plot, or the slider, to see the probe in another plane. Dashed lines mark where the beam is "
    "narrowest along y and along x; they differ where it is astigmatic."
)
_NO_PROBE = "There is no probe yet: open a scan, or a run that has a result."
_SHADOW = "In the near field a probe is told as its shadow on the detector: it has no focus to be followed to."
_NO_BEAM = "The probe has no light, or values that are no numbers."
_UNKNOWN = "Distances are in px²/wavelength, because energy or pixel size is not known."


@dataclass(frozen=True, eq=False)
class _Subject:
    """A probe (M, N, N) with what it is called."""

    name: str
    probe: NDArray[np.complex64]
    geometry: Geometry
    guessed: bool = False


class ProbePanel(QWidget):
    """Works only while it is seen; everything is computed in threads of their own."""

    arrived = Signal()
    """What was asked for last is shown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(_HELP)
        self._scan: _Subject | None = None
        self._result: _Subject | None = None
        self._shown: _Subject | None = None
        self._caustic: Caustic | None = None
        self._following, self._planes = WorkerSlot(self), LatestSlot(self)
        self._following.succeeded.connect(self._show_caustic)
        self._planes.succeeded.connect(self._show_plane)
        for slot in (self._following, self._planes):
            slot.failed.connect(self._fail)
        self.of = QComboBox()
        self.of.setAccessibleName("Whose probe is shown")
        self.of.setToolTip("The probe of the open scan, or of the result that is shown under Object")
        self.of.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.of.currentIndexChanged.connect(self._choose)
        label = QLabel("Probe of:")
        label.setBuddy(self.of)
        top = QHBoxLayout()
        top.addWidget(label)
        top.addWidget(self.of, 1)
        self.sentence = QLabel(wordWrap=True)
        self.sentence.setAccessibleName("The beam")
        self.sentence.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._views = QSplitter(Qt.Orientation.Vertical)
        self._views.setChildrenCollapsible(False)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(top)
        column.addWidget(self.sentence)
        column.addWidget(self._views, 1)
        nothing = QLabel(_NO_PROBE, wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        nothing.setMargin(40)
        self._stack = QStackedWidget()
        self._stack.addWidget(nothing)
        self._stack.addWidget(page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(6, 4, 6, 4)
        outer.addWidget(self._stack)

    def show_scan(self, looked: Inspection | None) -> None:
        """Offer the probe of a scan that was looked at, or of none."""
        if looked is None:
            self._scan = None
        else:
            path, scan = looked.scan.source.path, looked.scan
            name = f"Scan {path.name if path else 'in memory'}"
            self._scan = _Subject(name, looked.probe, scan.geometry, scan.probe is None)
        self._offer(self._result if self._result is not None and self.of.currentData() is self._result else self._scan)

    def show_result(self, name: str, reconstruction: Reconstruction | None) -> None:
        """Offer the probe of a result, which is shown then, or of none."""
        self._result = None
        if reconstruction is not None:
            self._result = _Subject(f"Result {name}", reconstruction.probe, reconstruction.geometry)
        self._offer(self._result or self._scan)

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: somebody looks."""
        super().showEvent(event)
        self._follow()

    def shut_down(self) -> None:
        """Leave off following beams, and wait."""
        self._following.shut_down()
        self._planes.shut_down()

    def _offer(self, chosen: _Subject | None) -> None:
        """List what there is, and choose one of it."""
        there = [subject for subject in (self._scan, self._result) if subject is not None]
        self.of.blockSignals(True)
        self.of.clear()
        for subject in there:
            self.of.addItem(subject.name, subject)
        self.of.setCurrentIndex(there.index(chosen) if chosen else -1)
        self.of.blockSignals(False)
        self._stack.setCurrentIndex(int(bool(there)))
        self._choose()

    @Slot()
    def _choose(self) -> None:
        if self.isVisible():
            self._follow()

    def _follow(self) -> None:
        """Show the probe that is chosen, and follow its beam, unless that was done."""
        subject = self.of.currentData()
        if subject is None or subject is self._shown:
            return
        if not self._views.count():
            self._make_views()
        self._shown, self._caustic = subject, None
        far, units = subject.geometry.propagator == "far", units_of(subject.geometry, subject.probe.shape[-1])
        self.view.show_probe(subject.probe, subject.guessed, subject.geometry.pixel_size_m(subject.probe.shape[-1]))
        self._beam.setVisible(far)
        self._allow()
        self._following.cancel()
        self.sentence.setText("Following the beam…" if far else _SHADOW)
        if far:
            self._following.start(caustic_job(subject.probe, units))

    @Slot(object)
    def _show_caustic(self, caustic: Caustic | None) -> None:
        self._caustic = caustic
        self._beam.setVisible(caustic is not None)
        if caustic is None:
            self.sentence.setText(_NO_BEAM)
        else:
            self.sentence.setText(_in_words(caustic))
            self.caustic.show_caustic(caustic)
            self._mark(0.0)
        self._allow()
        self.arrived.emit()

    def _go_to(self, z: float) -> None:
        if self._caustic is not None and self._shown is not None:
            self._mark(z)
            self._planes.ask(plane_job(self._shown.probe, self._caustic, z))

    def _mark(self, z: float) -> None:
        assert self._caustic is not None
        index = int(abs(self._caustic.z - z).argmin())
        self.slider.blockSignals(True)
        self.slider.setValue(index)
        self.slider.blockSignals(False)
        self.caustic.mark(z)
        in_metres = self._caustic.beam.units.in_metres
        length = with_unit(abs(z)) if in_metres else f"{abs(z):.4g} px²/wavelength"
        self.place.setText(f"{length} {'behind' if z > 0 else 'before'} the sample" if z else "At the sample")

    @Slot(object)
    def _show_plane(self, plane: Plane) -> None:
        if plane.caustic is self._caustic:
            self.view.show_plane(plane.probe)
            self.arrived.emit()

    @Slot(object)
    def _fail(self, failure: Failure) -> None:
        self.sentence.setText(failure.sentence)

    def _allow(self) -> None:
        beam = self._caustic and self._caustic.beam
        waiting = None if beam else "The beam is being followed."
        for widget in (self.slider, self.at_sample):
            allow(widget, waiting)
        found = beam and beam.focus is not None
        allow(self.in_focus, waiting or (None if found else "No focus was found within reach."))

    def _make_views(self) -> None:
        """Make the plots once there is something to see: the window opens sooner."""
        self.view, self.caustic = ProbeView(), CausticPlot()
        self.caustic.dragged.connect(self._go_to)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, PLANES - 1)
        self.slider.setAccessibleName("Distance from the sample")
        self.slider.setToolTip("Plane in which the probe is shown; arrow keys step")
        self.slider.valueChanged.connect(self._go_to_step)
        self.place = QLabel()
        self.place.setAccessibleName("Where the plane is")
        self.at_sample, self.in_focus = QPushButton("At the sample"), QPushButton("In focus")
        self.at_sample.setToolTip("Show the probe as it is on the sample")
        self.in_focus.setToolTip("Show the probe in the middle between its foci along y and x")
        self.at_sample.clicked.connect(lambda: self._go_to(0.0))
        self.in_focus.clicked.connect(self._go_to_focus)
        row = QHBoxLayout()
        for widget in (self.at_sample, self.in_focus, self.slider):
            row.addWidget(widget, int(widget is self.slider))
        self._beam = QWidget()
        column = QVBoxLayout(self._beam)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.caustic, 1)
        column.addWidget(self.place)
        column.addLayout(row)
        self._views.addWidget(self.view)
        self._views.addWidget(self._beam)
        self._views.setSizes([500, 500])

    @Slot(int)
    def _go_to_step(self, index: int) -> None:
        if self._caustic is not None:
            self._go_to(float(self._caustic.z[index]))

    @Slot()
    def _go_to_focus(self) -> None:
        if self._caustic is not None and self._caustic.beam.focus is not None:
            self._go_to(self._caustic.beam.focus)


def _in_words(caustic: Caustic) -> str:
    told = f"{begun(beam_line(caustic.beam.figures()))}."
    return told if caustic.beam.units.in_metres else f"{told} {_UNKNOWN}"
