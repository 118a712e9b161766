"""Runs as jobs: site files, scripts that resume, and jobs without a batch system; SLURM's in tests/end_to_end."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from ptycho_core.base.build_config import build_config
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError, PtychoError
from ptycho_core.base.events import Status, StopToken
from ptycho_core.engines.training import train
from ptycho_core.runs.command_line import submitted_script
from ptycho_core.runs.follow import wait_for_run
from ptycho_core.runs.job import Job, JobState, job_state, job_states, log_of, read_job, refuse_job, waits
from ptycho_core.runs.queue import Queue, QueuedRun, QueueState
from ptycho_core.runs.record import read_run
from ptycho_core.runs.requests import Wish, ask
from ptycho_core.runs.site import Site, read_site
from ptycho_core.runs.submission import Submitted, submit, submit_array, submit_queue
from ptycho_core.scan.source import ScanSource
from tests.helpers.patience import wait_until
from tests.helpers.run_folders import COMMAND, finish, finished_run, start
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
    shell = 'module() { echo "module $@"; }; srun() { while [[ $1 == --* ]]; do shift; done; "$@"; }\n'
    first = subprocess.run(["bash", "-c", shell + script], capture_output=True, text=True).stdout
    assert first.splitlines() == ["module load cuda/12", f"ran{COMMAND.removeprefix('ptycho')}"]
    finished_run(folder)
    again = subprocess.run(["bash", "-c", shell + script], capture_output=True, text=True).stdout
    assert again.splitlines() == [
        "module load cuda/12",
        f"ran train --resume {folder}",
        f"ran reconstruct {folder} --accelerator auto",
    ]


def told(folder, program, **environment):
    """Run a job's script, in which each call of the program is told and ends as the program does."""
    site = Site(command=("bash",), program=f'calls() {{ echo "$@"; {program}; }}; calls')
    script = submitted_script(COMMAND, Config(), site, folder)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={**os.environ, **environment})
    return [line.split()[0] for line in done.stdout.splitlines()], done.returncode


