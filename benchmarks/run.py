"""Run the benchmarks and print one table: claim, target, measured, met or missed. It judges nothing by its exit code.

Each benchmark is a process of its own. ``make bench`` runs all but those that take very long.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import REAL_SCAN, machine, tell, write_between

HERE = Path(__file__).parent
BENCHMARKS = (
    "against_truth",
    "help_time",
    "window_opens",
    "heartbeat",
    "contract_command",
    "curves_view",
    "pinn_quality",
    "large_scans",
    "loading_share",
    "memory_mapped",
    "near_field",
    "object_view",
    "orientation",
    "scan_views",
    "watching",
)
LONG = ("pinn_presets", "pretrained", "orientation", "huge_scan", "scaling", "soak")
"""Only run when named."""
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the benchmarks and print one table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run [default all but the long ones]")
    parser.add_argument("--list", action="store_true", help="say what each benchmark measures, and run none")
    parser.add_argument("--scan", type=Path, default=REAL_SCAN, help="the real scan [default %(default)s]")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table into this page, between markers")
    args = parser.parse_args()
    for name in args.names:
        if name not in BENCHMARKS + LONG:
            parser.error(f"there is no benchmark {name}; there are {', '.join(BENCHMARKS + LONG)}")
    if args.list:
        for name in BENCHMARKS + LONG:
            print(f"{name:17} {_summary(name)}{' (long: only when named)' if name in LONG else ''}")
        return
    lines = [("Claim", "Target", "Measured", "Verdict")]
    for name in args.names or BENCHMARKS:
        tell(f"--- {name}: {_summary(name)}")
        lines += _lines(name, args.scan.absolute())
    text = f"{machine()}\n\n{_table(lines)}\n"
    print(text)
    if args.markdown:
        write_between(args.markdown, BEGIN, text, END)


def _summary(name: str) -> str:
    return (ast.get_docstring(ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))) or "").splitlines()[0]


def _lines(name: str, scan: Path) -> list[tuple[str, str, str, str]]:
    """Run a benchmark: its name, how long it took and how it measures, then its rows."""
    started = time.monotonic()
    command = [sys.executable, str(HERE / f"{name}.py"), "--scan", str(scan)]
    report: dict[str, Any] = {}
    rows = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in map(json.loads, process.stdout):
            if "claim" in line:
                rows.append(_line(line))
                tell(*filter(None, rows[-1]), sep=" | ")
            else:
                report = line
    how = f": {report['how']}" if "how" in report else ""
    outcome = f"not run: {report['skipped']}" if "skipped" in report else ""
    if process.returncode:
        outcome = "**failed**: what it said is on standard error"
    took = f"{time.monotonic() - started:.0f} s in all"
    return [(f"**{name}** ({took}){how}", "", "", outcome), *rows]


def _line(row: dict[str, Any]) -> tuple[str, str, str, str]:
    claim, measured, limit, unit = row["claim"], row["measured"], row["limit"], row["unit"]
    shown = measured if isinstance(measured, str) else f"{_number(measured)} {unit}".strip()
    if limit is None:
        return claim, "", shown, ""
    by = f"by {100 * abs(measured / limit - 1):.0f} %"
    return claim, f"at most {limit:g} {unit}".strip(), shown, f"met, {by}" if measured <= limit else f"**missed** {by}"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.4g}"


def _table(lines: list[tuple[str, str, str, str]]) -> str:
    ruled = [lines[0], ("---", "---", "---", "---"), *lines[1:]]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in ruled)


if __name__ == "__main__":
    main()
