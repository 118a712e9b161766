"""The model with which a run begins or goes on: each beam is searched for and solved before a network trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.config import Config
from ptycho_core.base.events import (
    EventHandler,
    PartBegan,
    ProbeSearched,
    Stage,
    StageChanged,
    StopToken,
    Until,
    of_scan,
)
from ptycho_core.engines.callbacks import Obey
from ptycho_core.engines.canvas import Canvas
from ptycho_core.engines.data import Measurement
from ptycho_core.engines.mode_count import choose_modes
from ptycho_core.engines.models import MODELS
from ptycho_core.engines.models.base import Model
from ptycho_core.engines.models.known import KnownScan
from ptycho_core.engines.models.pinn import PinnModel
from ptycho_core.engines.models.start import scan_summary, starting_probe
from ptycho_core.engines.polish import warm_start
from ptycho_core.engines.probe_search import search_probe
from ptycho_core.inspection.suitability import FURTHER_SCANS
from ptycho_core.runs.record import WARM_START, folder_of_scan
from ptycho_core.scan.scan import Scan

MOST_OF_TIME = 0.5
"""Part of a run's time limit that the search for a beam may take: a fit with the scan's own needs the rest."""


class Beginning:
    """Makes the model of a run.

    Parameters
    ----------
    config
        Of the run; with the number of probe modes, once that is chosen.
    folder
        Of the run, for the warm starts.
    obey
        Stops a fit.
    stop
        Ends it all in good order.
    emit
        Told of what happens.
    """

    def __init__(self, config: Config, folder: Path, obey: Obey, stop: StopToken, emit: EventHandler) -> None:
        self.config, self.folder, self.obey, self.stop, self.emit = config, folder, obey, stop, emit

    def model(self, measured: Sequence[Measurement], initial: Model | None, *, begins: bool, warms_up: bool) -> Model:
        """Return the model to train.

        Parameters
        ----------
        measured
            The scans.
        initial
            Whose network it begins with.
        begins
            Whether the run does; else its state is read from a checkpoint next.
        warms_up
            Whether this process does that: of several the first, from which the others get the state.
        """
        models = []
        for one in measured:
            if len(measured) > 1 and begins:
                what = f"scan {one.beam + 1} of {len(measured)}: {one.scan.source.name}"
                self.emit(PartBegan(what, run_dir=str(self.folder)))
            models.append(self._of_one(one, initial, begins, warms_up))
        model, *others = models
        model.scan_summary = scan_summary(measured[0].scan)
        if others:
            assert isinstance(model, PinnModel)  # the only engine that is trained on several, as `check_run` has it
            model.further.extend(map(KnownScan.of, others))
            model.scan_summary[FURTHER_SCANS] = [scan_summary(one.scan) for one in measured[1:]]
            if begins:
                self.emit(PartBegan(f"all {len(measured)} scans together", run_dir=str(self.folder)))
        return model

    def _of_one(self, one: Measurement, initial: Model | None, begins: bool, warms_up: bool) -> Model:
        warm, chooses = begins and warms_up, begins and self.config.probe_modes is None
        scan, known = one.scan, None if initial is None else initial.probe.detach().numpy()
        if known is not None and known.shape[-1] != scan.size:
            known = None
        # All processes choose the number of modes, and so need the same beam: their models have to be of one shape.
        if (warm or chooses) and self.config.probe_search:
            scan = self._with_probe(one, known)
        if chooses:
            scan = self._with_modes(scan, one)
        model = MODELS[self.config.engine].from_scan(scan, self.config)
        if initial is not None:
            model.begin_as(initial)
        if model.warm_start_epochs and warm and not self.stop.stop_requested:
            self.emit(StageChanged(Stage.WARMING_UP))
            model.scan_summary = scan_summary(one.scan)
            keep_as = None
            if self.config.enable_checkpointing:
                keep_as = folder_of_scan(self.folder, one.beam, one.scan.source.path) / WARM_START
                keep_as.parent.mkdir(parents=True, exist_ok=True)
            emit = of_scan(one.beam, self.emit)
            warm_start(model, one.scan, one.amplitudes, one.parts, obey=self.obey, emit=emit, keep_as=keep_as)
            if known is not None and self.config.probe_search:
                self._choose_probe(model, one, known)
        return model

    def _choose_probe(self, model: Model, one: Measurement, known: NDArray[np.complex64]) -> None:
        """Let a model have the beam of the one that it goes on from where that explains validation patterns better."""
        if not len(one.parts.validation):
            return
        train, validation = (
            Canvas.of_scan(one.scan, one.amplitudes, rows, model.device, self.config)
            for rows in (one.parts.train, one.parts.validation)
        )

        def explained() -> float:
            return model.misfit_of(model.object_of(train), validation, held_out=True, settled=True).deviance

        warmed, before = model.probe.detach().clone(), explained()
        model.take_probe(starting_probe(one.scan.replace(probe=known), len(warmed)))
        after = explained()
        if not after < before:
            model.take_probe(warmed)
            return
        why = "took the beam of the model to go on from as it is: it explains the validation patterns better than"
        figures = f"(half deviance {after:.4g} for {before:.4g})"
        own_left = one.scan.probe is not None
        self.emit(ProbeSearched(True, f"{why} what the warm start made of this scan {figures}", own_left=own_left))

    def _with_probe(self, one: Measurement, known: NDArray[np.complex64] | None) -> Scan:
        """Return the scan with the beam that a search finds, or the one that is known, if that is better."""
        if self.stop.stop_requested:
            return one.scan
        self.emit(StageChanged(Stage.SEARCHING))
        stop, limit = self.stop, self.config.max_time
        if limit is not None:
            until = time.monotonic() + 60 * limit * MOST_OF_TIME
            stop = Until(stop, lambda: until)
        found = search_probe(one.scan, one.amplitudes, one.parts.train, known=known, stop=stop)
        changed = found.probe is not None
        self.emit(ProbeSearched(changed, found.why, own_left=changed and one.scan.probe is not None))
        return one.scan.replace(probe=found.probe) if changed else one.scan

    def _with_modes(self, scan: Scan, one: Measurement) -> Scan:
        """Choose the number of probe modes, and return the scan with as many, where there are several."""
        self.emit(StageChanged(Stage.CHOOSING_MODES))
        chosen = choose_modes(scan, one.amplitudes, self.config, one.parts, self.stop)
        self.emit(chosen.told)
        self.config = self.config.replace(probe_modes=chosen.told.count)
        return scan if chosen.probe is None else scan.replace(probe=chosen.probe)
