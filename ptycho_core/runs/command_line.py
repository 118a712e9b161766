"""A run as a command: the `ptycho train` that does it, what a verdict proposes, and the script for a cluster.

No torch here.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptycho_core.base.build_config import build_config, fewest_settings
from ptycho_core.base.config import KNOBS, Config
from ptycho_core.base.errors import Fix, InputError
from ptycho_core.base.verdict import POLISH, SEARCH_ORIENTATION, of_one_scan
from ptycho_core.runs.record import CHECKPOINTS, JOB, RECORD, RunInfo
from ptycho_core.runs.site import Site
from ptycho_core.scan.settings import SETTINGS
from ptycho_core.scan.source import ScanSource, sources_alike

_START_MINUTES = 15
"""What a job may take beside the training that its time limit is for."""

_CPUS = 8
"""Cores for each process: for reading and plain arithmetic, or all of it where no GPU computes."""

_SPARE_MEMORY = 2
"""A job that takes more memory than it asked for is killed: so many times the estimate is proposed."""

_QUEUE_AGAIN = (
    "# A job that ends in good order when it is preempted counts as over: it has to ask to be queued again.",
    "job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}",
    'if [ $code -eq 130 ] && scontrol show job "${job:-$SLURM_JOB_ID}" | grep -q "PreemptTime=[0-9]"; then',
    '    scontrol requeue "${job:-$SLURM_JOB_ID}"',
    "    exit $code",
    "fi",
)

SCRIPT = "ptycho.sh"
"""Of a run that is handed over, in its folder `JOB`."""

_ON_ONE = "srun --nodes=1 --ntasks=1 "

_LAST_SECONDS = 180
"""How long before its end a job is asked to stop in good order."""


def command_line(settings: Mapping[str, Any], source: ScanSource, folder: Path, further: Sequence[Path] = ()) -> str:
    """Return the command that trains on a scan, or on several, with settings that `build_config` takes.

    Parameters
    ----------
    settings
        Those that are as preset and defaults have them are left out.
    source
        How the scan is read and preprocessed.
    folder
        Of the run.
    further
        Files of the scans that are trained on too, read and preprocessed alike.

    Returns
    -------
    str
        Quoted for a shell, with absolute paths. What `ScanSource.needed_files` returns has to be written for it.

    Raises
    ------
    InputError
        The scan was not read from a file, a setting is not valid, or as `sources_alike`.
    """
    words = ["ptycho", "train"]
    for one in sources_alike(source, further):
        words += ["--train_data_file", str(one.file.absolute())]
    words += source.to_flags(folder)
    words += ["--output_dir", str(folder.absolute())]
    config = build_config(dict(settings))
    for name, value in {"preset": config.preset, **fewest_settings(config)}.items():
        words += [f"--{name}", KNOBS[name].text(value)]
    return shlex.join(words)


@dataclass(frozen=True)
class Pictured:
    """Where a picture comes from, for the command that makes a better one.

    Parameters
    ----------
    config
        Of its run.
    sources
        How the scans of the run are read; it was trained on more than the first if there are more.
    folder
        Of the run.
    place
        Which of the scans is pictured.
    test_scan
        What validated the run in place of a part of its scans.
    """

    config: Config
    sources: Sequence[ScanSource]
    folder: Path
    place: int = 0
    test_scan: Path | None = None

    @classmethod
    def of_run(cls, info: RunInfo, place: int) -> Pictured:
        """Return where the picture of a run's scan at a place comes from."""
        sources = [recorded.source for recorded in info.recorded_scans]
        return cls(info.config, sources, info.folder, place, info.test_scan.path if info.test_scan else None)

    def line_of(self, fix: Fix) -> str:
        """Return the command that does what a verdict proposes, as `command_line` gives it.

        Raises
        ------
        InputError
            As `command_line`.
        """
        (first, *further), folder = self.sources, self.folder
        if of_one_scan(fix):
            first, further, folder = self.sources[self.place], [], self._alone
        if fix.field == POLISH:
            return shlex.join(["ptycho", "reconstruct", str(self.folder.absolute()), "--polish", str(fix.value)])
        if fix.field == SEARCH_ORIENTATION:
            source = self.sources[self.place]
            return shlex.join(["ptycho", "orient", str(source.file.absolute()), *source.to_flags(self.folder)])
        settings = fewest_settings(self.config)
        more = [] if self.test_scan is None else ["--test_data_file", str(self.test_scan.absolute())]
        if fix.field.startswith("--"):
            more.append(f"{fix.field}={fix.value}")
        elif fix.field in SETTINGS:
            settings.pop(fix.field, None)
            first = first.fixed(fix)
        else:
            settings[fix.field] = fix.value
        engine = settings.get("engine", self.config.engine)
        used = {name: value for name, value in settings.items() if KNOBS[name].serves(engine)}
        line = command_line(used, first, folder, [source.file for source in further])
        return shlex.join([*shlex.split(line), *more])

    def needed_files(self) -> dict[Path, dict[str, Any]]:
        """Return the files that the commands name, as `ScanSource.needed_files` does."""
        source = self.sources[self.place]
        return {**source.needed_files(self.folder), **source.needed_files(self._alone)}

    @property
    def _alone(self) -> Path:
        """The folder of a run on the scan of the picture alone: another one, where the run is on several."""
        name = f"{self.folder.absolute().name}-{self.sources[self.place].file.stem}"
        return self.folder.absolute().with_name(name) if len(self.sources) > 1 else self.folder


