"""`ObjectPanel`: the object and the probe, live, reconstructed, or two of them compared."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QStackedWidget, QVBoxLayout, QWidget
from superqt import QElidingLabel

from ptycho_core.base.events import PreviewReady
from ptycho_core.base.verdict import Verdict
from ptycho_core.quality.picture import Options
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_gui.kit.keyed_button import KeyedButton
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.result.compare_bar import CompareBar
from ptycho_gui.result.frc_plot import agreement
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
from ptycho_gui.result.object_tools import ObjectTools
from ptycho_gui.result.picture_area import PictureArea
from ptycho_gui.result.playback_bar import PlaybackBar
from ptycho_gui.result.verdict_bar import VerdictBar

_NOTHING = (
    "No object yet. While a run trains, its object appears here and grows sharper with every epoch; the reconstruction "
    "follows when it has ended."
)
_HELP = (
    "The object as it is now: amplitude and phase with common pan and zoom. Drag to move, turn the wheel to zoom, "
    "double-click to see everything; drag the handles of a colour bar to choose levels. The mean phase is not "
    "determined and is shown as 0. Dimmed is what got no light."
)
_LIVE = "Live"


class ObjectPanel(QWidget):
    """Shows what it is given; a preview takes the place of what is shown unless that was asked for since."""

    export_requested = Signal()
    result_shown = Signal(str, object)
    """What a reconstruction is called, and the `Reconstruction`; None where there is none any more."""
    page_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(_HELP)
        self._asked: Content | None = None
        self._preview: PreviewReady | None = None
        self._live_verdict: Verdict | None = None
        self._following = True
        self._outdated = False
        self._run: Path | None = None
        self._live = _LIVE
        self._before_playback: Content | None = None
        self.jobs = WorkerSlot(self)
        self.jobs.succeeded.connect(self._show)
        self.jobs.failed.connect(self._fail)
        self.jobs.ended.connect(self._catch_up)
        self.verdict = VerdictBar()
        self.title = QElidingLabel()
        self.title.setAccessibleName("What is shown")
        self.place = QLabel()
        self.live = KeyedButton(self, "Back to live", "N", "Show the run that goes on", checkable=False)
        self.tools, self.comparison, self.playback = ObjectTools(self), CompareBar(self), PlaybackBar(self)
        self.pictures = PictureArea()
        self._wire()
        self._lay_out()
        self.clear()

    def set_run(self, folder: Path, scan: str = "") -> None:
        """Say in which folder the course to be played back is, and of which of several scans live pictures are."""
        self._leave_playback()
        self._run, self._live = folder, f"Live, {scan}" if scan else _LIVE
        self._allow()

    def show_preview(self, preview: PreviewReady) -> None:
        """Show the object of a run that goes on.

        After `show_reconstruction` or `compare` it is only kept ready, until the operator or a new run asks for it.
        """
        begins = self._preview is None or preview.step < self._preview.step
        self._preview = preview
        self._following = self._following or begins
        self.live.setVisible(not self._following)
        if not self._following:
            return
        self._leave_playback()
        if self.jobs.busy:
            self._outdated = True
        else:
            self._ask(preview_content(self._live, preview))

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
        """Say what is thought of a run of which there is no reconstruction, beside what was last seen of its object."""
        self._live_verdict = verdict
        QTimer.singleShot(0, self, self._show_live_verdict)  # in a turn of its own: the pictures are laid out anew

    def end_live(self) -> None:
        """The run has ended: there is nothing live to go back to."""
        self._preview = None
        self.live.hide()

    def clear(self) -> None:
        """Show nothing; the next preview is shown again."""
        self.jobs.cancel()
        self._leave_playback()
        self._asked = self._preview = self._live_verdict = None
        self._following, self._outdated = True, False
        self.live.hide()
        self._show_nothing(_NOTHING)
        self.result_shown.emit("", None)

    def shut_down(self) -> None:
        """Leave off whatever is being prepared and wait for it."""
        self.comparison.hide()
        self.playback.shut_down()
        self.jobs.shut_down()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: the first picture will come."""
        super().showEvent(event)
        QTimer.singleShot(0, self, self._lay_out_pictures)

    @Slot()
    def _lay_out_pictures(self) -> None:
        """Lay out and draw the page of the pictures before there are any: with the first one, the window would wait."""
        if self._stack.currentWidget() is self.nothing and self.pictures.size() != self.nothing.size():
            self.pictures.resize(self.nothing.size())
            self.pictures.grab()

    @Slot()
    def _show_live_verdict(self) -> None:
        if self.pictures.ready is None or self.pictures.ready.content.preview:
            self.verdict.show_verdict(self._live_verdict)

    def _leave_live(self) -> None:
        self._leave_playback()
        self._stop_following()

    def _stop_following(self) -> None:
        self._following = self._outdated = False
        self.live.setVisible(self._preview is not None)

    def _ask(self, content: Content) -> None:
        self._asked = content
        self._stack.setCurrentWidget(self.pictures)  # laid out while the pictures are made, not in one go with them
        if not content.preview:
            self._entitle(f"Preparing {' and '.join(content.names)}…")
        self._make_pictures()

    @Slot()
    def _make_pictures(self) -> None:
        """Make the pictures of what was asked for, with the options as they are now."""
        if self._asked is None:
            return
        shown, options = self.pictures.ready, Options(self.tools.ramp.isChecked(), self.tools.unwrap.isChecked())
        known = shown.subjects if shown and shown.content is self._asked else None
        self.jobs.start(pictures_job(self._asked, known, options))

    @Slot()
    def _catch_up(self) -> None:
        if self._outdated and self._preview:
            self._outdated = False
            self._ask(preview_content(self._live, self._preview))

    @Slot(object)
    def _show(self, ready: Ready) -> None:
        if ready.content is not self._asked:  # cleared since
            return
        content = ready.content
        self.verdict.show_verdict(self._live_verdict if content.preview else content.verdict)
        self.pictures.show_ready(ready)
        self._allow()
        self.playback.advance()

    @Slot()
    def _describe(self) -> None:
        """Say of what the pictures are; two objects can be arranged."""
        if (ready := self.pictures.ready) is None:
            return
        content, (subjects, found) = ready.content, ready.subjects
        if found:
            pixel = subjects[0].pixel_size_m
            self.comparison.begin((content.names[0], content.names[1]))
            self._entitle(f"{agreement(found.frc, LETTERS, max(pixel) if pixel else None)}. {content.title}")
        else:
            self.comparison.hide()
            self._entitle(content.title)

    def _entitle(self, text: str) -> None:
        self.title.setText(text)
        self.title.setToolTip(text)

    @Slot(object)
    def _fail(self, failure: Failure) -> None:
        if self._asked is not None:
            self._show_nothing(failure.sentence)

    def _show_nothing(self, why: str) -> None:
        self.nothing.setText(why)
        self._stack.setCurrentWidget(self.nothing)
        self._entitle("")
        self.verdict.show_verdict(None)
        self.comparison.hide()
        self.pictures.clear()
        self._allow()

    @Slot(bool)
    def _play_back(self, on: bool) -> None:
        """Show the course of the run, or again what was shown before."""
        if on and self._run is not None:
            self._before_playback = self._asked
            self.playback.begin(self._run)
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
        self.tools.course.setChecked(False)

    @Slot(object, object)
    def _show_moment(self, course: Course, preview: PreviewReady) -> None:
        self._stop_following()
        self._ask(preview_content(course.name, preview))

    @Slot()
    def _go_live(self) -> None:
        if self._preview:
            self._leave_playback()
            self._following = True
            self.live.hide()
            self._ask(preview_content(self._live, self._preview))

    def _allow(self) -> None:
        self.tools.allow(self.pictures.ready, with_run=self._run is not None)

    def _wire(self) -> None:
        tools, pictures = self.tools, self.pictures
        self.comparison.arranged.connect(pictures.arrange)
        self.playback.chosen.connect(self._show_moment)
        pictures.view.pointed.connect(self.place.setText)
        pictures.view.levels_locked.connect(tools.lock.setChecked)
        pictures.completed.connect(self._describe)
        tools.fit.clicked.connect(pictures.view.fit)
        tools.lock.toggled.connect(pictures.view.lock_levels)
        tools.viridis.toggled.connect(self._choose_map)
        tools.ramp.toggled.connect(self._make_pictures)
        tools.unwrap.toggled.connect(self._make_pictures)
        tools.positions.toggled.connect(pictures.view.show_positions)
        tools.dim.toggled.connect(pictures.view.darken)
        tools.probe.toggled.connect(pictures.probe.setVisible)
        tools.line.toggled.connect(pictures.show_line)
        tools.rings.toggled.connect(pictures.show_rings)
        tools.moves.toggled.connect(pictures.show_moves)
        tools.course.toggled.connect(self._play_back)
        self.live.clicked.connect(self._go_live)
        tools.export.clicked.connect(self.export_requested)
        tools.page.clicked.connect(self.page_requested)

    @Slot(bool)
    def _choose_map(self, on: bool) -> None:
        self.pictures.view.set_amplitude_map("viridis" if on else "gray")

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.live)
        head.addWidget(self.place)
        self.title.setMinimumHeight(self.live.sizeHint().height())  # the picture stays where it is when that comes
        self.nothing = QLabel(wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        self.nothing.setMargin(40)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.nothing)
        self._stack.addWidget(self.pictures)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.verdict)
        column.addWidget(self.tools)
        column.addWidget(self.comparison)
        column.addWidget(self.playback)
        column.addWidget(self._stack, 1)
