"""`DraftFields`: fields for settings of a `Draft`, bound both ways."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QObject, Slot

from ptycho_core.base.config import KNOBS
from ptycho_core.base.errors import Fix
from ptycho_gui.kit.forms.knob_field import KnobField
from ptycho_gui.train.draft import Draft


class DraftFields(QObject):
    """Makes the fields, for a form to lay out, and keeps them and the draft alike.

    Parameters
    ----------
    draft
        What is edited.
    names
        Of settings.
    parent
        Owner; the fields belong to the form that they are put in.
    """

    def __init__(self, draft: Draft, names: Iterable[str], parent: QObject) -> None:
        super().__init__(parent)
        self._draft = draft
        self.fields = {name: KnobField(name, KNOBS[name]) for name in names}
        for field in self.fields.values():
            field.value_changed.connect(draft.set)
            field.error_changed.connect(draft.set_text_error)
            field.fix_chosen.connect(self._put_right)
        draft.changed.connect(self._show)
        self._show()

    @Slot(object)
    def _put_right(self, fix: Fix) -> None:
        self._draft.set(fix.field, fix.value)

    @Slot()
    def _show(self) -> None:
        for name, field in self.fields.items():
            field.set_default(self._draft.default(name))
            if not self._draft.text_error(name):
                field.set_value(self._draft.value(name))
            field.show_problems(self._draft.problems_of(name))
