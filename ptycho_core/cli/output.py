"""What commands print: results as JSON on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ptycho_core.base.errors import Fix, Problem

if TYPE_CHECKING:
    from ptycho_core.base.verdict import Verdict


def say(text: str) -> None:
    """Print a line for the operator."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """Print a result for a program."""
    import json

    from ptycho_core.base.codec import json_ready

    print(json.dumps(json_ready(value), indent=2, ensure_ascii=False))


def problem_line(problem: Problem) -> str:
    """Return a problem as one line, with the flags that put it right."""
    flags = " or ".join(_flags(problem.fixes))
    return f"{problem.severity}: {problem.message}" + (f" (put right by {flags})" if flags else "")


def _flags(fixes: Iterable[Fix]) -> list[str]:
    from ptycho_core.scan.fixes import flag_of  # which knows all settings: not for every start

    return [flag_of(fix.field, fix.value) for fix in fixes]


def tell_verdict(verdict: Verdict | None, scan: str = "") -> None:
    """Print what is thought of a picture, why, and the flags or commands that may give a better one.

    Parameters
    ----------
    verdict
        None where there is no picture: nothing is printed.
    scan
        Its name, where there are several.
    """
    if verdict is None:
        return
    say(f"verdict{f' on {scan}' if scan else ''}: {verdict.level}")
    for reason in verdict.reasons:
        say(f"  {reason}")
    if verdict.actions:
        what = (f"train with {flag}" if flag.startswith("--") else flag for flag in _flags(verdict.actions))
        say(f"  to do next: {' or '.join(what)}")


def report_problems(problems: Iterable[Problem]) -> bool:
    """Print each problem on a line of its own; return whether one of them prevents the run."""
    listed = list(problems)
    for problem in listed:
        say(problem_line(problem))
    return any(problem.severity == "error" for problem in listed)


def duration(seconds: float) -> str:
    """Return a time as an operator says it: ``8.2 s``, ``2 min 5 s``, ``3 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
