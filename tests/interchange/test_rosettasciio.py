"""RosettaSciIO finds in the files that our tests write of electron microscopes what we find."""

from __future__ import annotations

import numpy as np

from ptycho_core.formats import read_scan
from tests.helpers import microscope_files, scan_files
from tests.helpers.beamline_files import BEAMLINES


def test_it_reads_the_same_patterns_and_raster(tmp_path, rosettasciio):
    microscope_files.write_empad(tmp_path)
    microscope_files.write_mib(tmp_path / "a.mib")
    microscope_files.write_hdr(tmp_path / "a.hdr")
    arina, _ = BEAMLINES["dectris-raster"].write(tmp_path, scan_files.TINY)
    rosettasciio(tmp_path, tmp_path / "found.npz")
    found = np.load(tmp_path / "found.npz")
    for name, path, answers in (
        ("empad", tmp_path / "scan.xml", microscope_files.ANSWERS),
        ("merlin", tmp_path / "a.mib", {**microscope_files.ANSWERS, "step_m": "2e-10"}),
        ("arina", arina, BEAMLINES["dectris-raster"].answers),
    ):
        scan = read_scan(path, settings=answers)
        theirs = found[name].reshape(-1, scan.size, scan.size)
        good = np.ones_like(theirs[0], bool) if scan.mask is None else scan.mask
        np.testing.assert_array_equal(scan.patterns[:][:, good], theirs[:, good])
    np.testing.assert_allclose(found["step_m"], microscope_files.STEP_M)
