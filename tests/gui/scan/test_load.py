"""Opening a scan in a worker."""

from __future__ import annotations

import numpy as np
import pytest

from ptycho_core.base.events import Cancelled, StopToken
from ptycho_core.inspection.inspection import inspect
from ptycho_core.scan.source import ScanSource
from ptycho_core.scan.steps import Crop, DropDead
from ptycho_gui.kit.jobs.load import count_all, load
from ptycho_gui.kit.threads.worker import Progress, Worker
from tests.helpers import scan_files as files


@pytest.fixture
def run(qtbot):
    """Run a job to its end; return its result, or its failure."""

    def run_job(job):
        worker, told = Worker(job), []
        worker.events.connect(told.append)
        with qtbot.waitSignals([worker.finished]), qtbot.waitSignal(worker.succeeded) as outcome:
            worker.start()
        return outcome.args[0], [event for bundle in told for event in bundle]

    return run_job


def test_loading_reads_preprocesses_and_looks_at_the_scan_and_tells_how_far_it_is(run, tmp_path):
    path = files.write(tmp_path, "cxi")
    looked, events = run(load(ScanSource(path, settings={"orientation": "+y-x"}, steps=(Crop(12), DropDead()))))
    assert looked.scan.size == 12
    assert looked.scan.source.settings == {"orientation": "+y-x"}
    assert [step.name for step in looked.scan.source.steps] == ["crop", "drop_dead"]
    assert len(looked.seen.rows) == files.N_PATTERNS
    assert Progress("looking at the patterns", files.N_PATTERNS, files.N_PATTERNS) in events


def test_a_file_that_is_no_scan_fails_with_a_sentence(qtbot, tmp_path):
    worker = Worker(load(ScanSource(tmp_path / "nothing.h5")))
    with qtbot.waitSignals([worker.finished]), qtbot.waitSignal(worker.failed) as outcome:
        worker.start()
    assert outcome.args[0].sentence == f"{tmp_path / 'nothing.h5'} does not exist"


def test_cancelling_leaves_between_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey._BATCH_BYTES", 1)
    token, told = StopToken(), []

    def emit(event):
        told.append(event)
        if event.stage == "looking at the patterns":
            token.cancel()

    with pytest.raises(Cancelled):
        load(ScanSource(files.write(tmp_path, "cxi")))(emit, token)
    assert told[-1].done == 1


def test_counting_all_completes_what_a_sample_began(run, tiny_scan, monkeypatch):
    monkeypatch.setattr("ptycho_core.scan.survey.LOOK_AT_ALL_BYTES", 0)
    monkeypatch.setattr("ptycho_core.scan.survey.SAMPLE_BYTES", 10 * 32 * 32 * 2)
    looked = inspect(tiny_scan.take(range(60)))
    assert len(looked.seen.rows) == 10
    seen = run(count_all(looked))[0].seen
    np.testing.assert_allclose(seen.sums, tiny_scan.patterns[:].sum(axis=(1, 2)), rtol=1e-6)
