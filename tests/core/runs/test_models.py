"""A folder of bundles as a registry: what each tells, what is broken, and which suits a scan best."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from exact_scans import CASES, beam, make

from ptycho_core import cli
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.formats.writers.exports import write_scan
from ptycho_core.inspection.suitability import conditions_of
from ptycho_core.runs.bundle import write_bundle
from ptycho_core.runs.models import BrokenModel, KnownModel, by_suitability, find_models
from ptycho_core.scan.scan import Geometry, Patterns, Scan

PIXELS = np.hypot(*(np.mgrid[:64, :64] - 32))


def scan(beam: float, step: float = 3.0) -> Scan:
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(4), indexing="ij"), axis=-1).reshape(-1, 2) * step
    probe = (beam / 2 > PIXELS).astype(np.complex64)[None]
    geometry = Geometry(energy_ev=8000.0, distance_m=2.0, detector_pixel_m=(75e-6, 75e-6))
    return Scan(Patterns(np.full((16, 64, 64), 0.25, np.float32)), grid, probe, geometry=geometry)


def bundle(
    path, trained_on: Scan, loss: float, engine: str = "pinn", patterns: int | None = 16, brightest: float = 1024.0
):
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = np.stack([trained_on.probe.real, trained_on.probe.imag], axis=-1)
    return write_bundle(
        path,
        tensors={"probe_parts": parts},
        config=Config(engine=engine).to_dict(),
        scan_summary={"patterns": patterns, "size": 64, "brightest": brightest, **conditions_of(trained_on)},
        metrics={"poisson_val_loss": loss},
        environment={"trained": "2026-11-27T20:00:00+00:00", "note": "gold star"},
        command="",
    )


@pytest.fixture
def folder(tmp_path):
    bundle(tmp_path / "narrow.zip", scan(7), 0.5)
    bundle(tmp_path / "wide" / "good.zip", scan(40), 0.4)
    bundle(tmp_path / "wide" / "better.zip", scan(40), 0.3)
    bundle(tmp_path / "fitted.zip", scan(40), 0.1, "direct")
    (tmp_path / "photos.zip").write_bytes(b"PK")
    bundle(tmp_path / "untold.zip", scan(40), 0.2, patterns=None)
    return tmp_path


def test_what_serves_more_than_its_own_scan_is_listed_and_what_is_broken_is_named(folder):
    found = find_models(folder)
    assert [model.path.name for model in found] == ["narrow.zip", "photos.zip", "untold.zip", "better.zip", "good.zip"]
    broken = [model for model in found if isinstance(model, BrokenModel)]
    assert "photos.zip" in broken[0].reason
    assert broken[1].reason.endswith("untold.zip does not say what its model was trained on")
    known = next(model for model in found if isinstance(model, KnownModel))
    assert known.summary["energy_ev"] == 8000
    assert (known.score, known.date[:10], known.note) == (0.5, "2026-11-27", "gold star")


def test_the_models_that_suit_a_scan_come_first_and_the_better_one_before(folder):
    fits = by_suitability(find_models(folder), scan(38))
    assert [fit.model.path.name for fit in fits] == ["better.zip", "good.zip", "narrow.zip"]
    assert [fit.suits for fit in fits] == [True, True, False]
    assert "beam" in fits[-1].differences[0].message
    assert by_suitability(find_models(folder), scan(7))[0].model.path.name == "narrow.zip"


@pytest.mark.parametrize("guess", [0.8, 0.5])
def test_models_of_the_very_beam_suit_a_scan_whose_own_probe_has_another_defocus(tmp_path, guess):
    second = dataclasses.replace(CASES["second"], size=64, side=13, step_px=5, scatter_px=1.5, defocus=0.1, guess=guess)
    made = make(second)
    other = Scan(Patterns(made.counts), made.recorded, made.guess[None])
    beams = {
        "wide": beam(second),
        "as guessed": beam(second, guess),
        "narrow": beam(dataclasses.replace(second, defocus=0.009)),
    }
    for loss, (name, wave) in enumerate(beams.items()):
        trained = other.replace(probe=wave.astype(np.complex64)[None])
        brightest = float(made.counts.sum(axis=(1, 2)).max())
        bundle(tmp_path / f"{name}.zip", trained, 0.3 - 0.1 * loss, brightest=brightest)
    fits = by_suitability(find_models(tmp_path), other)
    assert [(fit.model.path.stem, fit.suits) for fit in fits] == [
        ("wide", True),
        ("as guessed", True),
        ("narrow", False),
    ]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="there is no folder"):
        find_models(tmp_path / "models")


def test_a_folder_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        find_models(tmp_path)


def test_the_command_tells_which_to_take(folder, capsys):
    path = folder / "scan.npz"
    write_scan(scan(38), path)
    assert cli.main(["models", str(folder), "--scan", str(path)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if ".zip" in line]
    assert "better.zip" in lines[0]
    assert "yes" in lines[0]
    assert "narrow.zip" in lines[2]
    assert "that of the training" in lines[2]
    assert lines[3].startswith("warning: ")
