"""`UnappliedSteps`: asks about steps that were edited and not applied, before they would be lost or left out."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from ptycho_gui.kit.confirm import confirmed
from ptycho_gui.prepare.preprocessing_panel import PreprocessingPanel
from ptycho_gui.window.session import Session


class UnappliedSteps:
    """Stands between what an operator asks for and what is done.

    Parameters
    ----------
    panel
        Where the steps are edited.
    session
        Has the scan.
    window
        Over which is asked.
    """

    def __init__(self, panel: PreprocessingPanel, session: Session, window: QWidget) -> None:
        self._panel, self._session, self._window = panel, session, window

    def may_be_lost(self) -> bool:
        """Ask whether the steps may be lost; True where there are none that are not applied."""
        source = self._session.loader.source
        if source is None or not self._panel.unapplied:
            return True
        name = source.path.name if source.path else "the scan"
        question = f"The steps in Prepare are not applied to {name}, and would be lost."
        return confirmed(self._window, "Steps that are not applied", question, "&Lose the steps", "&Go back")

    def applied_before(self, verb: str, then: Callable[[], object]) -> None:
        """Do something with the scan as the steps make it; ask first where they are not applied.

        Parameters
        ----------
        verb
            What is to be done, such as "start".
        then
            Does it.
        """
        if not self._panel.unapplied:
            then()
            return
        if problem := self._panel.problem:
            self._session.message.emit("warning", f"The steps in Prepare cannot be applied: {problem}.")
            return
        question = "The steps in Prepare are not applied: the scan would be used as it was loaded."
        if confirmed(self._window, "Steps that are not applied", question, f"&Apply and {verb}", "&Go back"):
            self._session.loader.set_steps(self._panel.model.steps(), lambda looked: then())
