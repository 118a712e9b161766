"""`SearchDialog`: which settings are tried, on how many patterns, and how good each combination turned out."""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import QEvent, Signal, Slot
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

import pyqtgraph as pg  # isort: skip  PySide6 first

from ptycho_core.base.config import KNOBS
from ptycho_core.base.errors import InputError
from ptycho_core.runs.trials import Outcome, can_be_varied, parse_varied, ranked
from ptycho_gui.kit import theme
from ptycho_gui.kit.allow import allow
from ptycho_gui.kit.labels import label_of, worded
from ptycho_gui.kit.plots.plot import Plot
from ptycho_gui.kit.table import Table
from ptycho_gui.train.draft import Draft

_SETTINGS = 3
_USUAL_PATTERNS, _FEWEST_PATTERNS = 200, 25
_DOT_PX, _TICKS = 10, 8
_NOTHING, _MORE = "nothing", "More settings…"
_OFTEN = (
    "positions",
    "intensity",
    "probe_modes",
    "probe_variation",
    "engine",
    "learning_rate",
    "prior",
    "loss",
    "max_epochs",
)
"""What is often worth varying, and listed at once."""


class SearchDialog(QDialog):
    """Stays beside the window while the trials run. What is not varied is as the settings of the window have it.

    Parameters
    ----------
    draft
        The settings; gets those that are taken over.
    """

    start_requested = Signal(object, int)
    """Values to try by setting, and how many patterns are used."""
    stop_requested = Signal()

    def __init__(self, draft: Draft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Search of settings")
        self._draft = draft
        self._outcomes: dict[int, Outcome] = {}
        self._why_not: str | None = None
        self._running = False
        self.rows = [_Varied(number, draft) for number in range(1, _SETTINGS + 1)]
        self.patterns = QSpinBox(minimum=_FEWEST_PATTERNS, maximum=_FEWEST_PATTERNS)
        self.patterns.setToolTip("About how many patterns of the scan's middle each trial sees: fewer are faster")
        self.note = QLabel(wordWrap=True)
        self.note.setAccessibleName("What is tried")
        form = QFormLayout()
        for row in self.rows:
            row.changed.connect(self._follow)
            label = QLabel(f"Vary &{row.number}")
            label.setBuddy(row.setting)
            form.addRow(label, row)
        form.addRow("&Patterns", self.patterns)
        self._model = QStandardItemModel(self)
        self.table = Table(self._model, "Trials", "Each combination of the values is a trial: a short run of its own.")
        self.table.selectionModel().selectionChanged.connect(self._follow)
        self.plot = Plot()
        self.plot.setAccessibleName("Deviance of the trials")
        self.plot.plot_item.setLabel("left", "Deviance of the validation patterns")
        self.plot.plot_item.setLabel("bottom", "Trial")
        for side in ("left", "bottom"):
            self.plot.plot_item.getAxis(side).enableAutoSIPrefix(False)
        self._dots = pg.ScatterPlotItem(size=_DOT_PX)
        self.plot.plot_item.addItem(self._dots)
        self.plot.hide()  # until there is a trial
        results = QSplitter()
        results.addWidget(self.table)
        results.addWidget(self.plot)
        results.setStretchFactor(0, 1)
        results.setStretchFactor(1, 1)
        buttons = QDialogButtonBox()
        action = QDialogButtonBox.ButtonRole.ActionRole
        self.start_button = buttons.addButton("&Start", action)
        self.start_button.setToolTip("Make the trials that are not done yet")
        self.stop_button = buttons.addButton("S&top", action)
        self.stop_button.setToolTip("End the trial at hand; Start goes on later")
        self.take_button = buttons.addButton("Take &over", action)
        self.take_button.setToolTip("Set what the chosen trial had, or else the best one, in Training")
        buttons.addButton(QDialogButtonBox.StandardButton.Close).setAutoDefault(False)
        self.start_button.clicked.connect(self._start)
        self.stop_button.clicked.connect(self.stop_requested)
        self.take_button.clicked.connect(self._take_over)
        buttons.rejected.connect(self.hide)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.note)
        column.addWidget(results, 1)
        column.addWidget(buttons)
        width = self.fontMetrics().averageCharWidth()
        self.resize(150 * width, 90 * width)
        results.setSizes([90 * width, 60 * width])
        draft.changed.connect(self._follow)
        self._follow()

    def show_scan(self, patterns: int) -> None:
        """Say how many patterns the open scan has; of as many as before, as many as were chosen are used."""
        most = max(_FEWEST_PATTERNS, patterns)
        if most != self.patterns.maximum():
            self.patterns.setMaximum(most)
            self.patterns.setValue(min(_USUAL_PATTERNS, patterns))

    def set_running(self, running: bool, why_not: str | None) -> None:
        """Say whether the trials run, and why none can be begun; None where they can."""
        self._running, self._why_not = running, why_not
        self._follow()

    def show_outcome(self, outcome: Outcome) -> None:
        """Show what came of a trial; a search tells of all its trials, in their order."""
        if outcome.trial.number == 1:
            self._outcomes = {}
        self._outcomes[outcome.trial.number] = outcome
        self._fill()
        self._follow()

    def changeEvent(self, event: QEvent) -> None:
        """Qt: light or dark."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw()

    def varied(self) -> dict[str, list[Any]]:
        """Return the values to try by setting.

        Raises
        ------
        InputError
            One of them is not valid, or a setting is named twice.
        """
        named = [row.name for row in self.rows if row.name]
        if len(set(named)) < len(named):
            raise InputError("each setting can be varied once")
        if any(row.name and not row.values.text().strip() for row in self.rows):
            raise InputError("write the values to try, with commas between")
        return parse_varied(f"{row.name}={row.values.text()}" for row in self.rows if row.name)

    def _fill(self) -> None:
        """Fill the table, the best trial first."""
        self.plot.show()
        listed = sorted(self._outcomes.values(), key=lambda one: (one.deviance, one.trial.number))
        names = list(listed[0].trial.settings)
        self._model.clear()
        self._model.setHorizontalHeaderLabels(
            ["Trial", *(label_of(name) for name in names), "Deviance", "Epochs done", "Seconds", "State"]
        )
        for one in listed:
            values = (KNOBS[name].text(value) for name, value in one.trial.settings.items())
            deviance = f"{one.deviance:.4f}" if math.isfinite(one.deviance) else "–"
            state = f"{one.status or 'not begun'}"
            texts = (str(one.trial.number), *values, deviance, str(one.epochs), f"{one.seconds:.1f}", state)
            self._model.appendRow([QStandardItem(text) for text in texts])
            self._model.item(self._model.rowCount() - 1, len(texts) - 1).setToolTip(one.reason)
        self._listed = listed
        self._draw()

    def _draw(self) -> None:
        best = ranked(self._outcomes.values())
        colours = theme.colours()
        self.plot.plot_item.getAxis("bottom").setTickSpacing(max(1, len(best) // _TICKS), 1)
        self._dots.setData(
            x=[one.trial.number for one in best],
            y=[one.deviance for one in best],
            brush=[pg.mkBrush(colours.good if one is best[0] else colours.series[0]) for one in best],
            pen=None,
        )

    def _chosen(self) -> Outcome | None:
        rows = self.table.selected_rows()
        if rows:
            return self._listed[rows[0]]
        best = ranked(self._outcomes.values())
        return best[0] if best else None

    @Slot()
    def _follow(self) -> None:
        """Say what would be tried, or why nothing can."""
        try:
            varied = self.varied()
            wrong = None if varied else "Choose a setting to vary, and write the values to try with commas between."
        except InputError as error:
            varied, sentence = {}, worded(str(error))
            wrong = f"{sentence[:1].upper()}{sentence[1:]}."
        count = math.prod(len(values) for values in varied.values())
        self.note.setText(wrong or f"{count} trials, each a run of its own with the other settings as in Training.")
        allow(self.start_button, self._why_not or wrong)
        allow(self.stop_button, None if self._running else "No trial runs.")
        allow(self.take_button, None if self._chosen() else "No trial has a result yet.")

    @Slot()
    def _start(self) -> None:
        self.start_requested.emit(self.varied(), self.patterns.value())

    @Slot()
    def _take_over(self) -> None:
        if chosen := self._chosen():
            for name, value in chosen.trial.settings.items():
                self._draft.set(name, value)
            self.note.setText(f"Training has the settings of trial {chosen.trial.number} now.")


class _Varied(QWidget):
    """A setting, and the values to try."""

    changed = Signal()

    def __init__(self, number: int, draft: Draft) -> None:
        super().__init__()
        self.number, self._draft = number, draft
        self.setting = QComboBox()
        self.setting.setAccessibleName(f"Setting {number}")
        self.setting.addItem(_NOTHING, "")
        for name in _OFTEN:
            self.setting.addItem(label_of(name), name)
        self.setting.addItem(_MORE, "")
        self.setting.activated.connect(self._list_all)
        self.values = QLineEdit()
        self.values.setAccessibleName(f"Values of setting {number}")
        self.setting.currentIndexChanged.connect(self._follow)
        self.values.textChanged.connect(self.changed)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.setting)
        row.addWidget(self.values, 1)
        self._follow()

    @property
    def name(self) -> str:
        """The setting; empty for none."""
        return str(self.setting.currentData())

    @Slot(int)
    def _list_all(self, row: int) -> None:
        """List the other settings, too, where these are asked for."""
        if self.setting.itemText(row) == _MORE:
            self.setting.setCurrentIndex(0)
            self.setting.removeItem(row)
            for name in sorted(set(can_be_varied()) - set(_OFTEN), key=label_of):
                self.setting.addItem(label_of(name), name)
            self.setting.showPopup()

    @Slot()
    def _follow(self) -> None:
        allow(self.values, None if self.name else "Choose a setting to vary first.")
        hint = ""
        if self.name:
            declared = KNOBS[self.name]
            hint = f"{declared.valid()}; now {declared.text(self._draft.value(self.name))}"
            self.setting.setToolTip(declared.help)
        self.values.setPlaceholderText(hint)
        self.changed.emit()