@dataclass(frozen=True)
class JobLimits:
    """What a job asks a cluster for beside devices; what is None or empty is left to the site."""

    minutes: int | None = None
    memory_gb: float | None = None
    partition: str = ""


def proposed_limits(config: Config, memory_bytes: int) -> JobLimits:
    """Return limits for a run that is estimated to take so much memory."""
    minutes = None if config.max_time is None else math.ceil(config.max_time) + _START_MINUTES
    return JobLimits(minutes, math.ceil(_SPARE_MEMORY * memory_bytes / 1e9))


def job_script(command: str, config: Config, limits: JobLimits) -> str:
    """Return a script for ``sbatch`` that runs a command of `command_line` on the config's devices and nodes.

    One process for each device, as Lightning expects them of SLURM; the same by ``torchrun`` stands in it as a comment.

    Parameters
    ----------
    command
        Quoted for a shell.
    config
        What the command trains with.
    limits
        Asked for beside devices.

    Raises
    ------
    InputError
        The config leaves the number of devices open, or the partition's name is none.
    """
    nodes, devices = config.num_nodes, _devices(config)
    lines = [
        "#!/bin/bash",
        "#SBATCH --output=ptycho-%j.log",
        *_asked(config, limits),
        "",
        "# Add what else your site asks for, such as #SBATCH --account=NAME, and make ptycho available here:",
        "# source /path/to/venv/bin/activate",
        "",
        f"srun {command}",
        "",
        "# Without SLURM, on each node:" if nodes == 1 else "# Without SLURM, on each node, with FIRST_NODE named:",
        f"# {_torchrun(nodes, devices)} {command}",
    ]
    return "\n".join(lines) + "\n"


def submitted_script(command: str, config: Config, site: Site, folder: Path, *, resumes: bool = False) -> str:
    """Return the script of a job that is handed over as a site does it.

    It trains, and reconstructs with the best checkpoint as the window does: unless the run was cancelled, has failed or
    kept no checkpoint. A job that begins again, as after it was preempted, goes on with what is not done.

    Parameters
    ----------
    command, config
        As for `job_script`.
    site
        How jobs are run.
    folder
        Of the run.
    resumes
        Whether the command goes on with the run in the folder.

    Raises
    ------
    InputError
        As `job_script`.
    """
    places = (folder / CHECKPOINTS / "last.ckpt", folder, folder / RECORD)
    last, out, record = (shlex.quote(str(path)) for path in places)
    trains, pictures = (f"srun {site.called}", _ON_ONE + site.called) if site.slurm else (site.called, site.called)
    begins = f"{trains}{command.removeprefix('ptycho')}"
    goes_on = begins if resumes else f"{trains} train --resume {out}"
    lines = [
        *_submitted_head(site, folder / JOB / "job-%j.log", [config]),
        "",
        *(f"module load {shlex.quote(name)}" for name in site.modules),
        *(f"export {name}={shlex.quote(value)}" for name, value in site.environment.items()),
        *site.setup,
        f'status() {{ sed -n \'s/^  "status": "\\([a-z]*\\)".*/\\1/p\' {record}; }}',
        'if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [ "$(status)" = finished ]; then',
        "    true  # it was queued again after its training",
        f"elif [ -e {last} ]; then",
        f"    {goes_on}",
        "else",
        f"    {begins}",
        "fi",
        "code=$?",
        *(_QUEUE_AGAIN if site.slurm else ()),
        f'if [ -e {last} ]; then case "$code $(status)" in "0 finished" | "130 stopped")',
        f"    {pictures} reconstruct {out} --accelerator {config.accelerator}",
        "    code=$?",
        "esac; fi",
        "exit $code",
    ]
    return "\n".join(lines) + "\n"


