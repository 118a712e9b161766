"""The session trains for real: finish, stop, cancel, fail, resume, queue; each run ends once and the next one works."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ptycho_core.base.errors import PtychoError
from ptycho_core.base.events import CheckpointSaved, EpochDone, PreviewReady, RunFinished, Stage, StageChanged
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.runs.previews import read_previews
from ptycho_core.runs.queue import QueuedRun
from ptycho_core.runs.record import read_run
from ptycho_core.scan.source import ScanSource
from ptycho_gui.runs.queue import COLUMNS
from ptycho_gui.window.session import Session
from tests.helpers.training_runs import DIRECT, LONG, SCAN

pytestmark = pytest.mark.usefixtures("quick_endings")


class Driven:
    """A session, what it has told, and an operator's patience."""

    def __init__(self, qtbot, folder):
        self.qtbot, self.folder = qtbot, folder
        self.session = Session()
        self.events, self.messages, self.shown = [], [], []
        self.session.shown.heard.connect(self.events.extend)
        self.session.message.connect(lambda severity, text: self.messages.append((severity, text)))
        self.session.shown.run_shown.connect(self.shown.append)

    def open(self, path):
        with self.qtbot.waitSignal(self.session.loader.opened):
            self.session.loader.open(ScanSource(path))
        return self

    def until_idle(self, begin, *arguments):
        with self.qtbot.waitSignal(self.session.idle):
            begin(*arguments)
        return self

    def begin(self, name="run", **settings):
        self.session.draft.load({**DIRECT, **settings})
        self.session.start(self.folder / name)
        return self

    def wait_for(self, kind):
        self.qtbot.waitUntil(lambda: any(isinstance(event, kind) for event in self.events))

    def ends(self):
        return [(event.status, event.reason) for event in self.events if isinstance(event, RunFinished)]

    def status(self, name="run"):
        return read_run(self.folder / name).status


@pytest.fixture
def driven(qtbot, tmp_path, scan_path):
    driven = Driven(qtbot, tmp_path).open(scan_path)
    yield driven
    driven.session.shut_down()


def test_a_run_finishes_and_its_best_checkpoint_is_reconstructed_at_once(driven):
    made = []
    driven.session.shown.reconstructed.connect(made.append)
    driven.until_idle(lambda: driven.begin(engine="pinn"))
    assert driven.ends() == [("finished", "all 3 epochs are done")]
    assert driven.status() == "finished"
    assert sum(isinstance(event, EpochDone) for event in driven.events) == 3
    (reconstructed,) = made
    assert reconstructed.checkpoint == driven.session.shown.run.history.best_checkpoint
    assert driven.session.shown.reconstruction is reconstructed.reconstruction
    assert (driven.folder / "run/reconstruction/product.h5").is_file()


def test_the_record_names_the_command_that_does_the_same(driven, scan_path):
    driven.until_idle(driven.begin)
    command = read_run(driven.folder / "run").command
    assert command.startswith(f"ptycho train --train_data_file {scan_path}")
    assert "--max_epochs 3" in command


def test_previews_reach_the_window_and_are_kept_to_the_last_of_the_final_pass(driven):
    driven.until_idle(lambda: driven.begin(preview_seconds=0.001))
    previews = [event for event in driven.events if isinstance(event, PreviewReady)]
    assert previews
    assert previews[0].object.ndim == 2
    stages = [each.stage for each in read_previews(driven.folder / "run")]
    assert Stage.TRAINING in stages
    assert stages[-1] == Stage.FINAL_PASS


def test_a_stop_keeps_what_there_is(driven):
    driven.begin(**LONG)
    driven.wait_for(EpochDone)
    driven.until_idle(driven.session.stop)
    assert driven.ends() == [("stopped", "stopped by the operator")]
    assert (driven.folder / "run/checkpoints/last.ckpt").is_file()


def test_a_stop_before_the_first_batch_is_obeyed(driven):
    driven.begin(**LONG)
    driven.until_idle(driven.session.stop)
    assert [status for status, _ in driven.ends()] == ["stopped"]


def test_a_cancel_during_validation_ends_the_run_at_once(driven):
    def cancel(events):
        if any(isinstance(event, StageChanged) and event.stage == "validating" for event in events):
            driven.session.cancel()

    driven.session.shown.heard.connect(cancel)
    driven.until_idle(lambda: driven.begin(**LONG))
    assert driven.ends() == [("cancelled", "cancelled by the operator")]
    assert driven.status() == "cancelled"


