"""The best picture that some minutes allow, on a scan whose truth is known and whose files are not in order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from exact_scans import SMALL_JITTER, make, write
from exact_score import score

from ptycho_core.base.atomic import write_json
from ptycho_core.base.errors import Fix, InputError, TrainingError
from ptycho_core.base.events import PartBegan, RunFinished, Status, StopToken
from ptycho_core.base.verdict import SEARCH_ORIENTATION, Level, Verdict, verdict_in
from ptycho_core.engines.best_picture import best_picture
from ptycho_core.engines.training import train
from ptycho_core.runs.record import RECORD, find_runs, read_run
from ptycho_core.scan.source import ScanSource
from tests.helpers.fits import below, seeded

BLINDED = [5, 6]
"""Patterns in which the shutter stood open too long."""


@pytest.fixture(scope="module")
def exact():
    return make(dataclasses.replace(SMALL_JITTER, seed=seeded(SMALL_JITTER.seed)))


@pytest.fixture(scope="module")
def scan(exact, tmp_path_factory):
    counts = exact.counts.copy()
    counts[BLINDED] *= 40
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    write(path, counts, exact.recorded, exact.guess)
    return path


@pytest.mark.fit
@pytest.mark.usefixtures("quick_endings")
@pytest.mark.timeout(1800)
def test_what_the_verdict_asks_for_is_taken_up_while_there_is_time(scan, exact, tmp_path):
    heard = []
    made = best_picture(ScanSource(scan), tmp_path / "out", minutes=60, accelerator="cpu", events=heard.append)
    assert [fix.field for fix in made.prepared] == ["--drop-bright"]
    first, second, *more = made.fits  # of which one may leave out patterns whose places are beyond mending
    assert (first.config.positions, second.config.positions) == ("check", "refine")
    assert made.run in (second, *more)
    assert verdict_in(made.reconstruction.metrics).level != Level.POOR
    used = np.delete(exact.positions, BLINDED, axis=0)[made.reconstruction.pattern_index]
    below(score(made.reconstruction.object, made.reconstruction.positions_px, exact.object, used).nrmse, 0.06)
    assert (tmp_path / "out" / "reconstruction" / "reconstruction.npz") in made.written.files.values()
    assert {run.folder for run in find_runs(tmp_path / "out")} == {fit.folder for fit in made.fits}
    parts = [event for event in heard if isinstance(event, PartBegan)]
    assert [part.run_dir for part in parts] == ["", *[str(tmp_path / "out")] * len(made.fits), ""]


@pytest.mark.fit
@pytest.mark.usefixtures("quick_endings")
def test_positions_along_other_axes_end_in_a_poor_picture_with_what_to_do_next(exact, tmp_path):
    write(tmp_path / "scan.npz", exact.counts, exact.recorded[:, ::-1] * [1, -1], exact.guess)
    made = best_picture(ScanSource(tmp_path / "scan.npz"), tmp_path / "out", minutes=60, accelerator="cpu")
    assert made.run.status == Status.FAILED
    verdict = verdict_in(made.reconstruction.metrics)
    assert verdict.level == Level.POOR
    assert SEARCH_ORIENTATION in [action.field for action in verdict.actions]


def test_there_is_a_picture_after_a_stop_and_no_other_fit_is_begun(scan, tmp_path):
    token = StopToken()

    def stop_at_the_end_of_the_first_epoch(event):
        if type(event).__name__ == "EpochDone":
            token.stop()

    stopping = {"events": stop_at_the_end_of_the_first_epoch, "stop": token}
    made = best_picture(ScanSource(scan), tmp_path / "out", minutes=60, accelerator="cpu", **stopping)
    (only,) = made.fits
    assert (only.status, only.epochs_done) == ("stopped", 1)
    assert np.isfinite(made.reconstruction.object).all()
    assert "final_pass" not in made.reconstruction.metrics


def test_a_fit_that_runs_out_of_time_leaves_its_best_state(scan, tmp_path, monkeypatch):
    monkeypatch.setattr("ptycho_core.engines.best_picture.LEAST_MINUTES", 0)
    heard = []
    made = best_picture(ScanSource(scan), tmp_path / "out", minutes=1e-3, accelerator="cpu", events=heard.append)
    (end,) = (event for event in heard if isinstance(event, RunFinished))
    assert (end.status, end.reason) == ("stopped", "the time is over")
    assert np.isfinite(made.reconstruction.object).all()


def test_a_fit_ends_and_what_can_be_left_out_is_where_by_its_pace_only_the_picture_ends_in_time(
    scan, tmp_path, monkeypatch
):
    known = lambda pace, epochs: 3600.0 * bool(pace._took)  # noqa: E731  of the hour, once an epoch was measured
    monkeypatch.setattr("ptycho_core.engines.best_picture.Pace.end_s", known)
    made = best_picture(ScanSource(scan), tmp_path / "out", minutes=60, accelerator="cpu")
    (only,) = made.fits
    assert (only.status, only.reason) == ("stopped", "the time is over")
    assert only.epochs_done <= 2
    assert only.checks == {}
    metrics = made.reconstruction.metrics
    assert metrics["half_scans_reason"] == "there was no time for it"
    assert metrics["final_pass"] == "left out: there was no time for it"
    assert np.isfinite(made.reconstruction.object).all()


def test_another_fit_that_cannot_be_made_leaves_the_picture_of_the_one_before(scan, tmp_path, monkeypatch):
    begun = []

    def train_shortly(config, *arguments, **more):
        begun.append(config)
        if len(begun) > 1:
            raise InputError("the disk has no room for it")
        return train(config.replace(max_epochs=2, probe_search=False), *arguments, **more)

    monkeypatch.setattr("ptycho_core.engines.best_picture.train", train_shortly)
    monkeypatch.setattr("ptycho_core.engines.best_picture._asked_for", lambda runs: [Fix("more", "probe_modes", 2)])
    made = best_picture(ScanSource(scan), tmp_path / "out", minutes=60, accelerator="cpu")
    assert [config.probe_modes for config in begun] == [1, 2]
    assert made.run.folder == tmp_path / "out"
    assert np.isfinite(made.reconstruction.object).all()


def test_less_time_than_anything_takes_is_refused(scan, tmp_path):
    with pytest.raises(InputError, match=r"takes 0\.5 minutes at least"):
        best_picture(ScanSource(scan), tmp_path / "out", minutes=0.1)
    assert not (tmp_path / "out").exists()


def test_after_a_fit_that_failed_on_a_beam_that_was_found_the_scans_own_is_taken_up(scan, tmp_path, monkeypatch):
    begun = []

    def train_in_vain(config, source, folder, **more):
        begun.append(config)
        if len(begun) > 1:
            return train(config.replace(max_epochs=2), source, folder, **more)
        train(config.replace(max_epochs=2, probe_search=False), source, folder, **more)
        verdict = Verdict(
            Level.POOR, ("nothing fits",), (Fix("start from the scan's own beam", "probe_search", False),)
        )
        failed = dataclasses.replace(read_run(folder), status=Status.FAILED, config=config, verdict=verdict)
        write_json(folder / RECORD, failed.to_dict())
        raise TrainingError("no picture came of it")

    monkeypatch.setattr("ptycho_core.engines.best_picture.train", train_in_vain)
    monkeypatch.setattr("ptycho_core.engines.best_picture.MOST_FITS", 2)
    made = best_picture(ScanSource(scan), tmp_path / "out", minutes=60, accelerator="cpu")
    assert [config.probe_search for config in begun] == [True, False]
    assert [fit.status for fit in made.fits] == [Status.FAILED, Status.FINISHED]
