"""`Draft`: the settings that the operator is editing, and what is wrong with them. The one place of that state."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from ptycho_core.base.build_config import build_config, defaults_under, fewest_settings
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix, Problem
from ptycho_core.inspection.disk import check_disk
from ptycho_core.inspection.inspection import Inspection
from ptycho_core.inspection.run_checks import check_number, check_settings
from ptycho_gui.train.jobs.further_scans import Further
from ptycho_gui.train.jobs.settings_files import Folder

_PLAIN = Config()
_ONE_DEVICE = "the window itself trains on one device: use Submit in the menu Run for more"


class Draft(QObject):
    """Settings above a preset, as `build_config` layers them, and the texts in fields that are not valid yet.

    Parameters
    ----------
    parent
        Owner.
    """

    changed = Signal()
    """A setting, a text that is not valid, or the scan."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.looked: Inspection | None = None
        self.further: tuple[Further, ...] = ()
        """The scans that are trained on beside the open one."""
        self._settings: dict[str, Any] = {}
        self._config = self._defaults = _PLAIN
        self._text_errors: dict[str, str] = {}
        self._folder: Folder | None = None
        self._problems: list[Problem] | None = None

    def value(self, name: str) -> Any:
        """Return a setting's value: the last valid one where a text is not valid yet."""
        return getattr(self._config, name)

    def default(self, name: str) -> Any:
        """Return the value that the setting has unless it is set: the preset's, or else the default."""
        return getattr(self._defaults, name)

    def is_changed(self, name: str) -> bool:
        """Tell whether a setting differs from what preset and defaults give."""
        return name in self._text_errors or self.value(name) != self.default(name)

    def uses(self, name: str) -> bool:
        """Tell whether the chosen engine uses a setting."""
        return KNOBS[name].serves(self._config.engine)

    def set(self, name: str, value: Any) -> None:
        """Set one setting; setting it to its default is the same as `reset`.

        Raises
        ------
        InputError
            The value is not valid.
        """
        others = {other: kept for other, kept in self._settings.items() if other != name}
        errors = {other: sentence for other, sentence in self._text_errors.items() if other != name}
        self._take(others if value == self.default(name) else {**others, name: value}, errors)

    def set_text_error(self, name: str, sentence: str) -> None:
        """Say what is wrong with the text in a field, or with an empty sentence that nothing is any more."""
        errors = {other: kept for other, kept in self._text_errors.items() if other != name}
        self._take(self._settings, {**errors, name: sentence} if sentence else errors)

    def text_error(self, name: str) -> str:
        """Return what is wrong with the text in a field, or nothing."""
        return self._text_errors.get(name, "")

    def reset(self, name: str) -> None:
        """Give a setting its default."""
        self.set(name, self.default(name))

    def reset_all(self) -> None:
        """Give every setting its default."""
        self.load({})

    def load(self, settings: dict[str, Any]) -> None:
        """Take these settings and no other.

        Raises
        ------
        InputError
            One of them is not valid; the draft is as before.
        """
        self._take(fewest_settings(build_config(settings)), {})

    def settings(self) -> dict[str, Any]:
        """Return what was set, also where the chosen engine does not use it."""
        return dict(self._settings)

    def used_settings(self) -> dict[str, Any]:
        """Return what was set that the chosen engine uses."""
        return {name: value for name, value in self._settings.items() if self.uses(name)}

    def config(self) -> Config | None:
        """Return the whole config; None while something is not valid."""
        return None if self._text_errors else self._config

    def set_scan(self, looked: Inspection | None) -> None:
        """Check the settings against this scan from now on."""
        self.looked, self._problems = looked, None
        self.changed.emit()

    def set_further(self, further: tuple[Further, ...]) -> None:
        """Say which scans are trained on beside the open one, and what was found of them."""
        if further != self.further:
            self.further, self._problems = further, None
            self.changed.emit()

    def further_files(self) -> tuple[Path, ...]:
        """Return the files of the scans that are trained on beside the open one."""
        return tuple(one.path for one in self.further)

    def set_folder(self, folder: Folder) -> None:
        """Say what was found of the folder that is named for the run: whether it can be there, how much is free."""
        if folder != self._folder:
            self._folder, self._problems = folder, None
            self.changed.emit()

    def problems(self) -> list[Problem]:
        """Return all that is wrong with settings and scan."""
        if self._problems is None:
            self._problems = self._find_problems()
        return self._problems

    def problems_of(self, name: str) -> list[Problem]:
        """Return what is wrong with one setting, beyond its text."""
        return [problem for problem in self.problems() if problem.field == name and name not in self._text_errors]

    def reason_not_to_start(self) -> str | None:
        """Say why no training can start; None if one can."""
        return next(self._reasons(), None)

    def reason_not_to_submit(self) -> str | None:
        """Say why no run can be handed over, which may have several devices; None if one can."""
        return next((reason for reason in self._reasons() if reason != _ONE_DEVICE), None)

    def _reasons(self) -> Iterator[str]:
        if self.looked is None:
            yield "Open a scan first."
        yield from (problem.message for problem in self.problems() if problem.severity == "error")

    def _take(self, settings: dict[str, Any], errors: dict[str, str]) -> None:
        if (settings, errors) == (self._settings, self._text_errors):
            return
        self._config = build_config(settings)
        self._defaults = defaults_under(self._config)
        # A field that the engine does not use is not shown, so nobody could put its text right.
        errors = {name: sentence for name, sentence in errors.items() if self.uses(name)}
        self._settings, self._text_errors, self._problems = settings, errors, None
        self.changed.emit()

    def _find_problems(self) -> list[Problem]:
        problems = [Problem(name, sentence) for name, sentence in self._text_errors.items()]
        if self.looked is None:
            found = self._config.check()
        else:
            found = check_settings(self._config, self.looked.scan, near=self.looked.near)
        found += check_number(self._config, 1 + len(self.further))
        for one in self.further:
            wrong = (problem for problem in one.problems if problem.severity == "error")
            found += [dataclasses.replace(each, message=f"{one.path.name}: {each.message}") for each in wrong]
        if self._folder is not None and self._folder.problem:
            problems.append(Problem("output_folder", self._folder.problem))
        elif self._folder is not None and self.looked is not None:
            found += check_disk(self._config, self.looked.scan, self._folder.path, self._folder.free)
        problems += [problem for problem in found if problem.field not in self._text_errors]
        for name in ("devices", "num_nodes", "strategy"):
            one = getattr(_PLAIN, name)
            if self.value(name) != one and name not in self._text_errors:
                fix = Fix(f"{name.replace('_', ' ')} {one}", name, one)
                problems.append(Problem(name, _ONE_DEVICE, fixes=(fix,)))
        return problems + list(self.looked.problems if self.looked else ())
