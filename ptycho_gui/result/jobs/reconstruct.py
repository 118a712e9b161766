"""Jobs that reconstruct: each is one call of the core's `reconstruct` per checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.errors import Problem
from ptycho_core.base.events import StopToken, of_scan
from ptycho_core.runs.previews import kept_previews
from ptycho_core.runs.record import read_run
from ptycho_core.runs.results import picture_of, read_newest
from ptycho_core.scan.reconstruction import Reconstruction
from ptycho_core.scan.scan import Scan
from ptycho_gui.kit.threads.torch_threads import leave_one_core_to_the_window
from ptycho_gui.kit.threads.worker import Job, Progress


@dataclass(frozen=True, eq=False)
class Reconstructed:
    """A reconstruction that was made and written.

    Parameters
    ----------
    reconstruction
        It.
    checkpoint
        That it was made with.
    folder
        In whose ``reconstruction`` it was written.
    files
        By name.
    earlier
        Where the reconstruction is now that was there before, if there was one.
    """

    reconstruction: Reconstruction
    checkpoint: Path
    folder: Path
    files: dict[str, Path]
    earlier: Path | None

    @property
    def free_misfit(self) -> float | None:
        """Misfit of free patterns by the checkpoint, as in the record: None for another scan."""
        told = self.reconstruction.metrics
        return told["free_misfit"] if told["same_scan"] else None


def compare_with_training_job(read: Callable[[], Scan], checkpoint: Path) -> Job:
    """See in what a scan differs from that of a checkpoint's training. Result: list of `Problem`."""

    def job(emit: Callable[[Any], None], token: StopToken) -> list[Problem]:
        emit(Progress("comparing the scan with that of the training"))
        scan = read()
        token.leave_if_cancelled()
        leave_one_core_to_the_window()
        from ptycho_core.engines.checkpoints import check_checkpoint, load_checkpoint

        return check_checkpoint(load_checkpoint(checkpoint), scan)

    return job


@dataclass(frozen=True)
class Wanted:
    """A scan to reconstruct: what gives it, in the worker's thread, and the folder of the results, which may be new.

    ``place`` is that among the scans of the run that is shown, None for a scan of none.
    """

    read: Callable[[], Scan]
    folder: Path
    place: int | None = None


def reconstruct_job(
    scans: Sequence[Wanted], checkpoint: Path, *, polish_epochs: int | None = None, accelerator: str = "auto"
) -> Job:
    """Reconstruct scans one after another and write the results.

    A stop ends polishing early, keeps what it found and begins no other scan; a cancel keeps nothing of the present
    one. Tells each `Reconstructed`. Result: how many there are.

    Parameters
    ----------
    scans
        One at least.
    checkpoint, polish_epochs, accelerator
        As for the core's `reconstruct`.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> int:
        done = 0
        for one in scans:
            if done and token.stop_requested:
                break
            emit(Progress("reading the scan"))
            scan = one.read()
            emit(Progress("loading the reconstruction software"))
            leave_one_core_to_the_window()
            from ptycho_core.engines.reconstruct import reconstruct, write_results

            with kept_previews(one.folder, of_scan(one.place, emit)) as events:
                found = reconstruct(
                    scan, checkpoint, polish_epochs=polish_epochs, accelerator=accelerator, events=events, stop=token
                )
            token.leave_if_cancelled()
            emit(Progress("writing the results"))
            written = write_results(found, one.folder)
            emit(Reconstructed(found, checkpoint, one.folder, written.files, written.earlier))
            done += 1
        return done

    return job


def read_picture(folder: Path, place: int) -> Job:
    """Read what another process made of a run's scan at a place, after its end.

    Result: `Reconstructed`, or None where it made nothing.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> Reconstructed | None:
        info = read_run(folder)
        pictured = info.folder_of_scan(place)
        if (made := picture_of(info, place)) is None or (found := read_newest(pictured)) is None:
            return None
        checkpoint = Path(os.path.normpath(pictured / str(made.metrics["checkpoint"])))
        return Reconstructed(found, checkpoint, pictured, {}, None)

    return job


def compare_job(read: Callable[[], Scan], checkpoints: tuple[tuple[str, Path], ...], accelerator: str = "auto") -> Job:
    """Reconstruct with checkpoints, each with what it is called, to look at; nothing is written.

    Result: pairs of what the checkpoint is called and the `Reconstruction`.
    """

    def job(emit: Callable[[Any], None], token: StopToken) -> tuple[tuple[str, Reconstruction], ...]:
        emit(Progress("reading the scan"))
        scan = read()
        emit(Progress("loading the reconstruction software"))
        leave_one_core_to_the_window()
        from ptycho_core.engines.reconstruct import reconstruct

        found = []
        for name, checkpoint in checkpoints:
            token.leave_if_cancelled()
            made = reconstruct(scan, checkpoint, halves=False, final_pass=False, accelerator=accelerator, events=emit)
            found.append((name, made))
        return tuple(found)

    return job
