"""Runs as jobs: site files, scripts that resume, and jobs without a batch system; SLURM's in tests/end_to_end."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys

import pytest

from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import StopToken
from ptycho_core.engines.training import train
from ptycho_core.runs.command_line import submitted_script
from ptycho_core.runs.follow import wait_for_run
from ptycho_core.runs.job import Job, job_state, log_of, read_job, refuse_job, submit, waits
from ptycho_core.runs.record import read_run
from ptycho_core.runs.requests import Wish, ask
from ptycho_core.runs.site import Site, read_site
from tests.helpers.patience import wait_until
from tests.helpers.run_folders import COMMAND, finished_run, start
from tests.helpers.training_runs import SCAN as TRAINED_SCAN

HERE = Site(command=("bash",), program="sleep 60 #")


@pytest.fixture
def ended():
    """Jobs that the test leaves are killed."""
    jobs: list[Job] = []
    yield jobs
    for job in jobs:
        if job.process.alive(job.submitted):
            os.killpg(job.process.pid, 9)
        os.waitpid(job.process.pid, 0)


def test_the_users_site_file_counts_before_the_systems(tmp_path):
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "own"), "XDG_CONFIG_DIRS": str(tmp_path / "all"), "PATH": ""}
    assert read_site(environment) == Site(command=("bash",))
    for name in ("all", "own"):
        (tmp_path / name / "ptycho").mkdir(parents=True)
        text = f'partition = "{name}"\nmodules = ["cuda/12"]\n[environment]\nNCCL_DEBUG = "WARN"\n'
        (tmp_path / name / "ptycho" / "site.toml").write_text(text)
        site = read_site(environment)
        assert (site.partition, site.modules, site.environment) == (name, ("cuda/12",), {"NCCL_DEBUG": "WARN"})
        assert site.slurm


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('patition = "gpu"', "did you mean partition"),
        ("partition = ", "is not TOML"),
        ("command = []", "names no command"),
        ("time_minutes = 1.5", "whole number"),
    ],
)
def test_a_site_file_that_is_wrong_is_told_in_a_sentence(tmp_path, text, said):
    (tmp_path / "ptycho").mkdir()
    (tmp_path / "ptycho" / "site.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_site({"XDG_CONFIG_HOME": str(tmp_path)})


def test_without_a_site_file_slurm_is_taken_where_it_is(tmp_path):
    (tmp_path / "sbatch").touch(mode=0o755)
    assert read_site({"XDG_CONFIG_HOME": str(tmp_path), "PATH": str(tmp_path)}) == Site()


def test_a_script_says_what_the_site_asks_for_and_resumes_what_has_begun(tmp_path):
    folder = tmp_path / "out put"
    site = Site(
        options=("--account=x",),
        partition="gpu",
        time_minutes=90,
        memory_gb=64.0,
        cpus=2,
        modules=("cuda/12",),
        environment={"A": "b c"},
        setup=("umask 007",),
        program="echo ran",
    )
    script = submitted_script(COMMAND, Config(devices=1), site, folder)
    for line in ("--partition=gpu", "--time=90", "--mem=64000M", "--cpus-per-task=2", "--account=x", "--requeue"):
        assert f"#SBATCH {line}\n" in script
    shell = 'module() { echo "module $@"; }; srun() { "$@"; }\n'
    first = subprocess.run(["bash", "-c", shell + script], capture_output=True, text=True).stdout
    assert first.splitlines() == ["module load cuda/12", f"ran{COMMAND.removeprefix('ptycho')}"]
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    again = subprocess.run(["bash", "-c", shell + script], capture_output=True, text=True).stdout
    assert again.splitlines() == ["module load cuda/12", f"ran train --resume {folder}"]


def test_a_job_that_goes_on_with_a_run_does_so_with_what_is_to_change(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    command = f"ptycho train --resume={tmp_path} --max_epochs=100"
    script = submitted_script(command, Config(), Site(command=("bash",), program="echo"), tmp_path, resumes=True)
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout
    assert told == f"train --resume={tmp_path} --max_epochs=100\n"


def test_a_job_of_this_machine_waits_and_can_be_taken_back(tmp_path, ended):
    finished_run(tmp_path / "out")
    job = submit(tmp_path / "out", COMMAND, Config(), HERE)
    ended.append(job)
    assert (tmp_path / "out/previous/version_0/run.json").exists()
    assert read_job(tmp_path / "out") == waits(tmp_path / "out") == job
    assert job_state(job).word == "RUNNING"
    with pytest.raises(InputError, match="is RUNNING: stop it, or take another folder"):
        submit(tmp_path / "out", COMMAND, Config(), HERE)
    assert ask(tmp_path / "out", Wish.STOP) == f"job {job.id} was taken back"
    wait_until(lambda: job_state(job).over)
    with pytest.raises(
        PtychoError, match=rf"job {job.id} has ended before its run began: ended; .*job\.log tells more"
    ):
        wait_for_run(tmp_path / "out", StopToken(), print, every_s=0)
    with pytest.raises(InputError, match="there is no run in"):
        ask(tmp_path / "out", Wish.STOP)


def test_nobody_trains_where_a_job_is_to_but_that_job_itself(tmp_path, ended):
    code = f"from pathlib import Path; from ptycho_core.runs.job import *; refuse_job(Path({str(tmp_path / 'out')!r}))"
    go = tmp_path / "go"
    asks = f"until [ -e {go} ]; do sleep 0.1; done; {sys.executable} -c {shlex.quote(code)} && echo allowed #"
    job = submit(tmp_path / "out", COMMAND, Config(), Site(command=("bash",), program=asks))
    ended.append(job)
    with pytest.raises(InputError, match=rf"job {job.id} of .*out is RUNNING: stop it, or take another folder"):
        train(build_config(accelerator="cpu"), TRAINED_SCAN, tmp_path / "out")
    go.touch()
    wait_until(lambda: job_state(job).over)
    assert log_of(tmp_path / "out", job).read_text() == "allowed\n"
    refuse_job(tmp_path / "out")


def test_a_job_of_another_machine_is_not_said_to_be_taken_back(tmp_path, ended):
    job = submit(tmp_path / "out", COMMAND, Config(), HERE)
    ended.append(job)
    record = tmp_path / "out" / "job" / "job.json"
    record.write_text(record.read_text().replace(f'"{platform.node()}"', '"another-machine"'))
    with pytest.raises(PtychoError, match="is a process on another-machine: take it back there"):
        ask(tmp_path / "out", Wish.CANCEL)


def test_a_run_that_has_begun_is_waited_for_no_more(tmp_path, ended):
    ended.append(submit(tmp_path / "out", COMMAND, Config(), HERE))
    start(tmp_path / "out")
    assert waits(tmp_path / "out") is None
    assert read_job(tmp_path / "out") == ended[0]  # which the run has not set aside


def test_a_job_that_is_to_resume_a_run_waits_until_it_has(tmp_path, ended):
    run = finished_run(tmp_path / "out")
    resume = f"ptycho train --resume {tmp_path / 'out'}"
    ended.append(submit(tmp_path / "out", resume, run.info.config, HERE, resumes=True))
    assert (tmp_path / "out" / "run.json").exists()
    assert waits(tmp_path / "out") == ended[0]
    run.update(resumed=({"at": run.info.started.isoformat()},))
    assert waits(tmp_path / "out") is None


def test_what_cannot_be_handed_over_is_said_and_leaves_no_job(tmp_path):
    with pytest.raises(PtychoError, match="nosuch-sbatch/sbatch cannot be called: No such file"):
        submit(tmp_path / "out", COMMAND, Config(), Site(command=("/nosuch-sbatch/sbatch",)))
    with pytest.raises(InputError, match="a job asks for a number of devices"):
        submit(tmp_path / "out", COMMAND, Config(devices="auto"), HERE)
    assert read_job(tmp_path / "out") is None
    earlier = finished_run(tmp_path / "earlier").info
    with pytest.raises(PtychoError, match="cannot be called"):
        submit(tmp_path / "earlier", COMMAND, Config(), Site(command=("/nosuch-sbatch/sbatch",)))
    assert read_run(tmp_path / "earlier").started == earlier.started
    assert earlier.last_checkpoint.is_file()
    assert not list((tmp_path / "earlier" / "previous").iterdir())
    start(tmp_path / "busy")
    with pytest.raises(InputError, match="is still training"):
        submit(tmp_path / "busy", COMMAND, Config(), HERE)