def test_a_stopped_run_is_resumed_to_its_end(driven):
    driven.begin(**LONG)
    driven.wait_for(CheckpointSaved)
    driven.until_idle(driven.session.stop)
    done = read_run(driven.folder / "run").epochs_done
    driven.session.draft.set("max_epochs", done + 2)
    driven.events.clear()
    driven.until_idle(driven.session.resume)
    assert driven.ends() == [("finished", f"all {done + 2} epochs are done")]
    assert [event.epoch for event in driven.events if isinstance(event, EpochDone)] == [done + 1, done + 2]
    assert len(driven.session.shown.run.history.epochs) == done + 2


def stopped_run(driven, name="run"):
    driven.begin(name, **LONG)
    driven.wait_for(CheckpointSaved)
    driven.until_idle(driven.session.stop)
    return driven.folder / name


def test_a_run_that_cannot_be_opened_to_be_resumed_leaves_the_next_one_that_is_opened_alone(driven):
    stopped = stopped_run(driven)
    driven.session.resume_run(driven.folder / "gone")
    driven.qtbot.waitUntil(lambda: bool(driven.messages) and driven.messages[-1][0] == "error")
    with driven.qtbot.waitSignal(driven.session.shown.run_opened):
        driven.session.open_run(stopped)
    assert driven.session.why_not_resume() is None
    assert not driven.session.busy
    assert driven.status() == "stopped"


def test_a_run_that_was_to_be_resumed_while_another_one_trained_is_only_opened_afterwards(driven):
    stopped = stopped_run(driven)
    driven.events.clear()
    driven.begin("other", **LONG)
    driven.session.resume_run(stopped)
    assert driven.messages[-1] == ("warning", "Another run can be opened when nothing runs any more.")
    driven.wait_for(EpochDone)
    driven.until_idle(driven.session.stop)
    with driven.qtbot.waitSignal(driven.session.shown.run_opened):
        driven.session.open_run(stopped)
    assert not driven.session.busy


def test_a_run_of_the_list_is_opened_and_goes_on(driven):
    stopped = stopped_run(driven)
    driven.events.clear()
    driven.session.resume_run(stopped)
    driven.wait_for(EpochDone)
    driven.until_idle(driven.session.stop)
    assert driven.session.shown.run.folder == stopped


def test_a_run_that_was_opened_to_be_resumed_and_cannot_go_on_says_why(driven):
    driven.until_idle(driven.begin)
    with driven.qtbot.waitSignal(driven.session.shown.run_opened):
        driven.session.resume_run(driven.folder / "run")
    assert driven.messages[-1][0] == "warning"
    assert driven.messages[-1][1].startswith("All 3 epochs are done")


def test_a_resumption_that_is_refused_says_why_and_changes_nothing(driven):
    driven.until_idle(driven.begin)
    driven.session.draft.set("learning_rate", 0.5)
    driven.session.draft.set("max_epochs", 5)
    driven.until_idle(driven.session.resume)
    driven.qtbot.waitUntil(lambda: driven.session.shown.run.history.status == "finished")
    assert "learning_rate cannot change when a run is resumed" in driven.messages[-1][1]
    assert driven.status() == "finished"


def test_a_loss_that_is_not_a_number_fails_with_what_to_try_and_the_next_run_works(driven, monkeypatch):
    whole = PinnModel.training_step

    def diverging(model, batch, batch_idx):
        return whole(model, batch, batch_idx) * math.nan

    with monkeypatch.context() as patched:
        patched.setattr(PinnModel, "training_step", diverging)
        driven.until_idle(lambda: driven.begin(engine="pinn"))
    assert driven.status() == "failed"
    assert driven.session.shown.run.history.status == "failed"
    (message,) = driven.messages
    assert message[0] == "error"
    assert "try a smaller learning rate" in message[1]
    driven.until_idle(lambda: driven.begin("next"))
    assert driven.status("next") == "finished"


def test_a_run_that_cannot_begin_says_why_and_the_next_one_works(driven):
    (driven.folder / "file").write_text("in the way")
    driven.until_idle(lambda: driven.begin("file"))
    assert driven.messages[0][0] == "error"
    assert not driven.session.training
    driven.until_idle(lambda: driven.begin("next"))
    assert driven.status("next") == "finished"


def test_a_scan_that_vanished_fails_its_run_in_the_queue_and_the_rest_is_done(driven, scan_path, tmp_path):
    queue = driven.session.queue
    queue.add(QueuedRun(ScanSource(tmp_path / "gone.npz"), DIRECT, tmp_path / "first"))
    queue.add(QueuedRun(ScanSource(scan_path), DIRECT, tmp_path / "second"))
    driven.until_idle(driven.session.start_queue)
    assert [queue.state(row) for row in range(2)] == ["failed", "done"]
    assert driven.status("second") == "finished"


