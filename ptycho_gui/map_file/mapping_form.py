"""`MappingForm`: a field for each part of a mapping, what is wrong with it below."""

from __future__ import annotations

import re
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QStyle,
    QToolButton,
    QWidget,
)
from superqt import QElidingLabel

from ptycho_core.base.errors import InputError
from ptycho_core.formats.mapping.layout import Node, arrays_of
from ptycho_core.formats.mapping.proposal import Proposal
from ptycho_core.scan.mapping import COLUMN, LINE, QUANTITIES, Mapping
from ptycho_gui.kit import theme
from ptycho_gui.kit.allow import allow
from ptycho_gui.map_file.jobs.mapping import PartialMapping
from ptycho_gui.map_file.mapping_fields import CoordinateField, KeyField, QuantityField

ROLES = {
    "patterns": "&Patterns",
    "y": "&y of the positions",
    "x": "&x of the positions",
    "index": "&Numbers of the patterns",
    "position_index": "N&umbers at the positions",
    "probe": "P&robe",
    "mask": "&Mask",
    "energy": "&Energy or wavelength",
    "distance": "&Distance",
    "detector_pixel": "De&tector pixel",
    "object_pixel": "&Object pixel",
}
"""What an array may be used as, with the words of a menu."""

OF_POSITIONS = ("y", "x", "position_index")
"""Those of them that are in the file of positions, where there is one."""
_KEYS = {
    "patterns": ("Patterns", "required", "Array (n, y, x), or a raster (lines, columns, y, x)"),
    "index": ("Numbers of the patterns", "none", "The patterns' own numbers, where the positions name them"),
    "position_index": (
        "Numbers at the positions",
        "none",
        "Which pattern each position belongs to; several positions of one are averaged",
    ),
    "probe": ("Probe", "none", "Complex array (y, x) or (modes, y, x)"),
    "mask": ("Mask", "none", "Array (y, x) of good or bad pixels"),
}
"""Name, what an empty field says, and tooltip."""
_COORDINATES = {
    "y": "Rows, growing downwards. NAME[0] is the first column of an array of several",
    "x": "Columns, growing to the right. NAME[1] is the second column of an array of several",
}
_QUANTITIES = {
    "energy": ("Energy or wavelength", "Of the photons", ("keV", "eV", "J", "m", "nm", "angstrom")),
    "distance": ("Distance", "From sample to detector", ("m", "cm", "mm")),
    "detector_pixel": ("Detector pixel", "Pitch of the detector's pixels", ("um", "mm", "m")),
    "object_pixel": ("Object pixel", "Where the file states it; else it follows from the others", ("nm", "um", "m")),
}
"""Name, tooltip, and usual units."""
_AXES = {"nyx": "n, y, x", "nxy": "n, x, y (MATLAB)", "yxn": "y, x, n"}
_DATA = {
    "": "as the numbers tell",
    "counts": "counts",
    "amplitude": "amplitudes",
    "log": "ln(1 + counts)",
    "log10": "log10(1 + counts)",
    "log2": "log2(1 + counts)",
    "plain-log": "ln(counts)",
    "plain-log10": "log10(counts)",
    "plain-log2": "log2(counts)",
}
_NO_FILE = "this file"
_FROM_HERE = "They are taken from this file."


