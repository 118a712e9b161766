"""Runs as jobs of a real SLURM of one node, which the test starts."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from ptycho_core.runs.job import job_state, read_job
from ptycho_core.runs.listing import find_listed
from ptycho_core.runs.queue import Queue, QueuedRun
from ptycho_core.runs.record import read_run
from ptycho_core.scan.source import ScanSource
from tests.helpers.commands import call
from tests.helpers.patience import wait_until
from tests.helpers.slurm import Slurm, why_no_slurm

SMALL = (
    "--train_data_file scan.npz --model-width 2 --warm-start-epochs 0 --batch-size 4 --n-groups 16 --accelerator cpu "
    "--preview-seconds 0 --scheduler constant --physics-schedule off --no-probe-search --early-stop-patience 0"
)

SETTINGS = {
    "model_width": 2,
    "warm_start_epochs": 0,
    "batch_size": 4,
    "n_groups": 16,
    "accelerator": "cpu",
    "preview_seconds": 0.0,
    "scheduler": "constant",
    "physics_schedule": "off",
    "probe_search": False,
    "early_stop_patience": 0,
}

why = why_no_slurm()
pytestmark = [
    pytest.mark.skipif(bool(why), reason=why),
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("one batch system"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        if said := slurm.start():
            pytest.skip(f"SLURM cannot be started here: {said}")
        yield slurm
    finally:
        slurm.close()


@pytest.fixture
def site(here, slurm, monkeypatch):
    """Write a site file."""
    for name, value in {**slurm.environment, "XDG_CONFIG_HOME": str(here)}.items():
        monkeypatch.setenv(name, value)
    (here / "ptycho").mkdir()

    def write(*options):
        (here / "ptycho/site.toml").write_text(f"cpus = 1\noptions = {json.dumps(options)}\n")

    write()
    return write


def epochs(folder):
    return read_run(folder).epochs_done if (folder / "run.json").exists() else 0


def test_a_job_is_followed_to_its_end(here, site, capfd):
    assert call(f"submit {SMALL} --output_dir 'o ut' --max-epochs 2") == 0
    job = read_job(here / "o ut")
    assert f"submitted as job {job.id}, which prints into " in capfd.readouterr().err
    assert call("follow 'o ut' --json") == 0
    shown = capfd.readouterr()
    told = json.loads(shown.out)
    assert (told["status"], Path(told["picture"]).name) == ("finished", "reconstruction")
    assert "epoch 2/2" in shown.err
    assert "finished: all 2 epochs are done" in (here / f"o ut/job/job-{job.id}.log").read_text()
    assert read_run(here / "o ut").process.job == job.id


def test_what_slurm_refuses_and_what_it_holds(here, site, capfd):
    site("--partition=nowhere")
    assert call(f"submit {SMALL} --output_dir out") == 2
    assert "error: sbatch refuses: " in (said := capfd.readouterr().err)
    assert "invalid partition specified: nowhere" in said
    assert read_job(here / "out") is None
    site("--hold")
    assert call(f"submit {SMALL} --output_dir out") == 0
    job = read_job(here / "out")
    assert job_state(job).word == "PENDING"
    assert call("stop out") == 0
    assert f"job {job.id} was taken back" in capfd.readouterr().err
    assert call("follow out") == 2
    assert f"job {job.id} has ended before its run began: CANCELLED" in capfd.readouterr().err


def test_a_job_that_is_preempted_resumes_and_is_stopped_through_its_folder(here, site, slurm, capfd):
    assert call(f"submit {SMALL} --output_dir out --max-epochs 3000") == 0
    job = read_job(here / "out")
    wait_until(lambda: epochs(here / "out") > 0)
    slurm.call("sbatch", "--partition=urgent", "--exclusive", "--wrap=true", f"--output={here / 'urgent.log'}")
    wait_until(lambda: read_run(here / "out").status != "running")
    wait_until(lambda: job_state(job).word == "PENDING")
    before = read_run(here / "out").epochs_done

    def went_on():  # SLURM lets a job wait for two minutes, which begin only once its processes are gone
        slurm.call("scontrol", "update", f"jobid={job.id}", "StartTime=now")
        time.sleep(5)  # asked more often, SLURM puts the start off each time
        return epochs(here / "out") > before

    wait_until(went_on)
    assert len(read_run(here / "out").resumed) == 1
    assert call("stop out") == 0
    assert call("follow out --quiet") == 0
    assert read_run(here / "out").reason.startswith("stopped by the operator on ")


def test_a_queue_is_one_array_and_each_of_its_runs_ends_in_its_own_status(here, site, slurm, capfd):
    queue = Queue(here / "queue.json")
    for name, scan, epochs_asked in (("good", "scan.npz", 2), ("gone", "gone.npz", 2), ("killed", "scan.npz", 30000)):
        queue.add(QueuedRun(ScanSource(here / scan), SETTINGS | {"max_epochs": epochs_asked}, here / name))
    assert call("queue submit --file queue.json") == 0
    number = read_job(here / "good").id.removesuffix("_0")
    assert [entry.reason for entry in Queue(queue.path).entries] == [f"job {number}_{task}" for task in range(3)]
    wait_until(lambda: epochs(here / "killed") > 0)
    os.kill(read_run(here / "killed").process.pid, signal.SIGKILL)  # as SLURM does with who does not heed its limit
    assert call("follow killed --quiet") == 3
    assert call("follow gone") == 2
    assert f"job {number}_1 has ended before its run began: FAILED" in capfd.readouterr().err
    assert call("follow good --json") == 0
    assert json.loads(capfd.readouterr().out)["picture"]
    found = {each.folder.name: each.status for each in find_listed(here)}
    assert found == {"good": "finished", "gone": "failed", "killed": "interrupted"}
    assert read_run(here / "good").process.job == f"{number}_0"


def test_a_job_that_slurm_asks_to_end_as_before_its_time_limit_stops_in_good_order(here, site, slurm):
    assert call(f"submit {SMALL} --output_dir out --max-epochs 30000") == 0
    wait_until(lambda: epochs(here / "out") > 0)
    slurm.call("scancel", "--signal=TERM", read_job(here / "out").id)
    assert call("follow out --quiet") == 0
    info = read_run(here / "out")
    assert (info.status, info.reason) == ("stopped", "stopped by SIGTERM")
    assert info.last_checkpoint.exists()