def test_a_run_of_the_queue_that_is_trained_and_cannot_be_reconstructed_has_failed(
    driven, scan_path, tmp_path, monkeypatch
):
    def fail(*arguments, **settings):
        raise PtychoError("the disk is full")

    queue = driven.session.queue
    for name in ("first", "second"):
        queue.add(QueuedRun(ScanSource(scan_path), DIRECT, tmp_path / name))
    monkeypatch.setattr("ptycho_core.engines.reconstruct.write_results", fail)
    driven.until_idle(driven.session.start_queue)
    assert [queue.state(row) for row in range(2)] == ["failed", "failed"]
    remark = queue.data(queue.index(0, COLUMNS.index("Remark")))
    assert remark == "trained, but not reconstructed: the disk is full"
    assert driven.status("first") == driven.status("second") == "finished"


def test_a_stop_lets_the_rest_of_the_queue_wait_also_when_a_run_is_begun_by_hand(driven, scan_path, tmp_path):
    queue = driven.session.queue
    for name in ("first", "second"):
        queue.add(QueuedRun(ScanSource(scan_path), LONG, tmp_path / name))
    driven.session.start_queue()
    driven.wait_for(EpochDone)
    driven.until_idle(driven.session.stop)
    assert [queue.state(row) for row in range(2)] == ["done", "waiting"]
    driven.until_idle(lambda: driven.begin("by hand"))
    assert [queue.state(row) for row in range(2)] == ["done", "waiting"]


def test_a_run_is_shown_from_its_directory_alone(driven, scan_path):
    driven.until_idle(driven.begin)
    fresh, opened = Session(), []
    fresh.shown.run_opened.connect(opened.append)
    with driven.qtbot.waitSignals([fresh.shown.run_opened, fresh.loader.opened]):
        fresh.open_run(driven.folder / "run")
    assert fresh.loader.source.path == scan_path
    assert fresh.draft.value("max_epochs") == 3
    np.testing.assert_array_equal(fresh.shown.reconstruction.object, driven.session.shown.reconstruction.object)
    mine, theirs = fresh.shown.run.history.epochs, driven.session.shown.run.history.epochs
    np.testing.assert_allclose(mine["poisson_val_loss"], theirs["poisson_val_loss"])
    assert opened[0].free_misfit
    fresh.shut_down()


def test_an_opened_run_whose_scan_is_gone_says_so_and_still_shows(driven, tmp_path):
    elsewhere = write_scan(SCAN, tmp_path / "moving.npz", "ptychopinn")
    driven.open(elsewhere).until_idle(driven.begin)
    elsewhere.unlink()
    fresh = Session()
    with driven.qtbot.waitSignals([fresh.shown.run_opened, fresh.loader.failed]):
        fresh.open_run(driven.folder / "run")
    assert fresh.shown.run.info.status == "finished"
    fresh.shut_down()


def test_two_checkpoints_are_compared(driven):
    driven.until_idle(driven.begin)
    first, second = (Path(saved.path) for saved in driven.session.shown.run.history.checkpoints[:2])
    with driven.qtbot.waitSignal(driven.session.compared) as told:
        driven.session.compare(first, second)
    (_, one), (_, other) = told.args
    assert one.object.shape == other.object.shape


def test_closing_in_the_middle_leaves_a_run_that_can_be_resumed(driven):
    driven.begin(**LONG)
    driven.wait_for(CheckpointSaved)
    driven.session.shut_down()
    info = read_run(driven.folder / "run")
    assert info.status == "cancelled"
    assert info.last_checkpoint.is_file()


def test_starting_is_refused_with_the_reason(driven):
    driven.session.draft.load({"gridsize": 3, "neighbor_count": 4})
    assert driven.session.draft.reason_not_to_start().startswith("gridsize 3 groups 9 patterns")
    driven.session.start(driven.folder / "run")
    assert not driven.session.busy


def test_a_bad_scan_leaves_the_one_before_open(driven, tmp_path, scan_path):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"not a scan")
    with driven.qtbot.waitSignal(driven.session.loader.failed) as told:
        driven.session.loader.open(ScanSource(bad))
    assert str(bad) in told.args[0]
    assert driven.session.loader.source.path == scan_path


def test_what_the_file_leaves_open_can_be_answered(driven):
    with driven.qtbot.waitSignal(driven.session.loader.opened):
        driven.session.loader.answer("data", "amplitude")
    assert driven.session.loader.looked.scan.source.settings == {"data": "amplitude"}
    assert driven.session.draft.looked is driven.session.loader.looked
