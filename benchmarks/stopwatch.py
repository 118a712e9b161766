"""Run a command of ours, and tell how long its fit takes, apart from imports, reading and export.

``python benchmarks/stopwatch.py TOLD.json train ...`` does what ``ptycho train ...`` does, and writes how many seconds,
by the clock and of the processor, `train` or `reconstruct` took: its scores are in that.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the entry points do, before torch is imported

from ptycho_core import cli
from ptycho_core.engines import reconstruct, training

taken = {"seconds": 0.0, "cpu_seconds": 0.0}


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that adds what it takes to `taken`."""

    @functools.wraps(function)
    def runs(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter(), time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            taken["seconds"] += time.perf_counter() - began[0]
            taken["cpu_seconds"] += time.process_time() - began[1]

    return runs


if __name__ == "__main__":
    told, *words = sys.argv[1:]
    training.train, reconstruct.reconstruct = timed(training.train), timed(reconstruct.reconstruct)
    status = cli.main(words)
    Path(told).write_text(json.dumps(taken), encoding="utf-8")
    sys.exit(status)
