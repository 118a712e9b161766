"""The one place that says how many threads torch may use beside the window."""

from __future__ import annotations

import os


def leave_one_core_to_the_window() -> None:
    """Have torch use one core less than there are, so that the window's thread finds one free.

    Call it in a job, before the core computes. Fewer threads, if the environment says so, stay as they are.
    """
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores - 1)))
