"""From the numbers that a file stores to photon counts: what they are, and what is done with those that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import Fix, InputError
from ptycho_core.formats import conversions
from ptycho_core.formats.stored import Stored
from ptycho_core.scan.scan import GoodPixels, Masks, Patterns, PatternStep, both_good
from ptycho_core.scan.settings import Settings
from ptycho_core.scan.survey import Survey, Surveyor, flags

LARGEST_COUNT = 1e12
_SAMPLE_VALUES = 2**20
_LEAST_LEFT = 0.5
"""Part of what was measured that masking has to leave."""
_LARGEST_JUDGED = 1e4
"""Counts up to which float32 rounding of a square root is far from hiding whether its square was whole."""
_FEWEST_JUDGED = 10
_MOST_FLAGS, _MOST_FLAGGED = 3, 16
"""Different flags below zero, and patterns that are looked at for them."""
_BEYOND_NOISE = 25.0
"""Mean of a pixel that noise never takes below zero."""
_LARGEST_LOGARITHM = 40.0
_ROUNDING_THAT_TELLS = 0.05


class Looked:
    """The one pass over the patterns when a scan is opened: what is stored, and what it will be as counts.

    What the values are is told by the first of them at once, and by a sample of all at the end. Where both agree, as
    they do but for odd files, the scan needs no other survey.
    """

    def __init__(
        self,
        patterns: Patterns,
        mask: GoodPixels | None,
        settings: Settings,
        stored: Stored,
        progress: Callable[[int, int], None],
    ) -> None:
        self.patterns, self.mask = patterns, mask
        self.everything = settings.get("bad_pixels") is not None
        as_stored = Surveyor(patterns, mask, self.everything)
        as_counts = Surveyor(patterns, mask, self.everything)
        few = max(1, min(len(as_stored.rows), _SAMPLE_VALUES // (patterns.shape[1] * patterns.shape[2])))
        wanted = np.unique(np.linspace(0, len(as_stored.rows) - 1, few).astype(np.int64))
        sample: list[NDArray[np.float32]] = []
        self.conversion: PatternStep | None = None
        for places, batch, good in as_stored.batches():
            as_stored.see(places, batch, good)
            batch = conversions.clear_bad(batch)
            sample.append(batch[wanted[(wanted >= places.start) & (wanted < places.stop)] - places.start])
            if places.start == 0:
                told = what_values_are(batch[:few], stored.source.dtype)
                self.conversion = _conversion_of(settings.get("data") or told or stored.values, told)
            if self.conversion is not None:
                with np.errstate(over="ignore"):
                    as_counts.see(places, self.conversion(batch), good)
            progress(places.stop, len(as_stored.rows))
        self.told = what_values_are(np.concatenate(sample), stored.source.dtype)
        self.values = as_stored.survey()
        self.counts = self.values if self.conversion is None else as_counts.survey()


def settle_flags(
    patterns: Patterns,
    mask: GoodPixels | None,
    settings: Settings,
    stored: Stored,
    progress: Callable[[int, int], None],
    notes: list[str],
) -> tuple[Patterns, Looked]:
    """Return the patterns with NaN where a detector wrote that it did not count, and what is seen in them then.

    Logarithms of counts, which are -infinity or below zero where there were none, become counts first.
    """
    answer = settings.get("data")
    plain = answer if answer in conversions.PLAIN_LOGARITHMS else None
    looked = None if plain else Looked(patterns, mask, settings, stored, progress)
    if looked and answer is None and (looked.values.n_not_finite or looked.values.n_negative):
        plain = _plain_logarithm(patterns, stored)
    if plain is not None:
        notes.append(f"turned {plain.removeprefix('plain-')}(counts) into counts; what is no such logarithm held none")
        patterns = patterns.then(conversions.FromPlainLogarithm(conversions.PLAIN_LOGARITHMS[plain]))
    if plain is not None or looked is None:
        looked = Looked(patterns, mask, settings, stored, progress)
    seen, told = looked.values, []
    found = flags(seen)
    below = () if found else _flags_below_zero(patterns, seen)
    if found or below:
        told += [f"{value:.10g} in {count} pixels of all patterns" for value, count in found.items()]
        told += [f"{value:.10g}, as noise does not reach below zero where there is light" for value in below]
        patterns = patterns.then(conversions.FlagValues((*found, *below)))
    if seen.maximum > LARGEST_COUNT and np.mean(seen.highest[seen.good] > LARGEST_COUNT) < 0.5:
        told.append(f"what is above {LARGEST_COUNT:.0e}")
        patterns = patterns.then(conversions.FlagAbove(LARGEST_COUNT))
    if told:
        notes.append(f"took for no counts, as a detector writes it where it does not count: {' and '.join(told)}")
        looked = Looked(patterns, mask, settings, stored, progress)
    return patterns, looked


def _plain_logarithm(patterns: Patterns, stored: Stored) -> str | None:
    """Return the answer ``data`` of patterns whose values show that they are logarithms of counts themselves.

    The exponentials of those from zero on are whole, and more are no number or below zero than are zero, which stands
    for one photon.
    """
    if stored.source.dtype.kind != "f":
        return None
    few = max(1, min(len(patterns), _SAMPLE_VALUES // (patterns.shape[1] * patterns.shape[2])))
    sample = patterns[np.unique(np.linspace(0, len(patterns) - 1, few).astype(np.int64))]
    there = np.isfinite(sample) & (sample >= 0)
    values = sample[there].astype(np.float64)
    if np.count_nonzero(~there) <= np.count_nonzero(values == 0) or (values == np.rint(values)).all():
        return None
    precision = max(np.finfo(np.float32).eps, np.finfo(stored.source.dtype).eps)
    bases = conversions.PLAIN_LOGARITHMS
    return next((name for name, base in bases.items() if _are_logarithms(values, base, precision)), None)


def _flags_below_zero(patterns: Patterns, seen: Survey) -> tuple[float, ...]:
    """Return the few whole numbers below zero that stand for no counts: all that there are, and no noise.

    Noise reaches below zero where there is hardly any light; a flag is in bright pixels too, or lies further below.
    """
    if not seen.n_negative:
        return ()
    some = np.unique(np.linspace(0, len(seen.bad_rows) - 1, _MOST_FLAGGED).astype(np.int64))
    values = patterns[seen.bad_rows[some]]
    below = (values < 0) & seen.negative & np.isfinite(values)
    found = np.unique(values[below])
    if not 0 < len(found) <= _MOST_FLAGS or (found != np.rint(found)).any():
        return ()
    bright = below & (seen.mean > _BEYOND_NOISE)
    return tuple(map(float, found)) if bright.any() or found.max() < -1 else ()


def settle_bad_values(
    patterns: Patterns,
    mask: GoodPixels | None,
    looked: Looked,
    settings: Settings,
    path: Path,
    notes: list[str],
) -> tuple[Patterns, GoodPixels | None, NDArray[np.int64]]:
    """Return patterns without bad values, the mask, and the places of the patterns that are kept."""
    kept = np.arange(len(patterns))
    treatment, seen = settings.get("bad_pixels"), looked.values
    found = [(seen.n_not_finite, "NaN, infinite or flagged"), (seen.n_negative, "negative")]
    what = " and ".join(f"{count} {kind}" for count, kind in found if count)
    where = f"{what} values in {np.count_nonzero(seen.bad_pixels)} pixels of {len(seen.bad_rows)} patterns"
    if treatment == "fill" and what:
        cleared = patterns.then(conversions.FillBad(seen.mean.astype(np.float32)))
    elif mask is not None or treatment is not None:
        cleared = patterns.then(conversions.clear_bad)
    else:
        cleared = patterns
    if not what:
        return cleared, mask, kept
    ways = _ways_out(seen, len(patterns))
    if treatment == "fill":
        part = seen.bad_counts.sum() / (seen.bad_counts.size * len(seen.rows))
        never = seen.bad_counts == len(seen.rows)
        notes.append(f"put the mean of the pixel in the place of {where} ({part:.2%} of all): they were not measured")
        if never.any():
            mask = both_good(mask, ~never)
            notes.append(f"masked {np.count_nonzero(never)} pixels that were measured in no pattern")
        return cleared, mask, kept
    if treatment not in [fix.value for fix in ways]:
        why = {
            None: "counts are finite and not negative",
            "mask": f"masking them leaves {1 - _lost(seen):.0%} of what was measured",
            "drop": "no pattern is left without",
            "zero": "what is bad in every pattern was not dark now and then",
        }[treatment]
        help_ = ", ".join(f"bad_pixels={fix.value} to {fix.label}" for fix in ways)
        raise InputError(f"{path} holds {where}{seen.extent}; {why}; set {help_}", ways)
    if treatment == "zero":
        unknown = ", which were not measured and count as dark now" if seen.n_not_finite else ""
        notes.append(f"set to zero: {where}{unknown}")
    elif treatment == "mask":
        now_and_then = (seen.bad_counts > 0) & seen.good & ~seen.negative
        if now_and_then.any():
            notes.append(f"masked {where}: what is no number in its own pattern, what is ever negative in all")
            mask = both_good(both_good(mask, ~seen.negative), Masks(patterns, (np.isfinite,)))
        else:
            notes.append(f"masked pixels with {where}")
            mask = both_good(mask, ~seen.bad_pixels)
    else:
        kept = np.setdiff1d(kept, seen.bad_rows)
        cleared = cleared.take(kept)
        mask = mask.take(kept) if isinstance(mask, Masks) else mask
        notes.append(f"left out {len(seen.bad_rows)} patterns with {where}")
    return cleared, mask, kept


def _lost(seen: Survey) -> float:
    """Return the part of the values that masking takes: those that are no number, and pixels that are ever negative."""
    judged = seen.measured + seen.bad_counts
    return float(np.where(seen.negative, judged, seen.bad_counts).sum() / max(judged.sum(), 1))


def _ways_out(seen: Survey, n: int) -> list[Fix]:
    """Return what can be done about bad values, and leaves a scan."""
    fixes = []
    if 1 - _lost(seen) >= _LEAST_LEFT:
        fixes.append(Fix("leave these pixels out", "bad_pixels", "mask"))
    if len(seen.bad_rows) < min(n, len(seen.rows)):
        fixes.append(Fix("leave these patterns out", "bad_pixels", "drop"))
    always = (seen.bad_counts == len(seen.rows)).sum() > np.count_nonzero(seen.bad_counts) / 2
    if not always:  # noise is below zero now and then; of what is no number the operator may know that it was dark
        label = "count them as zero" if seen.n_not_finite else "set noise below zero to zero"
        fixes.append(Fix(label, "bad_pixels", "zero"))
    return fixes or [Fix("put the mean of the pixel in their place", "bad_pixels", "fill")]


def to_counts(
    patterns: Patterns, looked: Looked, stored: Stored, settings: Settings, path: Path, notes: list[str]
) -> tuple[Patterns, Survey | None]:
    """Return the patterns as counts, and their survey where it is known."""
    told = looked.told
    reason = f"the format's usual content; the numbers do not tell (a {stored.source.dtype} that is neither)"
    held = (settings.get("data") or told) if told else settings.assume("data", stored.values, reason)
    conversion = _conversion_of(held, told)
    largest = looked.values.maximum
    if held == "amplitude":
        largest **= 2
    elif conversion is not None:
        with np.errstate(over="ignore"):
            largest = float(conversion(np.array([largest], np.float64))[0])
    if largest > LARGEST_COUNT:
        told_so = f"{path}: a pixel of {largest:.3g} counts is more than any detector counts ({LARGEST_COUNT:.0e})"
        if looked.values.maximum > LARGEST_COUNT:
            raise InputError(f"{told_so}, and so are most: the file holds something else, or is damaged")
        raise InputError(
            f"{told_so}; the values were taken as {held}: set data=counts if they are these",
            [Fix("they are counts", "data", "counts")],
        )
    if conversion is not None:
        base = conversions.LOGARITHMS.get(held)
        done = "squared the stored amplitudes to counts" if base is None else f"turned {held}(1 + counts) into counts"
        notes.append(done + ("" if told else f" (assumed to be {'amplitudes' if base is None else held})"))
    elif not told:
        notes.append("took the stored values as counts (assumed)")
    seen = looked.counts if conversion == looked.conversion else None
    return patterns if conversion is None else patterns.then(conversion), seen


def _conversion_of(held: str, told: str | None) -> PatternStep | None:
    """Return what makes counts of stored values that are held for something, and are told to be so or not."""
    if held in conversions.LOGARITHMS:
        return conversions.FromLogarithm(conversions.LOGARITHMS[held], whole=told == held)
    if held != "amplitude":
        return None
    return conversions.square_to_whole if told == "amplitude" else conversions.square


def what_values_are(batch: NDArray[np.float32], dtype: np.dtype[Any]) -> str | None:
    """Tell counts from amplitudes and logarithms by values (b, y, x), stored as ``dtype``; None where they do not tell.

    Whole numbers are counts. Numbers whose squares are whole to within the rounding of float32 are amplitudes, and
    logarithms are those whose exponential, less one, is.
    """
    if dtype.kind in "biu":
        return "counts"
    values = batch.astype(np.float64).ravel()
    values = values[np.isfinite(values) & (values != 0)]
    precision = max(np.finfo(np.float32).eps, np.finfo(dtype).eps)
    judged = values[abs(values) < 1 / precision]
    if len(judged) and (judged == np.round(judged)).all():
        return "counts"
    squares = np.square(values[values > 0])
    judged = squares[squares < min(_LARGEST_JUDGED, 1e-2 / (8 * precision))]
    if len(judged) >= _FEWEST_JUDGED and (abs(judged - np.round(judged)) <= 8 * precision * judged).all():
        return "amplitude"
    bases = conversions.LOGARITHMS
    return next((name for name, base in bases.items() if _are_logarithms(values, base, precision)), None)


def _are_logarithms(values: NDArray[np.float64], base: float, precision: float) -> bool:
    values = values[(values > 0) & (values < _LARGEST_LOGARITHM)]
    counts = np.expm1(values * np.log(base))
    rounding = 8 * precision * values * np.log(base) * (1 + counts)
    judged = counts[rounding < _ROUNDING_THAT_TELLS]
    different = len(np.unique(np.round(judged)))
    return bool(different >= _FEWEST_JUDGED and (abs(judged - np.round(judged)) <= _ROUNDING_THAT_TELLS).all())
