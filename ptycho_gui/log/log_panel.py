"""`LogPanel`: the log with a filter, and all that a bug report needs on the clipboard."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from PySide6.QtCore import QEvent, Qt, Slot
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QTreeView,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import QSignalThrottler

from ptycho_core.base.config import Config
from ptycho_core.base.environment import host, package_versions, versions
from ptycho_gui.kit.icons import icon
from ptycho_gui.log.log_bridge import LogEntry
from ptycho_gui.log.log_lines import COLUMNS, LEVELS, LogFilter, LogLines

_EVERY_MS = 100


class LogPanel(QWidget):
    """What the program tells while it works, the latest at the bottom."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWhatsThis(
            "The log: what was read, written, trained, and what went wrong. Choose how much of it is shown, or type "
            "words to find. When something fails, copy the log for a bug report and send it to whoever maintains "
            "this program: versions and settings are copied with it."
        )
        self._config: Config | None = None
        self._run_folder: Path | None = None
        self._waiting: list[LogEntry] = []
        self._throttle = QSignalThrottler(parent=self)
        self._throttle.setTimeout(_EVERY_MS)
        self._throttle.triggered.connect(self.take_in)
        self.lines = LogLines(self)
        self.shown = LogFilter(self.lines, self)

        self.level = QComboBox()
        self.level.setToolTip("The least important messages that are shown")
        self.level.setAccessibleName("Messages shown")
        self.level.addItems(list(LEVELS))
        self.level.setCurrentText("Information")
        self.level.currentIndexChanged.connect(self._filter)
        self.words = QLineEdit(clearButtonEnabled=True, placeholderText="words in a message")
        self.words.setToolTip("Show only the messages that contain these words")
        self.words.setAccessibleName("Words to find in the log")
        self.words.textChanged.connect(self._filter)
        self.copy_button = QPushButton(icon("copy"), "Copy for a bug report")
        self.copy_button.setToolTip("Copy the whole log, the versions, the settings and the run's folder")
        self.copy_button.clicked.connect(self.copy_report)
        self._said = QLabel()
        self.view = self._make_view()

        row = QHBoxLayout()
        for text, field in (("Show", self.level), ("Find", self.words)):
            label = QLabel(text)
            label.setBuddy(field)
            row.addWidget(label)
            row.addWidget(field)
        self.words.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.words.setMaximumWidth(320)
        row.addStretch()
        row.addWidget(self._said)
        row.addWidget(self.copy_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.addLayout(row)
        column.addWidget(self.view, 1)

    @Slot(object)
    def add(self, entry: LogEntry) -> None:
        """Show an entry, with others if many come at once."""
        self._waiting.append(entry)
        self._throttle.throttle()

    def set_config(self, config: Config | None) -> None:
        """Say which settings belong in a bug report."""
        self._config = config

    def set_run_folder(self, folder: Path | None) -> None:
        """Say which run belongs in a bug report."""
        self._run_folder = folder

    @Slot()
    def copy_report(self) -> None:
        """Put the bug report on the clipboard."""
        self.take_in()
        QGuiApplication.clipboard().setText(self.report())
        self._said.setText("Copied: paste it into a message.")

    def report(self) -> str:
        """Return the bug report: versions, machine, run, settings and the whole log."""
        facts = {**versions(), **package_versions("PySide6-Essentials", "pyqtgraph"), **host()}
        return "\n".join(
            [
                "ptycho bug report",
                *(f"{name}: {value}" for name, value in facts.items()),
                f"run: {self._run_folder or 'none'}",
                f"settings: {self._config.to_json() if self._config else 'none'}",
                "log:",
                *(_heading(line.entry) + line.text if line.first else line.text for line in self.lines.lines),
                "",
            ]
        )

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light and dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self.lines.recolour()

    def _make_view(self) -> QTreeView:
        view = QTreeView(rootIsDecorated=False, uniformRowHeights=True)
        view.setAccessibleName("Log")
        view.setModel(self.shown)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        view.setTextElideMode(Qt.TextElideMode.ElideRight)
        view.header().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        view.header().setStretchLastSection(True)
        metrics = view.fontMetrics()
        view.setColumnWidth(0, metrics.horizontalAdvance("00:00:00") + 24)
        view.setColumnWidth(1, metrics.horizontalAdvance("warning") + 48)
        for text, key, slot in (
            ("Copy lines", QKeySequence.StandardKey.Copy, self._copy_lines),
            ("Clear", QKeySequence.StandardKey.Delete, self.lines.clear),
        ):
            action = QAction(text, view)
            action.setShortcut(QKeySequence(key))
            action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
            action.triggered.connect(slot)
            view.addAction(action)
        return view

    @Slot()
    def take_in(self) -> None:
        """Show the entries that have come since the last time."""
        bar = self.view.verticalScrollBar()
        at_end = bar.value() == bar.maximum()
        entries, self._waiting = self._waiting, []
        self.lines.add(entries)
        if entries:
            self._said.clear()
        if at_end:
            self.view.scrollToBottom()

    @Slot()
    def _filter(self) -> None:
        self.shown.show_only(LEVELS[self.level.currentText()], self.words.text())
        self.view.scrollToBottom()

    @Slot()
    def _copy_lines(self) -> None:
        rows = sorted(index.row() for index in self.view.selectionModel().selectedRows())
        cells = [[self.shown.index(row, column).data() or "" for column in range(len(COLUMNS))] for row in rows]
        QGuiApplication.clipboard().setText("\n".join("\t".join(row).strip() for row in cells))


def _heading(entry: LogEntry) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.time))
    return f"{when} {logging.getLevelName(entry.level)} {entry.source}: "
