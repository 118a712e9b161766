"""Files of steps, read and written by jobs."""

from __future__ import annotations

import json

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.base.events import StopToken
from ptycho_core.scan.steps import Crop, Every
from ptycho_core.scan.steps_json import read_steps
from ptycho_gui.prepare.jobs.steps import read_steps_job, save_steps_job


def done(job):
    return job(lambda event: None, StopToken())


def test_steps_are_written_and_read_back(tmp_path):
    steps = (Crop(16), Every(2))
    path = done(save_steps_job(steps, tmp_path / "steps.json"))
    assert json.loads(path.read_text())["version"] == 1
    assert done(read_steps_job(path)) == read_steps(path) == steps
    with pytest.raises(InputError, match="cannot read the file of steps"):
        done(read_steps_job(tmp_path / "gone.json"))