def test_a_job_that_goes_on_with_a_run_does_so_with_what_is_to_change(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    command = f"ptycho train --resume={tmp_path} --max_epochs=100"
    script = submitted_script(command, Config(), Site(command=("bash",), program="echo"), tmp_path, resumes=True)
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout
    assert said == f"train --resume={tmp_path} --max_epochs=100\n"


@pytest.mark.parametrize(
    ("status", "code", "calls"),
    [
        (Status.FINISHED, 0, ["train", "reconstruct"]),
        (Status.STOPPED, 130, ["train", "reconstruct"]),
        (Status.CANCELLED, 130, ["train"]),
        (Status.FAILED, 3, ["train"]),
        (Status.STOPPED, 2, ["train"]),  # it could not be resumed
    ],
)
def test_a_job_reconstructs_what_was_trained_unless_it_was_cancelled_or_failed(tmp_path, status, code, calls):
    run = finished_run(tmp_path)
    run.update(status=status)
    assert told(tmp_path, f"return {code}")[0] == calls


def test_a_job_that_is_queued_again_after_its_training_makes_the_picture_alone(tmp_path):
    finished_run(tmp_path)
    assert told(tmp_path, "true", SLURM_RESTART_COUNT="1") == (["reconstruct"], 0)
    assert told(tmp_path, "return 3", SLURM_RESTART_COUNT="1") == (["reconstruct"], 3)


def test_a_job_of_this_machine_waits_and_can_be_taken_back(tmp_path, ended):
    finished_run(tmp_path / "out")
    job = submit(Submitted(tmp_path / "out", COMMAND, Config()), HERE)
    ended.append(job)
    assert (tmp_path / "out/previous/version_0/run.json").exists()
    assert read_job(tmp_path / "out") == waits(tmp_path / "out") == job
    assert job_state(job).word == "RUNNING"
    with pytest.raises(InputError, match="is RUNNING: stop it, or take another folder"):
        submit(Submitted(tmp_path / "out", COMMAND, Config()), HERE)
    assert ask(tmp_path / "out", Wish.STOP) == f"job {job.id} was taken back"
    wait_until(lambda: job_state(job).over)
    with pytest.raises(
        PtychoError, match=rf"job {job.id} has ended before its run began: ended; .*job\.log tells more"
    ):
        wait_for_run(tmp_path / "out", StopToken(), print, every_s=0)
    with pytest.raises(InputError, match="there is no run in"):
        ask(tmp_path / "out", Wish.STOP)


def test_a_job_that_makes_the_picture_of_what_it_trained_can_be_taken_back(tmp_path, ended):
    job = submit(Submitted(tmp_path / "out", COMMAND, Config()), HERE)
    ended.append(job)
    finish(start(tmp_path / "out"))
    said = f"job {job.id}, which makes a picture of what was trained, was taken back"
    assert ask(tmp_path / "out", Wish.STOP) == said
    wait_until(lambda: job_state(job).over)
    with pytest.raises(InputError, match="does not go on: it is finished"):
        ask(tmp_path / "out", Wish.STOP)


def test_nobody_trains_where_a_job_is_to_but_that_job_itself(tmp_path, ended):
    code = f"from pathlib import Path; from ptycho_core.runs.job import *; refuse_job(Path({str(tmp_path / 'out')!r}))"
    go = tmp_path / "go"
    asks = f"until [ -e {go} ]; do sleep 0.1; done; {sys.executable} -c {shlex.quote(code)} && echo allowed #"
    job = submit(Submitted(tmp_path / "out", COMMAND, Config()), Site(command=("bash",), program=asks))
    ended.append(job)
    with pytest.raises(InputError, match=rf"job {job.id} of .*out is RUNNING: stop it, or take another folder"):
        train(build_config(accelerator="cpu"), TRAINED_SCAN, tmp_path / "out")
    go.touch()
    wait_until(lambda: job_state(job).over)
    assert log_of(tmp_path / "out", job).read_text() == "allowed\n"
    refuse_job(tmp_path / "out")


def test_a_job_of_another_machine_is_not_said_to_be_taken_back(tmp_path, ended):
    job = submit(Submitted(tmp_path / "out", COMMAND, Config()), HERE)
    ended.append(job)
    record = tmp_path / "out" / "job" / "job.json"
    record.write_text(record.read_text().replace(f'"{platform.node()}"', '"another-machine"'))
    with pytest.raises(PtychoError, match="is a process on another-machine: take it back there"):
        ask(tmp_path / "out", Wish.CANCEL)


def test_a_run_that_has_begun_is_waited_for_no_more(tmp_path, ended):
    ended.append(submit(Submitted(tmp_path / "out", COMMAND, Config()), HERE))
    start(tmp_path / "out")
    assert waits(tmp_path / "out") is None
    assert read_job(tmp_path / "out") == ended[0]  # which the run has not set aside


def test_a_job_that_is_to_resume_a_run_waits_until_it_has(tmp_path, ended):
    run = finished_run(tmp_path / "out")
    resume = f"ptycho train --resume {tmp_path / 'out'}"
    ended.append(submit(Submitted(tmp_path / "out", resume, run.info.config, resumes=True), HERE))
    assert (tmp_path / "out" / "run.json").exists()
    assert waits(tmp_path / "out") == ended[0]
    run.update(resumed=({"at": run.info.started.isoformat()},))
    assert waits(tmp_path / "out") is None


def test_what_cannot_be_handed_over_is_said_and_leaves_no_job(tmp_path):
    with pytest.raises(PtychoError, match="nosuch-sbatch/sbatch cannot be called: No such file"):
        submit(Submitted(tmp_path / "out", COMMAND, Config()), Site(command=("/nosuch-sbatch/sbatch",)))
    with pytest.raises(InputError, match="a job asks for a number of devices"):
        submit(Submitted(tmp_path / "out", COMMAND, Config(devices="auto")), HERE)
    assert read_job(tmp_path / "out") is None
    earlier = finished_run(tmp_path / "earlier").info
    with pytest.raises(PtychoError, match="cannot be called"):
        submit(Submitted(tmp_path / "earlier", COMMAND, Config()), Site(command=("/nosuch-sbatch/sbatch",)))
    assert read_run(tmp_path / "earlier").started == earlier.started
    assert earlier.last_checkpoint.is_file()
    assert not (tmp_path / "earlier" / "previous").exists()
    start(tmp_path / "busy")
    with pytest.raises(InputError, match="is still training"):
        submit(Submitted(tmp_path / "busy", COMMAND, Config()), HERE)


FAKE_SBATCH = """#!/bin/bash
cat "$2" > "$(dirname "$0")/handed.sh"
echo 12
"""
FAKE_SQUEUE = """#!/bin/bash
echo "$@" >> "$(dirname "$0")/asked"
printf '12_0:PENDING\\n12_1:PREEMPTED\\n12_10:RUNNING\\n'
"""


@pytest.fixture
def slurm_site(tmp_path):
    """A site whose SLURM is two scripts: jobs of arrays wait, were preempted, run, or are forgotten."""
    for name, text in {"sbatch": FAKE_SBATCH, "squeue": FAKE_SQUEUE}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return Site(command=(str(tmp_path / "bin" / "sbatch"),), time_minutes=60, program="echo")


def test_runs_are_handed_over_as_one_array_whose_tasks_run_their_scripts(tmp_path, slurm_site):
    folders = [tmp_path / "one run", tmp_path / "two"]
    configs = Config(), Config(max_time=90.0)
    runs = [Submitted(folder, COMMAND, config) for folder, config in zip(folders, configs, strict=True)]
    jobs = submit_array(runs, slurm_site)
    assert [job.id for job in jobs] == ["12_0", "12_1"]
    assert [read_job(folder) for folder in folders] == jobs
    handed = (tmp_path / "bin" / "handed.sh").read_text()
    assert "#SBATCH --array=0-1\n" in handed
    assert "#SBATCH --time=105\n" in handed  # the most that one asks for
    for task, folder in enumerate(folders):
        environment = {**os.environ, "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": str(task)}
        subprocess.run(["bash", "-c", f'srun() {{ "$@"; }}; {handed}'], env=environment)
        assert log_of(folder, jobs[task]).read_text() == f"train{COMMAND.removeprefix('ptycho train')}\n"


def test_runs_that_cannot_be_one_array_are_refused_and_all_is_as_before(tmp_path, slurm_site):
    one = Submitted(tmp_path / "one", COMMAND, Config())
    with pytest.raises(InputError, match="ask for different nodes or devices"):
        submit_array([one, Submitted(tmp_path / "two", COMMAND, Config(devices=2))], slurm_site)
    with pytest.raises(InputError, match="only SLURM has arrays of jobs"):
        submit_array([one], HERE)
    earlier = finished_run(tmp_path / "one").info
    (tmp_path / "bin" / "sbatch").write_text("#!/bin/bash\necho 'sbatch: error: no such account' >&2; exit 1\n")
    with pytest.raises(PtychoError, match=r"sbatch refuses: no such account \(the script is .*array\.sh\)"):
        submit_array([one], slurm_site)
    assert not (tmp_path / "one" / "previous").exists()
    assert read_run(tmp_path / "one").started == earlier.started
    assert read_job(tmp_path / "one") is None


def test_what_waits_in_a_queue_is_handed_over_at_once_and_is_over_in_it(tmp_path, slurm_site):
    queue = Queue(tmp_path / "queue.json")
    for name in "abc":
        queue.add(QueuedRun(ScanSource(tmp_path / f"{name}.npz"), {"preset": "quick"}, tmp_path / name))
    queue.end(queue.entries[0].key, QueueState.DONE, "")
    refused = Site(command=(str(tmp_path / "bin" / "no-sbatch" / "sbatch"),))
    with pytest.raises(PtychoError, match="cannot be called"):
        submit_queue(queue, refused)
    assert [entry.state for entry in Queue(queue.path).entries] == ["done", "waiting", "waiting"]
    submit_queue(queue, slurm_site)
    found = Queue(queue.path).entries
    assert [(entry.state, entry.reason) for entry in found[1:]] == [
        ("submitted", "job 12_0"),
        ("submitted", "job 12_1"),
    ]
    assert f"--train_data_file {tmp_path / 'c.npz'} " in (tmp_path / "c" / "job" / "ptycho.sh").read_text()
    assert submit_queue(queue, slurm_site) == []


def test_slurm_is_asked_once_for_the_states_of_many_jobs(tmp_path, slurm_site):
    now = datetime.now(UTC)
    jobs = [Job(f"12_{task}", slurm_site.command, now) for task in (0, 1, 10, 2)]
    states = job_states(jobs)
    assert states == [
        JobState("PENDING", False),
        JobState("PREEMPTED", True),
        JobState("RUNNING", False),
        JobState("ended", True),
    ]
    assert len((tmp_path / "bin" / "asked").read_text().splitlines()) == 1
    assert job_states([Job("13", ("/nosuch/sbatch",), now), jobs[0]]) == [None, states[0]]
