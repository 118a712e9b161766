"""Run by RosettaSciIO's own Python: what it finds in files of electron microscopes goes into an NPZ."""

import sys
from pathlib import Path

import numpy as np
from rsciio.arina import file_reader as read_arina
from rsciio.empad import file_reader as read_empad
from rsciio.quantumdetector import file_reader as read_merlin


def read(folder, found):
    """An EMPAD, a Merlin and an Arina scan."""
    (empad,), (merlin,) = read_empad(folder / "scan.xml"), read_merlin(str(folder / "a.mib"))
    (arina,) = read_arina(folder / "stem_master.h5", navigation_shape=(4, 3))
    steps_pm = [axis["scale"] for axis in empad["axes"] if axis["navigate"]]
    assert {axis["units"] for axis in empad["axes"] if axis["navigate"]} == {"pm"}
    np.savez(found, empad=empad["data"], merlin=merlin["data"], arina=arina["data"], step_m=np.array(steps_pm) * 1e-12)


if __name__ == "__main__":
    read(*map(Path, sys.argv[1:]))
