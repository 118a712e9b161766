"""docs/python.md: its code runs, from the first block to the last, and it names all that is public."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ptycho_core
from ptycho_core.simulation import SimulationSpec, simulate
from ptycho_core.simulation.files import write_simulation

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_simulation(simulate(SimulationSpec(size=16, n_patterns=36, step_px=2, jitter_px=0.5)), "scan.npz")
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(block, names)
    said = capsys.readouterr().out
    assert re.match(r"finished \d+\.\d", said)
    assert "all 4 epochs are done" in said or "a stronger prior explains" in said
    assert "nan" not in said
    assert said.endswith("stopped five epochs are enough 5\n")
    assert {"star.cxi", "model.zip"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", [name for name in ptycho_core.__all__ if name != "__version__"])
def test_the_page_tells_of_every_public_name(name):
    assert re.search(rf"`{name}\b", PAGE)
