"""`ObjectPanel`: the object and the probe, live, reconstructed, or two of them compared."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSplitter, QStackedWidget, QVBoxLayout, QWidget
from superqt import QElidingLabel, QFlowLayout

from ptycho_core.base.events import PreviewReady
from ptycho_core.base.verdict import Verdict
from ptycho_core.quality.picture import Options
from ptycho_core.quality.profile import Profile
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.keyed_button import KeyedButton
from ptycho_gui.kit.plots.probe_view import ProbeView
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.result.compare_bar import CompareBar
from ptycho_gui.result.complex_view import ComplexView, Slots
from ptycho_gui.result.displacement_view import DisplacementView
from ptycho_gui.result.frc_plot import FrcPlot, agreement
from ptycho_gui.result.jobs.course import Course
from ptycho_gui.result.object_content import (
    LETTERS,
    Content,
    Ready,
    compared_content,
    final_content,
    pictures_job,
    preview_content,
)
from ptycho_gui.result.playback_bar import PlaybackBar
from ptycho_gui.result.profile_plot import ProfilePlot
from ptycho_gui.result.verdict_bar import VerdictBar

_BESIDE_AFTER_MS = 120
"""The pictures are painted before what stands beside them: all at once would hold the window up."""
_NOTHING = (
    "No object yet. While a run trains, its object appears here and grows sharper with every epoch; the reconstruction "
    "follows when it has ended."
)
_HELP = (
    "The object as it is now: amplitude and phase with common pan and zoom. Drag to move, turn the wheel to zoom, "
    "double-click to see everything; drag the handles of a colour bar to choose levels. The mean phase is not "
    "determined and is shown as 0. Dimmed is what got no light."
)


class ObjectPanel(QWidget):
    """Shows what it is given; a preview takes the place of what is shown unless that was asked for since."""

    export_requested = Signal()
    result_shown = Signal(str, object)
    """What a reconstruction is called, and the `Reconstruction`; None where there is none any more."""
    page_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(_HELP)
        self.ready: Ready | None = None
        self._asked: Content | None = None
        self._preview: tuple[PreviewReady, tuple[float, float] | None] | None = None
        self._live_verdict: Verdict | None = None
        self._following = True
        self._outdated = False
        self._run: tuple[Path, tuple[float, float] | None] | None = None
        self._before_playback: Content | None = None
        self._beside = QTimer(self, singleShot=True, interval=_BESIDE_AFTER_MS)
        self._beside.timeout.connect(self._show_beside)
        self.jobs = WorkerSlot(self)
        self.jobs.succeeded.connect(self._show)
        self.jobs.failed.connect(self._fail)
        self.jobs.ended.connect(self._catch_up)
        self.view, self.probe = ComplexView(), ProbeView(stacked=True)
        self.profile, self.frc, self.displaced = ProfilePlot(), FrcPlot(), DisplacementView()
        self.verdict = VerdictBar()
        self.title = QElidingLabel()
        self.title.setAccessibleName("What is shown")
        self.place = QLabel()
        self._make_buttons()
        self.comparison, self.playback = CompareBar(self), PlaybackBar(self)
        self.comparison.arranged.connect(self._arrange)
        self.playback.chosen.connect(self._show_moment)
        self.view.pointed.connect(self.place.setText)
        self.view.levels_locked.connect(self._show_lock)
        self.view.profiles_changed.connect(self._show_profiles)
        self._lay_out()
        self.clear()

    def set_run(self, folder: Path, pixel_size_m: tuple[float, float] | None) -> None:
        """Say which run's course can be played back, and its object pixel (y, x) where that is known."""
        self._leave_playback()
        self._run = folder, pixel_size_m
        self._allow(self.ready)

    def show_preview(self, preview: PreviewReady, pixel_size_m: tuple[float, float] | None) -> None:
        """Show the object of a run that goes on.

        After `show_reconstruction` or `compare` it is only kept ready, until the operator or a new run asks for it.
        """
        begins = self._preview is None or preview.step < self._preview[0].step
        self._preview = preview, pixel_size_m
        self._following = self._following or begins
        self.live.setVisible(not self._following)
        if not self._following:
            return
        self._leave_playback()
        if self.jobs.busy:
            self._outdated = True
        else:
            self._ask(preview_content("Live", preview, pixel_size_m))

    def show_reconstruction(self, label: str, reconstruction: Reconstruction) -> None:
        """Show what a run has led to, with the figures that say how good it is."""
        self._leave_live()
        self._ask(final_content(label, reconstruction))
        self.result_shown.emit(label, reconstruction)

    def compare(self, first: tuple[str, Reconstruction], second: tuple[str, Reconstruction]) -> None:
        """Show two reconstructions, with their labels, on the same pixels and with the same phase and scale."""
        self._leave_live()
        self._ask(compared_content(first, second))

    def judge_live(self, verdict: Verdict | None) -> None:
        """Say what is thought of the run whose object is shown as it goes on, where nothing else comes of it."""
        self._live_verdict = verdict
        if self.ready is None or self.ready.content.preview:
            self.verdict.show_verdict(verdict)

    def end_live(self) -> None:
        """The run has ended: there is nothing live to go back to."""
        self._preview = None
        self.live.hide()

    def clear(self) -> None:
        """Show nothing; the next preview is shown again."""
        self.jobs.cancel()
        self._leave_playback()
        self.ready = self._asked = self._preview = self._live_verdict = None
        self._following, self._outdated = True, False
        self.live.hide()
        self._show_nothing(_NOTHING)
        self.result_shown.emit("", None)

    def shut_down(self) -> None:
        """Leave off whatever is being prepared and wait for it."""
        self.comparison.hide()
        self.playback.shut_down()
        self.jobs.shut_down()

    def _leave_live(self) -> None:
        self._leave_playback()
        self._stop_following()

    def _stop_following(self) -> None:
        self._following = self._outdated = False
        self.live.setVisible(self._preview is not None)

    def _ask(self, content: Content) -> None:
        self._asked = content
        self._stack.setCurrentWidget(self._pictures)  # laid out while the pictures are made, not in one go with them
        if not content.preview:
            self._entitle(f"Preparing {' and '.join(content.names)} ...")
        self._make_pictures()

    @Slot()
    def _make_pictures(self) -> None:
        """Make the pictures of what was asked for, with the options as they are now."""
        if self._asked is None:
            return
        known = self.ready.subjects if self.ready and self.ready.content is self._asked else None
        self.jobs.start(pictures_job(self._asked, known, Options(self.ramp.isChecked(), self.unwrap.isChecked())))

    @Slot()
    def _catch_up(self) -> None:
        if self._outdated and self._preview:
            self._outdated = False
            self._ask(preview_content("Live", *self._preview))

    @Slot(object)
    def _show(self, ready: Ready) -> None:
        if ready.content is not self._asked:  # cleared since
            return
        before = self.ready.subjects if self.ready else None
        self.ready = ready
        content, found = ready.content, ready.subjects[1]
        self.verdict.show_verdict(self._live_verdict if content.preview else content.verdict)
        self._allow(ready)
        names = LETTERS if found else content.names
        self.view.show_objects(names, ready.pictures)
        if before is not ready.subjects and not self._beside.isActive():
            self._beside.start()
        self._show_lower()
        self.view.show_line(self.line.isChecked())
        self.playback.advance()

    @Slot()
    def _show_beside(self) -> None:
        """Show what stands beside the pictures."""
        if self.ready is None:
            return
        content, (subjects, found) = self.ready.content, self.ready.subjects
        self.probe.show_probe(self.ready.pictures[0].probe, pixel_size_m=subjects[0].pixel_size_m)
        if found:
            pixel = subjects[0].pixel_size_m
            self.comparison.begin((content.names[0], content.names[1]))
            self.frc.show_frc(found, LETTERS, max(pixel) if pixel else None, content.one_run)
            self._entitle(f"{agreement(found.frc, LETTERS, max(pixel) if pixel else None)}. {content.title}")
        else:
            self.comparison.hide()
            self._entitle(content.title)
        if self.ready.displacements is not None:
            self.displaced.show_displacements(self.ready.displacements, subjects[0].pixel_size_m)

    def _entitle(self, text: str) -> None:
        self.title.setText(text)
        self.title.setToolTip(text)

    @Slot(object)
    def _fail(self, failure: Failure) -> None:
        if self._asked is not None:
            self.ready = None
            self._show_nothing(failure.sentence)

    def _show_nothing(self, why: str) -> None:
        self.nothing.setText(why)
        self._stack.setCurrentWidget(self.nothing)
        self._entitle("")
        self.verdict.show_verdict(None)
        self.comparison.hide()
        self.view.clear()
        self._allow(None)

    @Slot(object)
    def _arrange(self, slots: Slots) -> None:
        self.view.arrange(slots)
        if self.ready and len(self.ready.pictures) > 1:
            which = slots[0][0]
            self.probe.show_probe(self.ready.pictures[which].probe, pixel_size_m=self.ready.subjects[0][0].pixel_size_m)

    @Slot(object)
    def _show_profiles(self, profiles: dict[str, Profile]) -> None:
        assert self.ready is not None
        self.profile.show_profiles(profiles, self.ready.subjects[0][0].pixel_size_m is not None)

    @Slot(bool)
    def _show_lock(self, locked: bool) -> None:
        self.lock.setChecked(locked)

    @Slot()
    def _show_lower(self) -> None:
        self.profile.setVisible(self.line.isChecked())
        self.frc.setVisible(self.rings.isChecked() and self.rings.isEnabled())
        self.displaced.setVisible(self.moves.isChecked() and self.moves.isEnabled())
        self._lower.setVisible(any(not part.isHidden() for part in (self.profile, self.frc, self.displaced)))

    @Slot(bool)
    def _play_back(self, on: bool) -> None:
        """Show the course of the run, or again what was shown before."""
        if on and self._run is not None:
            self._before_playback = self._asked
            self.playback.begin(*self._run)
            return
        self.playback.end()
        before, self._before_playback = self._before_playback, None
        if self._preview and before and before.preview:
            self._go_live()
        elif before is not None:
            self._ask(before)

    def _leave_playback(self) -> None:
        """Play nothing back, as something else is to be shown."""
        self._before_playback = None
        self.course.setChecked(False)

    @Slot(object, object)
    def _show_moment(self, course: Course, preview: PreviewReady) -> None:
        self._stop_following()
        self._ask(preview_content(course.name, preview, course.pixel_size_m))

    @Slot()
    def _go_live(self) -> None:
        if self._preview:
            self._leave_playback()
            self._following = True
            self.live.hide()
            self._ask(preview_content("Live", *self._preview))

    def _allow(self, ready: Ready | None) -> None:
        """Enable the buttons that have something to do, and say of the others why they have not."""
        nothing = None if ready else "There is no object yet."
        for button in (self.fit, self.lock, self.viridis, self.ramp, self.unwrap, self.dim, self.line, self.with_probe):
            allow(button, nothing)
        preview = bool(ready and ready.content.preview)
        compared = bool(ready and ready.subjects[1])
        allow(self.positions, nothing or ("Previews carry no positions." if preview else None))
        why = "It needs two reconstructions: choose Compare at a checkpoint or a run."
        allow(self.rings, None if compared else why)
        allow(self.course, None if self._run else "Train first, or open a run.")
        same = "Its patterns are where they were recorded: train with positions at refine."
        allow(self.moves, nothing or (None if ready and ready.displacements is not None else same))
        two = "Two objects are shown: show one of them first." if compared else None
        for button in (self.export, self.page):
            allow(button, nothing or ("This is on the way to a picture." if preview else two))

    def _make_buttons(self) -> None:
        self.fit = KeyedButton(self, "Fit", "F", "Show the whole of what got light", checkable=False)
        self.lock = KeyedButton(self, "Lock levels", "L", "Keep the levels of the colour bars from picture to picture")
        self.viridis = KeyedButton(self, "Viridis", "V", "Show the amplitude in colours instead of grey")
        self.ramp = KeyedButton(self, "Remove ramp", "R", "Level the phase, for display only")
        self.unwrap = KeyedButton(self, "Unwrap", "U", "Show the phase without jumps of 2π, for display only")
        self.positions = KeyedButton(self, "Positions", "P", "Mark where the beam was")
        self.dim = KeyedButton(self, "Dim uncovered", "M", "Dim what got no light")
        self.dim.setChecked(True)
        self.with_probe = KeyedButton(self, "Probe", "B", "Show the probe beside the object")
        self.with_probe.setChecked(True)
        self.line = KeyedButton(self, "Profile", "O", "Plot amplitude and phase along a line; drag its ends")
        self.rings = KeyedButton(self, "FRC", "C", "Plot the Fourier ring correlation of the two objects compared")
        self.moves = KeyedButton(self, "Displacements", "A", "Show where refinement moved the patterns")
        self.course = KeyedButton(self, "Course", "T", "Play back how the object came about, from picture to picture")
        self.live = KeyedButton(self, "Back to live (N)", "N", "Show the run that goes on", checkable=False)
        self.export = KeyedButton(self, "Export...", "E", "Write this reconstruction to files", checkable=False)
        self.page = KeyedButton(self, "Page", "G", "Write the logbook page of this, and copy it", checkable=False)
        for button, picture in ((self.export, "export-image"), (self.page, "page")):
            button.setIcon(icon(picture))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setFixedHeight(self.fit.sizeHint().height())
        self.fit.clicked.connect(self.view.fit)
        self.lock.toggled.connect(self.view.lock_levels)
        self.viridis.toggled.connect(self._choose_map)
        self.ramp.toggled.connect(self._make_pictures)
        self.unwrap.toggled.connect(self._make_pictures)
        self.positions.toggled.connect(self.view.show_positions)
        self.dim.toggled.connect(self.view.darken)
        self.with_probe.toggled.connect(self.probe.setVisible)
        self.line.toggled.connect(self.view.show_line)
        self.line.toggled.connect(self._show_lower)
        self.rings.toggled.connect(self._show_lower)
        self.moves.toggled.connect(self._show_lower)
        self.course.toggled.connect(self._play_back)
        self.live.clicked.connect(self._go_live)
        self.export.clicked.connect(self.export_requested)
        self.page.clicked.connect(self.page_requested)

    @Slot(bool)
    def _choose_map(self, on: bool) -> None:
        self.view.set_amplitude_map("viridis" if on else "gray")

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.live)
        head.addWidget(self.place)
        self.title.setMinimumHeight(self.live.sizeHint().height())  # the picture stays where it is when that comes
        tools = QFlowLayout()
        tools.setContentsMargins(0, 0, 0, 0)
        tools.setSpacing(2)
        for button in (
            self.fit,
            self.lock,
            self.viridis,
            self.ramp,
            self.unwrap,
            self.positions,
            self.dim,
            self.with_probe,
            self.line,
            self.rings,
            self.moves,
            self.course,
            self.export,
            self.page,
        ):
            tools.addWidget(button)
        upper = QSplitter(Qt.Orientation.Horizontal)
        upper.addWidget(self.view)
        upper.addWidget(self.probe)
        upper.setSizes([800, 200])
        upper.setStretchFactor(0, 1)
        upper.setStretchFactor(1, 0)  # in a large window the object gains
        self._lower = QSplitter(Qt.Orientation.Horizontal)
        self._lower.addWidget(self.profile)
        self._lower.addWidget(self.frc)
        self._lower.addWidget(self.displaced)
        self._pictures = QSplitter(Qt.Orientation.Vertical)
        self._pictures.addWidget(upper)
        self._pictures.addWidget(self._lower)
        self._pictures.setSizes([600, 400])
        self.nothing = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        self.nothing.setMargin(40)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.nothing)
        self._stack.addWidget(self._pictures)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.verdict)
        column.addLayout(tools)
        column.addWidget(self.comparison)
        column.addWidget(self.playback)
        column.addWidget(self._stack, 1)
        self._show_lower()