class MappingForm(QScrollArea):
    """What is what in a file.

    Parameters
    ----------
    path
        The file with the patterns.
    """

    changed = Signal()
    positions_wanted = Signal()
    """The operator wants to choose, or with `positions_dropped` to do without, a file of positions."""
    positions_dropped = Signal()

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._path = path
        self.positions_file: Path | None = None
        self._other_settings: dict[str, str] = {}
        self._columns: dict[str, list[str]] = {}
        self._guesses: dict[str, object] = {}
        self._quiet = False
        self._make_fields()
        content = QWidget()
        rows = QFormLayout(content)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._problems = {
            name: self._section(rows, title, fields)
            for name, (title, fields) in {
                "patterns": ("Patterns", self._pattern_rows()),
                "positions": ("Positions of the probe on the sample", self._position_rows()),
                "index": ("Pairing of the two (by order if both are empty)", self._pairing_rows()),
                "beam": ("Beam and detector (a name, or a number)", self._beam_rows()),
            }.items()
        }
        self.setWidget(content)
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        self.setMinimumWidth(content.minimumSizeHint().width() + bar)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QScrollArea.Shape.NoFrame)

    def _make_fields(self) -> None:
        self.axes, self.data = self._choice(_AXES, "Order of the axes"), self._choice(_DATA, "What the numbers are")
        self.keys = {role: KeyField(name, hint, tip) for role, (name, hint, tip) in _KEYS.items()}
        self.coordinates = {axis: CoordinateField(axis, tip) for axis, tip in _COORDINATES.items()}
        self.quantities = {
            role: QuantityField(name, "unknown", tip, units) for role, (name, tip, units) in _QUANTITIES.items()
        }
        self.series = QCheckBox("and the files numbered alike")
        self.series.setToolTip("The patterns go on in the files beside this one whose names differ in the last number")
        self.series.toggled.connect(self._tell)
        self.invert = QCheckBox("&0 is good")
        self.invert.setToolTip("Checked: pixels other than 0 are bad. Not checked: pixels of 0 are bad")
        for field in self.keys.values():
            field.currentTextChanged.connect(self._tell)
        for other in (*self.coordinates.values(), *self.quantities.values()):
            other.changed.connect(self._tell)
        for choice in (self.axes, self.data):
            choice.currentIndexChanged.connect(self._tell)
        self.invert.toggled.connect(self._tell)

    @staticmethod
    def _choice(words: dict[str, str], name: str) -> QComboBox:
        choice = QComboBox()
        for value, text in words.items():
            choice.addItem(text, value)
        choice.setAccessibleName(name)
        choice.setToolTip(name)
        return choice

    def _pattern_rows(self) -> list[tuple[str, QWidget]]:
        patterns = [("&Patterns", self.keys["patterns"]), ("Of t&his file", self.series)]
        return [*patterns, ("A&xes", self.axes), ("&Values are", self.data)]

    def _position_rows(self) -> list[tuple[str, QWidget]]:
        self._file = QElidingLabel(_NO_FILE)
        self._file.setElideMode(Qt.TextElideMode.ElideMiddle)
        choose, self._drop = QPushButton("Another &file…"), QToolButton()
        self._drop.setText("×")
        choose.setToolTip("Take the positions from a file of their own: CSV, TXT, MDA, HDF5 or NPZ")
        choose.setAutoDefault(False)
        self._drop.setToolTip("Take the positions from this file")
        self._drop.setAccessibleName("No file of positions")
        choose.clicked.connect(self.positions_wanted)
        self._drop.clicked.connect(self.positions_dropped)
        allow(self._drop, _FROM_HERE)
        where = QWidget()
        row = QHBoxLayout(where)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._file, 1)
        row.addWidget(choose)
        row.addWidget(self._drop)
        self.raster, self.snake = QLineEdit(placeholderText="as the patterns' axes say"), QCheckBox("Sna&ke")
        self.raster.setAccessibleName("Lines and columns of a raster")
        self.raster.setToolTip(
            f"Lines x columns, as 6 x 9, or only the columns: where y is {LINE} and x is {COLUMN}, a raster is told by "
            "its step, which is what they are multiplied by. A last line may be incomplete"
        )
        self.snake.setToolTip("Every second line of the raster runs backwards")
        self.raster.textChanged.connect(self._tell)
        self.snake.toggled.connect(self._tell)
        raster = QWidget()
        row = QHBoxLayout(raster)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.raster, 1)
        row.addWidget(self.snake)
        raster.setFocusProxy(self.raster)
        axes = [("&y (vertical)", self.coordinates["y"]), ("x (hori&zontal)", self.coordinates["x"])]
        return [("From", where), *axes, ("Raste&r", raster)]

    def _pairing_rows(self) -> list[tuple[str, QWidget]]:
        return [("Pattern &numbers", self.keys["index"]), ("Position num&bers", self.keys["position_index"])]

    def _beam_rows(self) -> list[tuple[str, QWidget]]:
        mask = QWidget()
        row = QHBoxLayout(mask)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.keys["mask"], 1)
        row.addWidget(self.invert)
        mask.setFocusProxy(self.keys["mask"])
        labels = ("&Energy", "&Distance", "Detector p&ixel", "Object pixe&l")
        return [("Pr&obe", self.keys["probe"]), ("&Mask", mask), *zip(labels, self.quantities.values(), strict=True)]

    @staticmethod
    def _section(rows: QFormLayout, title: str, fields: list[tuple[str, QWidget]]) -> QLabel:
        heading, problem = QLabel(f"<b>{title}</b>", wordWrap=True), QLabel(wordWrap=True)
        problem.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        problem.hide()
        rows.addRow(heading)
        for label, widget in fields:
            rows.addRow(label, widget)
        rows.addRow(problem)
        return problem

    def offer(self, proposal: Proposal, root: Node, positions_root: Node | None) -> None:
        """Offer the arrays that could be each of the fields, the likely ones first."""
        arrays, theirs = arrays_of(root), arrays_of(positions_root or root)
        stacks = [node.key for node in arrays if len(node.shape) > 2]
        images = [node.key for node in arrays if len(node.shape) > 1]
        lists = [node.key for node in arrays if len(node.shape) == 1]
        single = [node.key for node in arrays if not node.shape or max(node.shape) <= 2]
        self._columns = {node.key: _columns(node) for node in theirs if len(node.shape) in (1, 2)}
        places = [*(key for columns in self._columns.values() for key in columns), LINE, COLUMN]
        counts = [node.key for node in theirs if len(node.shape) == 1]
        others = {"patterns": stacks, "y": places, "x": places, "index": lists, "position_index": counts}
        for role in ROLES:
            fitting = others.get(role, images if role in ("probe", "mask") else single)
            self.key_field(role).offer(proposal.candidates.get(role, ()), fitting)

    def key_field(self, role: str) -> KeyField:
        """Return the field of one of `ROLES`."""
        return self.keys[role] if role in self.keys else {**self.coordinates, **self.quantities}[role].field

    def say_positions_file(self, path: Path | None) -> None:
        """Show where the positions are."""
        self.positions_file = path
        self._file.setText(path.name if path else _NO_FILE)
        self._file.setToolTip(str(path or ""))
        allow(self._drop, None if path else _FROM_HERE)

    def say(self, mapping: Mapping) -> None:
        """Show a mapping."""
        self._quiet = True
        self.keys["patterns"].say(mapping.patterns)
        self.series.setChecked(mapping.series)
        self.keys["index"].say(mapping.index)
        self.keys["position_index"].say(mapping.positions.index)
        self.keys["probe"].say(mapping.probe)
        self.keys["mask"].say(None if mapping.mask is None else mapping.mask.key)
        self.coordinates["y"].say(mapping.positions.y)
        self.coordinates["x"].say(mapping.positions.x)
        self.invert.setChecked(mapping.mask is not None and mapping.mask.invert)
        for role in QUANTITIES:
            self.quantities[role].say(getattr(mapping, role))
        self.axes.setCurrentIndex(max(0, self.axes.findData(mapping.settings.get("axes", "nyx"))))
        self.data.setCurrentIndex(max(0, self.data.findData(mapping.settings.get("data", ""))))
        self._other_settings = {key: v for key, v in mapping.settings.items() if key not in ("axes", "data")}
        size = [number for number in (mapping.positions.lines, mapping.positions.columns) if number is not None]
        self.raster.setText(" x ".join(map(str, size)))
        self.snake.setChecked(mapping.positions.snake)
        self._guesses = {name: self._part(name) for name in mapping.guessed}
        self._quiet = False
        self.changed.emit()

    def _part(self, name: str) -> object:
        """Return what the form says of something that may be guessed: it is so no more once the operator changed it."""
        if name in QUANTITIES:
            return self.quantities[name].body()
        fields = self.coordinates.values()
        if name == "step":
            return [field.multiplier.text() for field in fields]
        return [field.field.key if name == "positions" else field.unit.currentData() for field in fields]

    def say_part(self, proposal: Proposal) -> None:
        """Show what was found where it makes no whole mapping."""
        for role, keys in proposal.candidates.items():
            if keys and role not in QUANTITIES:
                self.key_field(role).say(keys[0])
        for role, quantity in proposal.quantities.items():
            self.quantities[role].say(quantity)
        self.changed.emit()

    def use(self, role: str, key: str) -> None:
        """Take an array as one of `ROLES`; one with columns as its first for y, and as its second for x."""
        columns = self._columns.get(key, [key]) if role in ("y", "x") else [key]
        self.key_field(role).say(columns[min(role == "x", len(columns) - 1)])

    def partial_mapping(self) -> PartialMapping:
        """Return what the fields say; what is missing or wrong is shown below them."""
        self.show_problem("")
        mapping, coordinates = None, None
        patterns = self.keys["patterns"].key
        if not patterns:
            self._show("patterns", "Choose the array with the patterns.")
        if not all(field.field.key for field in self.coordinates.values()):
            self._show("positions", "Choose the arrays with y and x, or another file that has them.")
        elif patterns:
            try:
                mapping = Mapping.from_dict(self._body())
                coordinates = mapping.positions.y, mapping.positions.x
            except InputError as error:
                self._show("positions", str(error).removeprefix("the mapping: "))
        return PartialMapping(self._path, self.positions_file, mapping, patterns, self.axes.currentData(), coordinates)

    def _body(self) -> dict[str, object]:
        keys = {role: field.key or None for role, field in self.keys.items()}
        settings = {"axes": self.axes.currentData(), "data": self.data.currentData()}
        given = {key: value for key, value in settings.items() if value not in ("", "nyx")}
        return {
            "patterns": keys["patterns"],
            "series": self.series.isChecked(),
            "positions": {
                **{axis: field.body() for axis, field in self.coordinates.items()},
                "index": keys["position_index"],
                "separate_file": self.positions_file is not None,
                **self._raster(),
                "snake": self.snake.isChecked(),
            },
            "index": keys["index"],
            "probe": keys["probe"],
            "mask": {"key": keys["mask"], "invert": self.invert.isChecked()} if keys["mask"] else None,
            **{role: field.body() for role, field in self.quantities.items()},
            "settings": {**self._other_settings, **given},
            "guessed": [name for name, part in self._guesses.items() if part == self._part(name)],
        }

    def _raster(self) -> dict[str, object]:
        """Return lines and columns as the JSON of positions, as they were typed where they are no numbers."""
        words = re.split(r"[x×,\s]+", self.raster.text().strip().lower())
        numbers: list[object] = [int(word) if word.isdecimal() else word for word in words if word]
        return dict(zip(("columns", "lines"), reversed(numbers), strict=False))

    def show_problem(self, sentence: str) -> bool:
        """Show a sentence below the fields that it is about, and return whether there are such; empty clears all."""
        sections = {
            "patterns": ("patterns",),
            "positions": ("y", "x"),
            "index": ("index", "position_index"),
            "beam": ("probe", "mask", *QUANTITIES),
        }
        placed = False
        for section, roles in sections.items():
            keys = (self.key_field(role).key.partition("[")[0] for role in roles)
            about = bool(sentence) and not placed and any(f"'{key}'" in sentence for key in keys if key)
            self._show(section, sentence if about else "")
            placed = placed or about
        return placed

    def _show(self, section: str, sentence: str) -> None:
        label = self._problems[section]
        label.setText(f"⚠ {sentence}" if sentence else "")
        label.setStyleSheet(f"color: {theme.colours().error}")
        label.setVisible(bool(sentence))

    @Slot()
    def _tell(self) -> None:
        if not self._quiet:
            self.changed.emit()


def _columns(node: Node) -> list[str]:
    """Return the name of an array, or those of its columns."""
    if len(node.shape) == 2 and min(node.shape) in (2, 3):
        return [f"{node.key}[{column}]" for column in range(min(node.shape))]
    return [node.key]
