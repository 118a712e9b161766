"""`PlaybackBar`: goes through the pictures that were kept while a run went on."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.keyed_button import KeyedButton
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure
from ptycho_gui.result.jobs.course import Course, read_course

_NONE = "This run kept no pictures of its course: Preview every was 0, or it is of before version 0.2."
_PACE_MS = 200


class PlaybackBar(QWidget):
    """Hidden while nothing is played back.

    Parameters
    ----------
    panel
        Its keys work there.
    """

    chosen = Signal(object, object)
    """`Course`, and the `PreviewReady` of it that is to be shown."""
    animation_requested = Signal(object)
    """`Course` to be exported."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._course: Course | None = None
        self.reading = WorkerSlot(self)
        self.reading.succeeded.connect(self._show_course)
        self.reading.failed.connect(self._fail)
        self.play = KeyedButton(panel, "Play", "J", "Show one picture after the other, to the last one")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Moment of the run")
        self.slider.setToolTip("The pictures that were kept while the run went on, from the first to the last")
        self.export = KeyedButton(panel, "Animation…", "X", "Write all of them as one moving picture", checkable=False)
        self.moment = QLabel(wordWrap=True)
        self.moment.setAccessibleName("What is played back")
        self._pause = QTimer(self, singleShot=True, interval=_PACE_MS)
        self._pause.timeout.connect(self._step)
        self.slider.valueChanged.connect(self._choose)
        self.play.toggled.connect(self._begin_to_play)
        self.export.clicked.connect(self._request_animation)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.play)
        row.addWidget(self.slider, 1)
        row.addWidget(self.moment, 1)
        row.addWidget(self.export)
        self.end()

    def begin(self, folder: Path) -> None:
        """Read the course of the run in a folder, and show its last picture."""
        self.moment.setText("Reading the pictures of the run…")
        self.show()
        self.reading.start(read_course(folder))

    def end(self) -> None:
        """Play nothing back any more."""
        self.reading.cancel()
        self._pause.stop()
        self._course = None
        self.play.setChecked(False)
        self._allow("Nothing is played back.")
        self.hide()

    def advance(self) -> None:
        """What was chosen is shown: go on, if that is wanted."""
        if self.play.isChecked():
            self._pause.start()

    def shut_down(self) -> None:
        """Leave off reading and wait for it."""
        self.end()
        self.reading.shut_down()

    def _allow(self, why_not: str | None) -> None:
        for control in (self.play, self.slider, self.export):
            allow(control, why_not)

    @Slot(object)
    def _show_course(self, course: Course) -> None:
        if self.isHidden():  # ended since
            return
        if not course.previews:
            self._say_why_not(_NONE)
            return
        self._course = course
        self._allow(None)
        last = len(course.previews) - 1
        self.slider.blockSignals(True)
        self.slider.setRange(0, last)
        self.slider.setValue(last)
        self.slider.blockSignals(False)
        self._choose()

    @Slot(object)
    def _fail(self, failure: Failure) -> None:
        self._say_why_not(failure.sentence)

    def _say_why_not(self, sentence: str) -> None:
        self.moment.setText(sentence)
        self._allow(sentence)

    @Slot()
    def _choose(self) -> None:
        if self._course is not None:
            number = self.slider.value()
            preview = self._course.previews[number]
            self.moment.setText(f"{preview.moment} (picture {number + 1} of {len(self._course.previews)})")
            self.chosen.emit(self._course, preview)

    @Slot(bool)
    def _begin_to_play(self, on: bool) -> None:
        if on and self.slider.value() == self.slider.maximum():
            self.slider.setValue(0)
        elif on:
            self._step()

    @Slot()
    def _step(self) -> None:
        if not self.play.isChecked():
            return
        self.slider.setValue(self.slider.value() + 1)
        if self.slider.value() == self.slider.maximum():
            self.play.setChecked(False)

    @Slot()
    def _request_animation(self) -> None:
        self.animation_requested.emit(self._course)
