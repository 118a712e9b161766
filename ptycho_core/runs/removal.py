"""What an operator throws away: a checkpoint, or a run. No torch here."""

from __future__ import annotations

from pathlib import Path

from ptycho_core.base.atomic import explain_write_errors
from ptycho_core.base.errors import InputError
from ptycho_core.base.events import CheckpointRemoved
from ptycho_core.runs.record import LOGS, RunInfo, read_run
from ptycho_core.runs.run import OWNED, Run, refuse_alive, set_aside


def remove_checkpoint(path: Path) -> RunInfo:
    """Delete a checkpoint of a run that is over, and strike it from the record.

    The file goes first: whatever happens, the record lists every file that is there.

    Raises
    ------
    InputError
        The run is alive, or has no such checkpoint.
    PtychoError
        The file cannot be deleted, or the record not be written.
    """
    path = path.absolute()
    info = read_run(path.parent.parent)
    refuse_alive(info)
    if path not in [Path(saved.path) for saved in info.checkpoints]:
        raise InputError(f"{path.name} is no checkpoint of the run in {info.folder}")
    with explain_write_errors(path):
        path.unlink(missing_ok=True)
    run = Run(info)
    run.record(CheckpointRemoved(str(path)))
    return run.info


def set_apart(folder: Path) -> Path:
    """Return a folder that holds the run in ``folder`` and nothing else, fit to be moved or deleted as a whole.

    It is ``folder`` itself where nothing else is in it; or else what `set_aside` makes.

    Raises
    ------
    InputError
        There is no run, it is alive, or something is in the way.
    """
    info = read_run(folder)
    refuse_alive(info)
    own = {*OWNED, LOGS}
    inside = {path.name for path in info.folder.iterdir()}
    logs = {path.name for path in info.logs.parent.iterdir()} if LOGS in inside else set()
    if inside <= own and logs <= {info.logs.name}:
        return info.folder
    return set_aside(info.folder) or info.folder
