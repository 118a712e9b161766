"""`RunBar`: what goes on, how far it is and how long it takes, in one line that is always there."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
from PySide6.QtCore import QEvent, Qt, QTimer, Slot
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QWidget
from superqt import QElidingLabel

from ptycho_core.base.events import PartBegan, Stage, Status
from ptycho_core.runs.history import RunHistory
from ptycho_gui.kit import theme
from ptycho_gui.kit.icons import LEVEL_ICONS, icon
from ptycho_gui.kit.labels import worded
from ptycho_gui.kit.words import begun

_EVERY_MS = 1000
_ICON_PX = 18
_NEARLY_FULL = 90
_FINE = 1000
"""Parts of the progress bar."""

_WORDS: dict[Stage | Status, tuple[str, str]] = {
    Stage.LOADING: ("load", "Loading"),
    Stage.SEARCHING: ("search", "Searching for the beam"),
    Stage.CHOOSING_MODES: ("search", "Choosing the number of probe modes"),
    Stage.WARMING_UP: ("refresh", "Warming up the probe"),
    Stage.TRAINING: ("play", "Training"),
    Stage.VALIDATING: ("search", "Validating"),
    Stage.STOPPING: ("stop", "Stopping"),
    Status.RUNNING: ("play", "Running in another process"),
    Status.FINISHED: ("ok", "Finished"),
    Status.STOPPED: ("stop", "Stopped"),
    Status.CANCELLED: ("cancel", "Cancelled"),
    Status.FAILED: ("error", "Failed"),
    Status.INTERRUPTED: ("warning", "Interrupted"),
}
"""Icon and words for each stage and status of a run."""


class RunBar(QFrame):
    """State, progress, times, speed, device and memory. Its clock ticks only while something goes on and it is seen."""

    def __init__(self, parent: QWidget | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._clock = clock
        self._pace: tuple[float, float] | None = None
        """When what goes on was first heard of, and how far it was then."""
        self.setWhatsThis(
            "What the program does now: the stage of the run and its epoch, the time since it began, the time that is "
            "left at the present pace, patterns per second, the device that computes, and how much memory this "
            "program and the whole machine use."
        )
        self._history: RunHistory | None = None
        self._activity: tuple[str, float | None] = ("", None)
        self._part = ""
        self._over_at: float | None = None  # when the part has to be over, by `time.monotonic`
        self._icon = QLabel()
        self._state = QElidingLabel()
        self._state.setAccessibleName("State")
        self._state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.progress = QProgressBar(format="%p %")
        self.progress.setAccessibleName("Progress")
        self.progress.setFixedWidth(self.fontMetrics().averageCharWidth() * 26)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(8, 3, 8, 3)
        self._row.setSpacing(10)
        self._row.addStrut(self.progress.sizeHint().height())  # what is below stays where it is when that comes
        self._row.addWidget(self._icon)
        self._row.addWidget(self.progress)
        self._row.addWidget(self._state, 1)
        self._elapsed = self._figure("Elapsed", "0:00:00", "Time that the run has taken, also before it was resumed")
        self._left = self._figure("Left", "about 0:00:00", "At the present pace; it may end sooner")
        self.speed = self._figure("Speed", "000 000 patterns/s", "Patterns that are trained on per second")
        self.device = self._figure("Device", "CPU (16 threads)", "The device that computes")
        self.memory = self._figure(
            "Memory", "00.0 GB, machine 100 %", "Memory of this program, and the part of the machine's that is in use"
        )
        self._timer = QTimer(self, interval=_EVERY_MS)
        self._timer.timeout.connect(self._tick)
        self._show()

    @property
    def state(self) -> str:
        """What goes on, in words."""
        return self._state.text()

    @Slot(object)
    def show_state(self, history: RunHistory | None) -> None:
        """Show the state of a run as it is now; None for no run."""
        self._history = history
        self._show()

    @Slot(str, object)
    def set_activity(self, text: str, fraction: float | None = None) -> None:
        """Show what else is done, such as "Loading scan.npz".

        Parameters
        ----------
        text
            In words; empty when it is over.
        fraction
            0 to 1, the part of it that is done; None where that is not known.
        """
        self._activity = (text, fraction)
        self._show()

    @Slot(object)
    def set_part(self, part: PartBegan | None) -> None:
        """Show which part of a longer task is done, and when it will be over at the latest; None for no such task."""
        self._part = part.what if part else ""
        self._over_at = None if part is None or part.within_s is None else time.monotonic() + part.within_s
        self._show()

    def showEvent(self, event: QShowEvent) -> None:
        """Qt: go on ticking."""
        super().showEvent(event)
        self._show()
        self._tell_memory()

    def hideEvent(self, event: QHideEvent) -> None:
        """Qt: nobody sees the clock."""
        super().hideEvent(event)
        self._timer.stop()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._show()

    def _figure(self, caption: str, widest: str, tip: str) -> QLabel:
        label = QLabel()
        label.setTextFormat(Qt.TextFormat.RichText)
        label.setAccessibleName(caption)
        label.setToolTip(tip)
        label.setMinimumWidth(self.fontMetrics().horizontalAdvance(f"{caption} {widest}"))
        self._row.addWidget(label)
        return label

    def _show(self) -> None:
        picture, words = self._in_words()
        self._icon.setPixmap(icon(picture).pixmap(_ICON_PX, _ICON_PX))
        self._state.setText(words)
        self._state.setToolTip(words)
        going_on, fraction = self._progress()
        self.progress.setVisible(going_on)
        self.progress.setRange(0, 0 if fraction is None else _FINE)
        self.progress.setValue(round(_FINE * (fraction or 0.0)))
        self._tell_figures()
        if going_on and self.isVisible():
            if not self._timer.isActive():
                self._timer.start()
        else:
            self._timer.stop()

    @Slot()
    def _tick(self) -> None:
        self._tell_figures()
        self._tell_memory()

    def _tell_figures(self) -> None:
        history = self._history
        left = self._seconds_left()
        speed = history.patterns_per_second if history else None
        device = history.device if history else ""
        self._say(self._elapsed, _clock(history.elapsed_s) if history else "")
        self._say(self._left, self._left_in_words(left))
        self._say(self.speed, "" if speed is None else f"{_thousands(speed)} patterns/s")
        self._say(self.device, device.partition(",")[0])
        self.device.setToolTip(device or "The device that computes")

    def _tell_memory(self) -> None:
        machine = psutil.virtual_memory()
        own = psutil.Process().memory_info().rss / 1e9
        full = f"machine {machine.percent:.0f} %"
        if machine.percent >= _NEARLY_FULL:
            full = f'<span style="color: {theme.colours().warning}">{full}, nearly full</span>'
        self._say(self.memory, f"{own:.1f} GB, {full}")

    def _left_in_words(self, pace_s: float | None) -> str:
        """Return what is left at the present pace, or until the part that is done has to be over."""
        most_s = None if self._over_at is None else max(0.0, self._over_at - time.monotonic())
        if pace_s is None or (most_s is not None and most_s < pace_s):
            return "" if most_s is None else f"at most {_clock(most_s)}"
        return f"about {_clock(pace_s)}"

    def _say(self, label: QLabel, value: str) -> None:
        label.setVisible(bool(value))
        if label.text() != (text := f"{label.accessibleName()} <b>{value}</b>"):  # which would lay the line out anew
            label.setText(text)

    def _in_words(self) -> tuple[str, str]:
        picture, words = self._state_in_words()
        return picture, f"{self._part[:1].upper()}{self._part[1:]}. {words}" if self._part else words

    def _state_in_words(self) -> tuple[str, str]:
        history, activity = self._history, self._activity[0]
        if activity and (history is None or not history.at_work or history.stage == Stage.LOADING):
            return "load", begun(activity)
        if history is None:
            return "info", "Idle"
        picture, words = _WORDS[history.status or history.stage]
        if history.at_work and history.stage in (Stage.TRAINING, Stage.VALIDATING):
            words += f" epoch {history.epoch} of {history.max_epochs}"
        elif history.at_work and history.stage_epochs:
            words += f", {history.epoch} of at most {history.stage_epochs} epochs"
        if not history.at_work and history.reason and history.status != Status.FAILED:  # of which the message tells
            reason = worded(history.reason)
            told_already = reason.startswith(str(history.status))  # "stopped by the operator"
            words = begun(reason) if told_already else f"{words}: {reason}"
        if history.verdict and history.status in (Status.FINISHED, Status.STOPPED, Status.FAILED):
            picture = LEVEL_ICONS[history.verdict.level]
            words += f". The picture is {history.verdict.level}"
        return picture, f"{words}; {activity[:1].lower()}{activity[1:]}" if activity else words

    def _progress(self) -> tuple[bool, float | None]:
        """Return whether something goes on, and the part of it that is done."""
        history, (activity, fraction) = self._history, self._activity
        if history is None or not history.at_work:
            return bool(activity), fraction
        if history.stage_epochs:
            return True, (history.epoch - 1) / history.stage_epochs
        return True, history.steps_done / history.total_steps if history.steps_done else None

    def _seconds_left(self) -> float | None:
        """Return how long what goes on takes still: as the run's history says, or else at the pace of its part."""
        left = self._history.remaining_s if self._history else None
        now, fraction = self._clock(), self._progress()[1]
        if fraction is None or (self._pace and fraction < self._pace[1]):
            self._pace = None
        elif self._pace is None:
            self._pace = (now, fraction)
        if left is not None or self._pace is None or fraction is None:
            return left
        began, first = self._pace
        return (now - began) * (1 - fraction) / (fraction - first) if fraction > first else None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 10 else f"{value:.2g}"
