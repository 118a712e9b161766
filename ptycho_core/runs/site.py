"""How a site runs jobs: a file that an administrator ships, or else what is found on this machine. No torch here."""

from __future__ import annotations

import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ptycho_core.base.codec import decode
from ptycho_core.base.errors import InputError

_SBATCH = "sbatch"


@dataclass(frozen=True)
class Site:
    """How jobs are handed over, and what their scripts say beside the run itself.

    Parameters
    ----------
    command
        Takes a script: ``sbatch``, perhaps by another command ("ssh", "login", "sbatch"), hands it to SLURM; any other,
        as ``bash``, runs it, in a process of its own on this machine.
    options
        Further options of ``sbatch``, as "--account=beamline".
    partition
        Of the job; empty for SLURM's own.
    memory_gb, time_minutes
        Its limits, of time where the run has none; 0 for SLURM's own.
    cpus
        Cores for each process; 0 for the program's own choice.
    modules
        Loaded before the run.
    environment
        Variables that are set.
    setup
        Lines of shell before the run.
    program
        How ``ptycho`` is called there; empty for the one that submits.
    """

    command: tuple[str, ...] = (_SBATCH,)
    options: tuple[str, ...] = ()
    partition: str = ""
    memory_gb: float = 0.0
    time_minutes: int = 0
    cpus: int = 0
    modules: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    setup: tuple[str, ...] = ()
    program: str = ""

    def __post_init__(self) -> None:
        if not self.command:
            raise InputError("command names no command: sbatch or bash, say")

    @property
    def slurm(self) -> bool:
        """Whether jobs go to SLURM."""
        return is_slurm(self.command)

    @property
    def called(self) -> str:
        """How ``ptycho`` is called in a job, for a shell."""
        beside = Path(sys.executable).with_name("ptycho")
        return self.program or (str(beside) if beside.is_file() else "ptycho")


def is_slurm(command: tuple[str, ...]) -> bool:
    """Return whether a command hands scripts to SLURM."""
    return any(PurePath(word).name == _SBATCH for word in command)


def site_files(environment: Mapping[str, str]) -> list[Path]:
    """Return where a site's file may be, the one that counts first: the user's, the system's."""
    own = environment.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    system = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return [Path(folder) / "ptycho" / "site.toml" for folder in (own, *system.split(":"), "/etc")]


def read_site(environment: Mapping[str, str]) -> Site:
    """Return how jobs are run here: by the first site file that there is, else by SLURM, else on this machine itself.

    Raises
    ------
    InputError
        The file cannot be read, or says something that is not known.
    """
    for path in site_files(environment):
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the site file {path}: {error}") from error
        try:
            return decode(Site, tomllib.loads(text), str(path))
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"the site file {path} is not TOML: {error}") from error
    return Site() if shutil.which(_SBATCH, path=environment.get("PATH")) else Site(command=("bash",))
