"""`ScanPanel`: what the scan is in words, what is wrong with it, and what its file left open."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.inspection.inspection import Inspection
from ptycho_gui.kit.forms.text import wrapped
from ptycho_gui.kit.icons import icon
from ptycho_gui.kit.words import begun
from ptycho_gui.scan.problem_list import Fixes, ProblemList
from ptycho_gui.scan.scan_sections import Assumed, History, Summary


class ScanPanel(QWidget):
    """The scan that is open, or an invitation to open one; above it, what is being loaded or could not be."""

    open_requested = Signal()
    cancel_requested = Signal()
    setting_chosen = Signal(str, str)
    setting_withdrawn = Signal(str)
    """Key and value of `scan.settings.SETTINGS`: the scan is to be read again with it."""
    fix_requested = Signal(object)
    """`errors.Fix` of a problem."""
    retry_requested = Signal(object)
    """`errors.Fix` of what could not be opened."""
    show_requested = Signal(object)
    """`errors.Problem` to be shown in the views."""
    orientation_search_requested = Signal()
    marked = Signal(str, int, str)
    """Name of the icon of the worst problem of the scan, how many it has, and that in words; empty and 0 for none."""
    reload_requested = Signal()
    """The scan is to be opened again, as it is on the disk now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(
            "What the scan file holds, in words and numbers. Look at the problems first; then at what was assumed, "
            "because the file does not say it: if an answer is wrong, choose another, and the scan is read again."
        )
        self._pages = QStackedWidget()
        self._pages.addWidget(self._invitation())
        self._pages.addWidget(self._scan_page())
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self._loading_bar())
        column.addWidget(self._error_note())
        column.addWidget(self._change_note())
        column.addWidget(self._pages, 1)

    def show_scan(self, looked: Inspection | None) -> None:
        """Show a scan that was looked at, or the invitation to open one; loading is over."""
        self._loading.hide()
        self._error.hide()
        self._changed.hide()
        self._pages.setCurrentIndex(int(looked is not None))
        self.marked.emit(*_mark(looked.problems if looked else ()))
        if looked is None:
            return
        path = looked.scan.source.path
        self._name.setText(path.name if path else "Scan in memory")
        self._name.setToolTip(str(path) if path else "")
        self.problems.show_problems(looked.problems)
        self._summary.show_scan(looked)
        self._assumed.show_scan(looked.scan)
        self.history.show_scan(looked.scan)

    def show_loading(self, text: str, fraction: float | None) -> None:
        """Show how far loading is.

        Parameters
        ----------
        text
            What is done; empty when it is over.
        fraction
            The part that is done, 0 to 1, or None where that is not known.
        """
        self._loading.setVisible(bool(text))
        self._error.hide()
        self._stage.setText(begun(text))
        self._progress.setRange(0, 0 if fraction is None else 100)
        self._progress.setValue(round(100 * (fraction or 0)))

    def show_error(self, sentence: str) -> None:
        """Say why a scan could not be opened; the one before stays."""
        self._loading.hide()
        self._sentence.setText(html.escape(sentence, quote=False))
        self._ways_out.show_fixes(())
        self._error.show()

    def show_ways_out(self, fixes: Sequence[Fix]) -> None:
        """Offer what may help, below the sentence of `show_error`."""
        self._ways_out.show_fixes(fixes)

    def show_change(self, sentence: str) -> None:
        """Say what became of the scan's file since it was opened, with the button that opens it again."""
        self._change.setText(html.escape(sentence, quote=False))
        self._changed.show()

    def _invitation(self) -> QWidget:
        page = QWidget()
        heading = QLabel("<b>No scan is open.</b>")
        heading.setAlignment(Qt.AlignmentFlag.AlignCenter)
        text = wrapped(
            "Open a scan file, or drop one on the window: HDF5, CXI, NeXus, ptypy, fold_slice, ptychodus or NPZ. "
            "What it is, is told from its content."
        )
        text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        button = self._open_button("Open a scan…")
        column = QVBoxLayout(page)
        column.addStretch(1)
        column.addWidget(heading)
        column.addWidget(text)
        column.addSpacing(8)
        column.addWidget(button, 0, Qt.AlignmentFlag.AlignCenter)
        column.addStretch(2)
        return page

    def _scan_page(self) -> QWidget:
        self._name = QElidingLabel()
        self._name.setElideMode(Qt.TextElideMode.ElideMiddle)
        font = self._name.font()
        font.setBold(True)
        self._name.setFont(font)
        top = QHBoxLayout()
        top.addWidget(self._name, 1)
        top.addWidget(self._open_button("&Open…"))
        self.problems, self._summary = ProblemList(), Summary()
        self._assumed, self.history = Assumed(), History()
        self.problems.fix_requested.connect(self.fix_requested)
        self.problems.show_requested.connect(self.show_requested)
        self._assumed.chosen.connect(self.setting_chosen)
        self._assumed.withdrawn.connect(self.setting_withdrawn)
        self._assumed.search_requested.connect(self.orientation_search_requested)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(10)
        column.addLayout(top)
        for section in (self.problems, self._summary, self._assumed, self.history):
            column.addWidget(section)
        column.addStretch()
        area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        return area

    def _open_button(self, text: str) -> QPushButton:
        button = QPushButton(icon("open"), text)
        button.setToolTip("Choose a scan file (Ctrl+O)")
        button.clicked.connect(self.open_requested)
        return button

    def _loading_bar(self) -> QWidget:
        self._loading = QWidget()
        self._stage, self._progress = QElidingLabel(), QProgressBar()
        self._progress.setAccessibleName("Loading")
        cancel = QPushButton(icon("cancel"), "&Cancel")
        cancel.setToolTip("Leave off loading; the scan that is open stays")
        cancel.clicked.connect(self.cancel_requested)
        row = QHBoxLayout()
        row.addWidget(self._progress, 1)
        row.addWidget(cancel)
        column = QVBoxLayout(self._loading)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._stage)
        column.addLayout(row)
        self._loading.hide()
        return self._loading

    def _error_note(self) -> QWidget:
        self._sentence, self._ways_out = wrapped(""), Fixes()
        self._ways_out.chosen.connect(self.retry_requested)
        self._error = self._note("error", "Error", self._sentence, self._ways_out)
        return self._error

    def _change_note(self) -> QWidget:
        self._change, self.open_again = wrapped(""), QPushButton(icon("refresh"), "Open a&gain")
        self.open_again.setToolTip("Read the scan again, as it is on the disk now (F5)")
        self.open_again.clicked.connect(self.reload_requested)
        self._changed = self._note("warning", "Warning", self._change, self.open_again)
        return self._changed

    def _note(self, severity: str, name: str, *parts: QWidget) -> QWidget:
        """Return what is said above the scan, hidden: a sign, and beside it the parts below one another."""
        note = QWidget()
        sign = QLabel()
        side = self.fontMetrics().height()
        sign.setPixmap(icon(severity).pixmap(QSize(side, side)))
        sign.setAccessibleName(name)
        said = QVBoxLayout()
        for part in parts:
            said.addWidget(part)
        row = QHBoxLayout(note)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(said, 1)
        note.hide()
        return note


def _mark(problems: Sequence[Problem]) -> tuple[str, int, str]:
    """Return what `ScanPanel.marked` tells."""
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    words = [f"{errors} prevent{'s' if errors == 1 else ''} a reconstruction"] if errors else []
    words += [f"{warnings} warning{'s' if warnings > 1 else ''}"] if warnings else []
    sign = "error" if errors else "warning" if warnings else ""
    return sign, len(problems), ", ".join(words)
