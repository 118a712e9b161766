"""Tell whether the process that a run directory names is still at work, also after its number was reused."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SILENCE = timedelta(hours=1)
"""A process that cannot be looked at (on another host) counts as gone when nothing was heard of it for so long."""


def batch_job() -> str:
    """Return the number of SLURM's job that this process is part of, as 12_3 in an array; empty where it is in none."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


@dataclass(frozen=True)
class ProcessMark:
    """A process, unmistakably: its number, its host and when it started, in the operating system's own words.

    ``job`` is the number of its batch job, as `batch_job`, where it is in one.
    """

    pid: int
    host: str
    started: str
    job: str = ""

    @classmethod
    def current(cls) -> ProcessMark:
        """Return the mark of this process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> ProcessMark:
        """Return the mark of a process on this host."""
        return cls(pid, platform.node(), _start_mark(pid) or "", batch_job())

    @property
    def left_by_this_job(self) -> bool:
        """Whether this process goes on with the job of that one, which is gone then, also where it cannot be seen."""
        return bool(self.job) and self.job == batch_job() and self != ProcessMark.current()

    @property
    def here(self) -> bool:
        """Whether the process can be looked at: it is or was on this host."""
        return self.host == platform.node() and bool(self.started)

    def alive(self, last_heard: datetime) -> bool:
        """Return whether the process still runs; where that cannot be seen, whether it was heard of lately."""
        if not self.here:
            return datetime.now(UTC) - last_heard < SILENCE
        return _start_mark(self.pid) == self.started


def _start_mark(pid: int) -> str | None:
    """Return when a running process started, or None when there is none (or none that can be seen).

    Not psutil's ``create_time``: it moves when the clock is set, and a live run would look like a dead one.
    """
    if Path("/proc/self/stat").exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        state, ticks_since_boot = fields[0], fields[19]  # proc(5): fields 3 and 22
        return None if state in "ZX" else ticks_since_boot
    try:
        listing = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
    except OSError:
        return None
    state, _, started = listing.stdout.strip().partition(" ")
    return None if state.startswith("Z") else started.strip() or None
