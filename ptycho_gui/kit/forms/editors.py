"""The widget for each kind of setting. Each shows and gives text as `Knob.parse` reads it, and corrects nothing."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.knobs import Knob
from ptycho_gui.kit.forms.number_box import NumberBox

_SHOWN = {"true": "yes", "false": "no", **{name: engine.title for name, engine in ENGINES.items()}}


def editor_of(knob: Knob) -> Editor:
    """Return the editor that suits a setting."""
    if knob.kind in (int, float):
        return NumberEditor(knob)
    if knob.kind is tuple:
        return WordsEditor(knob)
    left = (knob.none,) if knob.none else ()
    if knob.kind is bool:
        return ChoiceEditor((*left, "true", "false")) if left else SwitchEditor()
    return ChoiceEditor((*left, *knob.choices)) if knob.choices else TextEditor()


class Editor(QWidget):
    """One setting's widget; its focus proxy is what the operator types into."""

    edited = Signal()
    """The operator did something; not told of `set_text`."""

    def text(self) -> str:
        """Return what is in the widget."""
        raise NotImplementedError

    def set_text(self, text: str) -> None:
        """Show another value."""
        raise NotImplementedError

    def _hold(self, *widgets: QWidget, column: bool = False) -> None:
        layout = QVBoxLayout(self) if column else QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in widgets:
            layout.addWidget(widget)
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(self)
        self.setFocusProxy(widgets[0])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Qt: leave the wheel to the form that scrolls, except over what was clicked."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


class NumberEditor(Editor):
    """A number, and a check box for the word that may stand in its place ("auto", "none", "all")."""

    def __init__(self, knob: Knob) -> None:
        super().__init__()
        self.box = NumberBox(knob)
        self.word = knob.none or (knob.choices[0] if knob.choices else None)
        self.box.typed.connect(self._hear_typing)
        if self.word is None:
            self._hold(self.box)
            return
        self._check = QCheckBox(self.word)
        self._check.clicked.connect(self._choose_word)
        self._hold(self.box, self._check)

    def text(self) -> str:
        """Return what was typed."""
        return self.box.text()

    def set_text(self, text: str) -> None:
        """Show a number or the word."""
        if text != self.box.text():
            self.box.show_text(text)
        self._note_word()

    def set_start(self, number: int) -> None:
        """Say which number to begin with when the word is left."""
        self.box.start = number

    def setAccessibleName(self, name: str) -> None:
        """Qt: name both parts."""
        self.box.setAccessibleName(name)
        if self.word is not None:
            self._check.setAccessibleName(f"{name}: {self.word}")

    def _hear_typing(self) -> None:
        self._note_word()
        self.edited.emit()

    def _note_word(self) -> None:
        if self.word is None:
            return
        self._check.setChecked(self.box.text().strip().lower() == self.word)

    def _choose_word(self, chosen: bool) -> None:
        self.box.show_text(str(self.word if chosen else self.box.start))
        if not chosen:
            self.box.setFocus()
            self.box.selectAll()
        self.edited.emit()


class ChoiceEditor(Editor):
    """One of several words."""

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__()
        self._combo = QComboBox()
        for word in words:
            self._combo.addItem(_SHOWN.get(word, word), word)
        self._combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._combo.activated.connect(self.edited)
        self._hold(self._combo)

    def text(self) -> str:
        """Return the word that is chosen."""
        return str(self._combo.currentData())

    def set_text(self, text: str) -> None:
        """Choose a word."""
        self._combo.setCurrentIndex(self._combo.findData(text))

    def setAccessibleName(self, name: str) -> None:
        """Qt: name the box."""
        self._combo.setAccessibleName(name)


class SwitchEditor(Editor):
    """On or off."""

    def __init__(self) -> None:
        super().__init__()
        self._check = QCheckBox()
        self._check.clicked.connect(self.edited)
        self._hold(self._check)

    def text(self) -> str:
        """Return "true" or "false"."""
        return "true" if self._check.isChecked() else "false"

    def set_text(self, text: str) -> None:
        """Switch."""
        self._check.setChecked(text == "true")

    def setAccessibleName(self, name: str) -> None:
        """Qt: name the box."""
        self._check.setAccessibleName(name)


class WordsEditor(Editor):
    """Any of several words; "none", where it is one of them, is chosen by choosing no other."""

    def __init__(self, knob: Knob) -> None:
        super().__init__()
        self._nothing = "none" if "none" in knob.choices else ""
        self._checks = {word: QCheckBox(word) for word in knob.choices if word != self._nothing}
        for check in self._checks.values():
            check.clicked.connect(self.edited)
        self._hold(*self._checks.values(), column=True)

    def text(self) -> str:
        """Return the words that are chosen, separated by commas."""
        return ",".join(word for word, check in self._checks.items() if check.isChecked()) or self._nothing

    def set_text(self, text: str) -> None:
        """Choose words."""
        chosen = text.split(",")
        for word, check in self._checks.items():
            check.setChecked(word in chosen)

    def setAccessibleName(self, name: str) -> None:
        """Qt: name the boxes."""
        for word, check in self._checks.items():
            check.setAccessibleName(f"{name}: {word}")


class TextEditor(Editor):
    """Any text."""

    def __init__(self) -> None:
        super().__init__()
        self._line = QLineEdit()
        self._line.textEdited.connect(self.edited)
        self._hold(self._line)

    def text(self) -> str:
        """Return what was typed."""
        return self._line.text()

    def set_text(self, text: str) -> None:
        """Show another text."""
        if text != self._line.text():
            self._line.setText(text)

    def setAccessibleName(self, name: str) -> None:
        """Qt: name the line."""
        self._line.setAccessibleName(name)
