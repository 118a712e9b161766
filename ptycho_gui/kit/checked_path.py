"""`CheckedPath`: a path that is looked at as it is typed, with what it is or what is wrong with it below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QTimer, Signal, Slot
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ptycho_core.base.errors import Problem
from ptycho_gui.kit.forms.path_field import PathField
from ptycho_gui.kit.forms.problem_note import ProblemNote
from ptycho_gui.kit.jobs.checks import Looked
from ptycho_gui.kit.threads.slot import WorkerSlot
from ptycho_gui.kit.threads.worker import Failure, Job

_PAUSE_MS = 250


class CheckedPath(QWidget):
    """A `PathField` and what a job has to say of its path.

    Parameters
    ----------
    field
        For the path.
    look
        Makes the job, whose result is `Looked`.
    empty
        The reason why an empty line will not do.
    """

    looked = Signal()
    """`reason` may be another one."""

    def __init__(
        self, field: PathField, look: Callable[[Path], Job], empty: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.field, self._look, self._empty = field, look, empty
        self.reason: str | None = empty
        """Why the path cannot be used; None if it can."""
        self._note = ProblemNote()
        self._about = QLabel(wordWrap=True)
        self._about.hide()
        self._slot = WorkerSlot(self)
        self._slot.succeeded.connect(self._show)
        self._slot.failed.connect(self._show_failure)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._pause.timeout.connect(self._start)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(field)
        layout.addWidget(self._about)
        layout.addWidget(self._note)
        self.setFocusProxy(field)
        field.path_changed.connect(self.look_again)

    @property
    def path(self) -> Path:
        """What is in the line."""
        return self.field.path or Path()

    @property
    def said(self) -> str:
        """What is shown below the line."""
        return self._note.text or ("" if self._about.isHidden() else self._about.text())

    def set_path(self, path: Path | None) -> None:
        """Show a path and look at it."""
        self.field.set_path(path)
        self.look_again()

    @Slot()
    def look_again(self) -> None:
        """Look at the path after a moment without typing."""
        self._slot.cancel()
        if self.field.path is None:
            self._pause.stop()
            self._tell(self._empty, Looked())
        else:
            self._pause.start()
            self._tell("This is still being looked at.", Looked())

    def shut_down(self) -> None:
        """Wait for the job."""
        self._pause.stop()
        self._slot.shut_down()

    @Slot()
    def _start(self) -> None:
        self._slot.start(self._look(self.path))

    @Slot(object)
    def _show(self, looked: Looked) -> None:
        if self._pause.isActive():  # of another path
            return
        self._tell(next((p.message for p in looked.problems if p.severity == "error"), None), looked)

    @Slot(object)
    def _show_failure(self, failure: Failure) -> None:
        self._show(Looked((Problem("path", failure.sentence),)))

    def _tell(self, reason: str | None, looked: Looked) -> None:
        self.reason = reason
        self._note.show_problems(looked.problems)
        self._about.setText(looked.about)
        self._about.setVisible(bool(looked.about))
        self.looked.emit()
