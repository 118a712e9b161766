"""Errors whose message is one sentence for the operator, and the `Problem` that a check reports.

The command line prints the sentence and exits with ``exit_code``; the window shows it; the log keeps the
traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal


class PtychoError(Exception):
    """A failure that is explained to the operator in one sentence; never shown as a traceback.

    Parameters
    ----------
    sentence
        For the operator.
    fixes
        What would put it right, each a click or a flag away.
    by_command
        The same on the command line, which alone says it: the flags, or another command.
    """

    exit_code = 2

    def __init__(self, sentence: str, fixes: Iterable[Fix] = (), by_command: str = "") -> None:
        super().__init__(sentence)
        self.fixes, self.by_command = tuple(fixes), by_command


class InputError(PtychoError):
    """A file, an argument or a setting that cannot be used: names it and says what would be right."""


class UnknownFormatError(InputError):
    """A file that can be read only by a mapping, which says what in it is what."""


class TrainingError(PtychoError):
    """Training began and failed (divergence, out of memory): says what was saved and what to try."""

    exit_code = 3


@dataclass(frozen=True)
class Fix:
    """One way out of a problem: set ``field`` to ``value``.

    Parameters
    ----------
    label
        What that does, in words.
    field
        A config field; an answer of `scan.settings.SETTINGS`; the flag of a preprocessing step, ``--drop-dead``; or,
        of a verdict, an action of `base.verdict`.
    value
        Of a step, its settings as the flag takes them. None: a number that only the operator knows.
    """

    label: str
    field: str
    value: Any


@dataclass(frozen=True)
class Problem:
    """Something wrong with a scan or a setting.

    Parameters
    ----------
    field
        The config field or the scan's attribute that it concerns.
    message
        One sentence: what is wrong and what would be right.
    severity
        ``"error"`` prevents the run, ``"warning"`` does not.
    fixes
        Values that would put it right, each a click or a flag away.
    """

    field: str
    message: str
    severity: Literal["error", "warning"] = "error"
    fixes: tuple[Fix, ...] = ()


def raise_errors(problems: Iterable[Problem]) -> None:
    """Raise `InputError` with the sentences of all problems of severity "error", if there are any."""
    errors = [p.message for p in problems if p.severity == "error"]
    if errors:
        raise InputError("; ".join(errors))


def sentence_of(error: BaseException) -> str:
    """Return the sentence of an error of ours; of any other its kind and what it says, on one line."""
    if isinstance(error, PtychoError):
        return str(error)
    return " ".join(f"internal error: {type(error).__name__}: {error}".split())


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return the end of a sentence on a name that is not ``known``: the one most like it, or else which there are.

    Parameters
    ----------
    name
        That was given.
    known
        Those that would be right.
    otherwise
        What to say instead of all that are known, where none is like it.
    """
    import difflib  # not for those who make no mistake: it would slow every start

    names = {each.lstrip("-"): each for each in known}  # dashes would make any two flags alike
    near = difflib.get_close_matches(name.lstrip("-"), names, n=1)
    return f"did you mean {names[near[0]]}?" if near else otherwise or f"there are {', '.join(names.values())}"
