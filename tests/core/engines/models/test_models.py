"""The table of engines, and what all of them do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptycho_core.base.choices import ENGINES
from ptycho_core.base.config import Config
from ptycho_core.base.errors import InputError
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Amplitudes
from ptycho_core.engines.models import MODELS
from ptycho_core.engines.models.start import scan_summary
from ptycho_core.scan.scan import Scan

CPU = torch.device("cpu")


def config_of(engine: str) -> Config:
    return Config(engine=engine, model_width=2)


def test_every_engine_has_a_class():
    assert list(MODELS) == list(ENGINES)


@pytest.mark.parametrize("engine", MODELS)
def test_a_model_made_of_its_state_gives_the_same_object(tiny_scan: Scan, engine):
    model = MODELS[engine].from_scan(tiny_scan, config_of(engine))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.ones_like(parameter)
    again = MODELS[engine].from_state(model.config, model.state_dict())
    canvas = Canvas.of_scan(tiny_scan, Amplitudes(tiny_scan), np.arange(0, 60, 2), CPU)
    assert torch.equal(again.object_of(canvas), model.object_of(canvas))
    assert again.object_of(canvas).shape == (1, *canvas.shape)


@pytest.mark.parametrize("engine", MODELS)
def test_another_scan_is_served_by_the_engines_that_say_so(tiny_scan: Scan, engine):
    model = MODELS[engine].from_scan(tiny_scan, config_of(engine))
    model.scan_summary = scan_summary(tiny_scan)
    other = tiny_scan.take(range(40))
    own, another = (Canvas.of_scan(scan, Amplitudes(scan), np.arange(40), CPU) for scan in (tiny_scan, other))
    assert model.adapt(tiny_scan, own, scan_summary(tiny_scan))[0].object_of(own).shape == (1, *own.shape)
    if ENGINES[engine].serves_one_scan:
        with pytest.raises(InputError, match="give that scan"):
            model.adapt(other, another, scan_summary(other))
    else:
        assert model.adapt(other, another, scan_summary(other))[0].object_of(another).shape == (1, *another.shape)


@pytest.mark.parametrize("engine", MODELS)
def test_every_training_pattern_is_dealt_with_its_place_in_the_scan(tiny_scan: Scan, engine):
    model = MODELS[engine].from_scan(tiny_scan, config_of(engine))
    rows = np.arange(5, 60, 2)
    dealt = {int(row) for deal in model.sampler(tiny_scan, rows, rank=0, world=1) for row in deal.groups.ravel()}
    assert dealt <= set(rows.tolist())
    assert len(dealt) > len(rows) / 2
