"""How long tests wait for other threads and processes: as long as a slow machine takes that does much else."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 300.0
"""What never happens is told late; what happens late is no fault."""


def wait_until(true: Callable[[], object], what: str = "what is waited for", within_s: float = PATIENCE_S) -> None:
    """Ask again and again, ever more seldom, until something is true; TimeoutError says what did not happen."""
    until, pause = time.monotonic() + within_s, 0.01
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(pause)
        pause = min(1.25 * pause, 0.5)  # looking keeps from what is waited for
