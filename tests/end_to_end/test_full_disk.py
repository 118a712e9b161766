"""The installed `ptycho-gui` on a full disk: what it says, that nothing half-written stays, and how it goes on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation
from tests.helpers.driven_window import BIN, epoch, is_enabled, said_in
from tests.helpers.patience import PATIENCE_S

pytestmark = pytest.mark.xdist_group("one screen at a time")

SIZE_MB = 48
ALONE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
MOUNT = f'mount -t tmpfs -o size={SIZE_MB}m tmpfs "$0" && cp "$1" "$0" && shift && exec "$@"'
"""In a space of names of its own, where anybody may mount: a small disk over $0, with a copy of $1 on it."""


class SmallDisk:
    """A disk that one program alone sees, and that is filled and emptied from outside."""

    def __init__(self, folder: Path, process: int) -> None:
        self.filler = Path(f"/proc/{process}/root{folder}/filler")

    def fill(self) -> None:
        """Write until nothing more can be written."""
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(2**16)):
                    pass
            except OSError:
                pass

    def empty(self) -> None:
        """Take away what filled it."""
        self.filler.unlink()


@pytest.fixture
def scan_path(tmp_path):
    (tmp_path / "disk").mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("a small disk is mounted with unshare, which is not installed")
    tried = subprocess.run([*ALONE, MOUNT, tmp_path / "disk", __file__, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"this machine lets nobody mount a small disk: {tried.stderr.strip()}")
    spec = SimulationSpec(size=24, n_patterns=49, step_px=3.0, jitter_px=1.0)
    return write_simulation(simulate(spec), tmp_path / "star.npz")[0]


def test_a_full_disk_is_told_before_a_run_and_in_it_and_the_run_goes_on_when_there_is_room(
    desktop, tmp_path, scan_path
):
    folder = tmp_path / "disk"
    program = desktop.start(*ALONE, MOUNT, folder, scan_path, BIN / "ptycho-gui", "--fresh", folder / "star.npz")
    program.wait_until(lambda: is_enabled(program, "Start"), "the scan is open and can be started")
    disk = SmallDisk(folder, program.process.pid)

    disk.fill()
    program.press("ctrl+Return")
    program.wait_until(lambda: "the run will write about" in said_in(program, "Messages"), "it is refused")
    assert "make room, choose another folder" in said_in(program, "Messages")
    desktop.screenshot("no room for a run")

    disk.empty()
    program.wait_until(lambda: is_enabled(program, "Start"), "the room that was made is seen")
    program.press("ctrl+Return")
    program.wait_until(lambda: epoch(program) >= 3, "training reaches its third epoch")
    disk.fill()
    program.wait_until(lambda: "cannot write" in said_in(program, "Messages"), "the failure is told")
    told = said_in(program, "Messages")
    assert "No space left on device; make room there, or write to another folder" in told
    program.wait_until(lambda: is_enabled(program, "Resume"), "the run can be resumed")
    desktop.screenshot("no room in the run")
    kept = {path.name for path in disk.filler.parent.glob("star-run*/checkpoints/*")}
    assert "last.ckpt" in kept
    assert not [name for name in kept if name.startswith(".")]  # of which only a part was written

    disk.empty()
    program.press("ctrl+r")
    program.wait_until(lambda: epoch(program) >= 4, "it goes on")
    assert "Error" not in said_in(program, "Messages")
    program.press("ctrl+q")
    program.click("Stop and close")
    program.process.wait(PATIENCE_S)
    assert program.process.returncode == 0, program.said()
