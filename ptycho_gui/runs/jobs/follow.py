"""Jobs on a run that another process trains: hear of it through its folder, and ask it to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptycho_core.base.events import StopToken
from ptycho_core.runs.follow import Follower, follow
from ptycho_core.runs.record import RunInfo
from ptycho_core.runs.requests import Wish, ask
from ptycho_core.runs.run import log_event
from ptycho_gui.kit.threads.worker import Job, Progress


def follow_job(follower: Follower) -> Job:
    """Tell the events of a run as they come, and as `Progress` that its folder is out of reach. Result: its `RunInfo`.

    A stop or a cancel ends the following, not the run.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> RunInfo:
        for event in follow(follower, token, lambda sentence: emit(Progress(sentence))):
            log_event(event)
            emit(event)
        token.leave_if_cancelled()
        return follower.info

    return job


def ask_job(folder: Path, wish: Wish) -> Job:
    """Ask the process that trains a run to end it. Result: who was asked, in a sentence."""
    return lambda emit, token: ask(folder, wish)
