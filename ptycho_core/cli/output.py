"""What commands print: results as JSON on standard output, everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ptycho_core.base.errors import Problem, PtychoError

if TYPE_CHECKING:
    from ptycho_core.base.verdict import Verdict
    from ptycho_core.runs.command_line import Pictured


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
    from ptycho_core.scan.fixes import flag_of  # which knows all settings: not for every start

    flags = " or ".join(flag_of(fix.field, fix.value) for fix in problem.fixes)
    return f"{problem.severity}: {problem.message}" + (f" (put right by {flags})" if flags else "")


def tell_verdict(verdict: Verdict, pictured: Pictured, scan: str = "") -> None:
    """Print what is thought of a picture, why, and the commands that may give a better one, the likeliest first.

    The files that the commands name are written.

    Parameters
    ----------
    verdict
        On the picture.
    pictured
        Where it comes from.
    scan
        Its name, where there are several.
    """
    say(f"verdict{f' on {scan}' if scan else ''}: {verdict.level}")
    for reason in verdict.reasons:
        say(f"  {reason}")
    try:
        commands = _commands(verdict, pictured)
    except PtychoError as error:  # a folder in which nothing may be written, say
        commands = [f"no command can be given: {error}"] * len(verdict.actions)
    for number, (fix, command) in enumerate(zip(verdict.actions, commands, strict=True)):
        say(f"  {'or' if number else 'to do next'}: {fix.label}")
        say(f"    {command}")


def _commands(verdict: Verdict, pictured: Pictured) -> list[str]:
    from ptycho_core.base.atomic import write_json

    if verdict.actions:
        for path, body in pictured.needed_files().items():
            write_json(path, body)
    return [pictured.line_of(fix) for fix in verdict.actions]


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
