"""`SettingsForm`: all settings of a run but those of the grouping panel, and a line that finds them."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QToolButton, QWidget

from ptycho_core.base.build_config import build_config
from ptycho_core.base.choices import ENGINES, PRESETS
from ptycho_core.base.config import KNOBS, Config
from ptycho_gui.kit.labels import label_of
from ptycho_gui.train.draft import Draft
from ptycho_gui.train.draft_fields import DraftFields

_ELSEWHERE = ("gridsize", "neighbor_count")


class SettingsForm(QWidget):
    """Basic settings at once, the others by section when they are unfolded, or those that match what is looked for.

    Of all these only what the chosen engine uses.

    Parameters
    ----------
    draft
        Holds the settings.
    parent
        Owner.
    """

    def __init__(self, draft: Draft, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = draft
        self._arranged_for = ""
        names = [name for name in KNOBS if name not in _ELSEWHERE]
        self._basic = [name for name in names if KNOBS[name].basic]
        sections = list(dict.fromkeys(map(_section_of, names)))
        advanced = (name for name in names if name not in self._basic)
        self._advanced = sorted(advanced, key=lambda name: sections.index(_section_of(name)))
        self.fields = DraftFields(draft, [*self._basic, *self._advanced], self).fields
        self.search = QLineEdit(clearButtonEnabled=True)
        self.search.setPlaceholderText("such as learning rate")
        self.search.setToolTip("Show only the settings whose name or help has these words")
        self.search.textChanged.connect(self._arrange)
        self.unfold = QToolButton(autoRaise=True)
        self.unfold.setCheckable(True)
        self.unfold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.unfold.setToolTip("Show or hide the settings that seldom need a change")
        self.unfold.toggled.connect(self._arrange)
        self._nothing = QLabel("No setting has these words.")
        self._headings = {section: QLabel(f"<b>{section}</b>") for section in map(_section_of, self._advanced)}
        self._lay_out()
        draft.changed.connect(self._hear)
        self._hear()

    def _lay_out(self) -> None:
        # A form layout would give wrapped lines the height of a wider column when its rows are shown or hidden.
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        find = QLabel("Fi&nd a setting")
        find.setBuddy(self.search)
        grid.addWidget(find, 0, 0)
        grid.addWidget(self.search, 0, 1)
        grid.addWidget(self._nothing, 1, 0, 1, 2)
        self._add_rows(grid, self._basic)
        grid.addWidget(self.unfold, grid.rowCount(), 0, 1, 2)
        for section, heading in self._headings.items():
            grid.addWidget(heading, grid.rowCount(), 0, 1, 2)
            self._add_rows(grid, [name for name in self._advanced if _section_of(name) == section])
        grid.setRowStretch(grid.rowCount(), 1)

    def _add_rows(self, grid: QGridLayout, names: list[str]) -> None:
        for name in names:
            field, row = self.fields[name], grid.rowCount()
            grid.addWidget(field.label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(field, row, 1)

    @Slot()
    def _arrange(self) -> None:
        """Show the rows that are asked for."""
        words = self.search.text().lower().split()
        unfolded = self.unfold.isChecked()
        names = self._basic + (self._advanced if words or unfolded else [])
        shown = {name for name in names if self._draft.uses(name) and _matches(name, words)}
        for name, field in self.fields.items():
            field.setVisible(name in shown)
            field.label.setVisible(name in shown)
        for section, heading in self._headings.items():
            heading.setVisible(any(name in shown and _section_of(name) == section for name in self._advanced))
        self.unfold.setVisible(not words)
        self._nothing.setVisible(not shown)
        self.unfold.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)

    @Slot()
    def _hear(self) -> None:
        preset, engine = self._draft.value("preset"), self._draft.value("engine")
        self.fields["preset"].set_hint(_what_preset_does(preset, engine))
        self.fields["engine"].set_hint(ENGINES[engine].help)
        used = [name for name in self._advanced if self._draft.uses(name)]
        changed = sum(self._draft.is_changed(name) for name in used)
        wrong = sum(bool(self.fields[name].shown_problem) for name in used)
        counts = [f"{changed} changed"] * bool(changed) + [f"{wrong} to put right"] * bool(wrong)
        self.unfold.setText(f"A&dvanced settings{': ' * bool(counts)}{', '.join(counts)}")
        if engine != self._arranged_for:
            self._arranged_for = engine
            self._arrange()


def _section_of(name: str) -> str:
    return KNOBS[name].section


def _matches(name: str, words: list[str]) -> bool:
    text = f"{name} {name.replace('_', ' ')} {label_of(name)} {KNOBS[name].help}".lower()
    return all(word in text for word in words)


def _what_preset_does(preset: str, engine: str) -> str:
    """Say what a preset sets and what that costs."""
    settings = PRESETS[preset][engine]
    if not settings:
        return "The defaults: a good image of most scans."
    parts = ", ".join(f"{label_of(name).lower()} {KNOBS[name].text(value)}" for name, value in settings.items())
    told = f"{parts[0].upper()}{parts[1:]}."
    if ENGINES[engine].serves_one_scan:  # it ends by itself, mostly before the epochs are done
        return told
    cost = _effort(build_config({"preset": preset, "engine": engine})) / _effort(Config(engine=engine))
    return f"{told} Takes about {cost:.2g} times as long as standard."


def _effort(config: Config) -> float:
    """Return roughly how long a network trains, in any unit: twice the width takes three times the time."""
    return config.max_epochs * math.pow(config.model_width, math.log2(3))