def array_script(site: Site, runs: Mapping[Path, Config]) -> str:
    """Return the script of an array of jobs, whose tasks run the scripts of `submitted_script` in the runs' folders.

    Parameters
    ----------
    site
        Whose jobs go to SLURM.
    runs
        Folder and config of each, in the order of the tasks.

    Raises
    ------
    InputError
        They ask for different nodes or devices, which those of an array cannot; or as `job_script`.
    """
    folders = " ".join(shlex.quote(str(folder / JOB)) for folder in runs)
    lines = [
        *_submitted_head(site, Path(os.devnull), list(runs.values())),
        f"#SBATCH --array=0-{len(runs) - 1}",
        "",
        f"folders=({folders})",
        'folder="${folders[$SLURM_ARRAY_TASK_ID]}"',
        'exec >> "$folder/job-${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID.log" 2>&1',
        f'. "$folder/{SCRIPT}"',
    ]
    return "\n".join(lines) + "\n"


def _submitted_head(site: Site, log: Path, configs: list[Config]) -> list[str]:
    """Return what a script that is handed over asks for: the longest time and the most cores that any run does."""
    minutes = [site.time_minutes if c.max_time is None else math.ceil(c.max_time) + _START_MINUTES for c in configs]
    limits = JobLimits(None if 0 in minutes else max(minutes), site.memory_gb or None, site.partition)
    config = max(configs, key=lambda each: each.num_workers)
    if len({(each.num_nodes, _devices(each), _on_gpu(each)) for each in configs}) > 1:
        raise InputError(
            "the runs ask for different nodes or devices, and those of an array ask for the same: give them the same "
            "accelerator, devices and num_nodes, or submit each by itself"
        )
    return [
        "#!/bin/bash",
        f"#SBATCH --output={shlex.quote(str(log))}",
        *_asked(config, limits),
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        *([f"#SBATCH --cpus-per-task={site.cpus}"] if site.cpus else []),
        *(f"#SBATCH {option}" for option in site.options),
    ]


def _devices(config: Config) -> int:
    if config.devices == "auto":
        raise InputError("a job asks for a number of devices: set devices to one, in place of auto")
    return int(config.devices)


def _on_gpu(config: Config) -> bool:
    return config.accelerator in ("auto", "gpu", "cuda")


def _asked(config: Config, limits: JobLimits) -> list[str]:
    """Return what a script asks ``sbatch`` for."""
    devices = _devices(config)
    asked = [
        "--job-name=ptycho",
        f"--nodes={config.num_nodes}",
        f"--ntasks-per-node={devices}",
        f"--cpus-per-task={max(_CPUS, 1 + config.num_workers)}",
        f"--signal=TERM@{_LAST_SECONDS}",
    ]
    if _on_gpu(config):
        asked.append(f"--gpus-per-node={devices}")
    if limits.minutes is not None:
        asked.append(f"--time={limits.minutes}")
    if limits.memory_gb is not None:
        asked.append(f"--mem={math.ceil(limits.memory_gb * 1000)}M")
    if limits.partition:
        if not re.fullmatch(r"[\w.,-]+", limits.partition):
            raise InputError(f"a partition is named by letters, digits, dots and dashes (it is {limits.partition!r})")
        asked.append(f"--partition={limits.partition}")
    return [f"#SBATCH {option}" for option in asked]


def _torchrun(nodes: int, devices: int) -> str:
    where = "--standalone" if nodes == 1 else "--rdzv-backend=c10d --rdzv-endpoint=FIRST_NODE:29500"
    return f"torchrun {where} --nnodes={nodes} --nproc-per-node={devices} --no-python"
