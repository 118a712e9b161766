"""A SLURM of one node, started in a folder of its own: munged, slurmctld and slurmd of Debian's packages, as root."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

from tests.helpers.patience import wait_until

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def why_no_slurm() -> str:
    """Say why none can be started here; empty where one may."""
    missing = [name for name in _PROGRAMS if shutil.which(name, path=_SBIN) is None]
    if missing:
        return f"SLURM is not installed ({', '.join(missing)} missing: apt-get install slurmctld slurmd munge)"
    return "" if os.geteuid() == 0 else "SLURM's daemons need root"


class Slurm:
    """The daemons; `environment` is what its commands need to find them.

    Parameters
    ----------
    folder
        For all that they write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir(mode=0o755)
        conf = folder / "slurm.conf"
        conf.write_text(self._conf())
        self.environment = {"SLURM_CONF": str(conf)}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> str:
        """Start the daemons; return why they do not run, or nothing."""
        munge = self.folder / "munge"
        (munge / "key").write_bytes(secrets.token_bytes(1024))
        (munge / "key").chmod(0o400)
        named = [f"--{name}-file={munge / name}" for name in ("key", "pid", "log", "seed")]
        self._run("munged", "--force", "--foreground", f"--socket={munge / 'socket'}", *named)
        try:
            wait_until((munge / "socket").exists, "munged answers", 60)
            self._run("slurmctld", "-D")
            self._run("slurmd", "-D", "-N", platform.node())
            wait_until(lambda: self.call("sinfo", "--noheader", "--format=%t") == "idle", "the node is idle", 60)
        except TimeoutError as late:
            logs = (path.read_text(errors="replace")[-500:] for path in self.folder.glob("slurm*.log"))
            return " ".join([str(late), *logs])
        return ""

    def call(self, *words: str) -> str:
        """Return what one of SLURM's commands prints."""
        done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **self.environment})
        return done.stdout.strip()

    def close(self) -> None:
        """End all jobs, then the daemons."""
        if len(self._daemons) == 3:
            self.call("scancel", "--user=root")
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: not self.call("squeue", "--noheader"), "all jobs are over", 60)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def _run(self, name: str, *words: str) -> None:
        program = shutil.which(name, path=_SBIN)
        with open(self.folder / f"{name}.out", "wb") as out:
            environment = {**os.environ, **self.environment}
            self._daemons.append(subprocess.Popen([program or name, *words], stdout=out, stderr=out, env=environment))

    def _conf(self) -> str:
        host, folder = platform.node(), self.folder
        return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmctldPort={_free_port()}
SlurmdPort={_free_port()}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=10
MinJobAge=300
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN
PartitionName=day Nodes={host} Default=YES MaxTime=60 PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes={host} MaxTime=60 PriorityTier=9 PreemptMode=OFF
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
