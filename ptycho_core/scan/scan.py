"""`Scan`: the one in-memory form of a measurement, whatever file it came from. No torch here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptycho_core.base.errors import InputError
from ptycho_core.base.file_state import FileState
from ptycho_core.scan.radiation import PROPAGATORS, SOURCES, wavelength_m
from ptycho_core.scan.settings import Assumption
from ptycho_core.scan.source import ScanSource

if TYPE_CHECKING:
    from ptycho_core.scan.survey import Survey


class ArraySource(Protocol):
    """Anything that holds a stack of patterns: ``ndarray``, memory map, or a wrapper of an HDF5 dataset."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, y, x)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""

    def __getitem__(self, index: Any, /) -> Any: ...


PatternStep = Callable[[NDArray[Any]], NDArray[Any]]
"""Converts a batch (b, y, x) to another batch of the same length; a module-level callable, so that it pickles."""


_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Stack(Generic[_Value]):
    """Images (n, y, x), read and converted batch by batch; an `ArraySource` itself.

    Parameters
    ----------
    source
        (n_source, y, x) array-like as stored.
    steps
        Conversions applied in order to each batch read: squares, shifts, transposes, crops.
    rows
        (n,) indexes into the source, or None for all of it in its own order.
    """

    source: ArraySource
    steps: tuple[PatternStep, ...] = ()
    rows: NDArray[np.int64] | None = None
    shape: tuple[int, int, int] = field(init=False)

    dtype: ClassVar[np.dtype[Any]]
    """Of what is read."""

    def __post_init__(self) -> None:
        n = len(self.rows) if self.rows is not None else int(self.source.shape[0])
        probe_batch = np.zeros((1, *self.source.shape[1:]), self.source.dtype)
        height, width = self._convert(probe_batch).shape[1:]
        object.__setattr__(self, "shape", (n, height, width))

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole stack as it is read."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    @property
    def in_memory(self) -> bool:
        """True when the source is a plain array, not a file."""
        return type(self.source) is np.ndarray

    def _convert(self, batch: NDArray[Any]) -> NDArray[_Value]:
        # What float32 cannot hold becomes infinite, which the survey finds and names.
        with np.errstate(over="ignore", invalid="ignore"):
            for step in self.steps:
                batch = step(batch)
            return np.ascontiguousarray(batch, dtype=self.dtype)

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[Any]) -> NDArray[_Value]:
        """Images as ``dtype``: (N, N) for an integer, else (b, N, N) in the order asked for."""
        if isinstance(index, (int, np.integer)):
            row = range(len(self))[int(index)]
            one: NDArray[_Value] = self[np.asarray([row])][0]
            return one
        if isinstance(index, slice) and self.rows is None and index.step in (None, 1):
            return self._convert(np.asarray(self.source[index]))
        positions: NDArray[np.int64] = np.arange(len(self))[index]
        rows = positions if self.rows is None else self.rows[positions]
        if self.in_memory:
            return self._convert(np.asarray(self.source[rows]))
        unique, inverse = np.unique(rows, return_inverse=True)  # HDF5 wants increasing, unique indexes
        if len(unique) and unique[-1] - unique[0] + 1 == len(unique):
            batch = np.asarray(self.source[int(unique[0]) : int(unique[-1]) + 1])
        else:
            batch = np.asarray(self.source[unique])
        return self._convert(batch[inverse])

    @property
    def together(self) -> int:
        """How many adjacent images are best read together, because they are compressed together."""
        return int(getattr(self.source, "together", 1))

    def then(self, step: PatternStep) -> Self:
        """Return these images with one more conversion at the end."""
        return dataclasses.replace(self, steps=(*self.steps, step))

    def take(self, index: Sequence[int] | NDArray[Any]) -> Self:
        """Return the images at these places, still unread."""
        chosen: NDArray[np.int64] = np.arange(len(self))[np.asarray(index)]
        return dataclasses.replace(self, rows=chosen if self.rows is None else self.rows[chosen])


@dataclass(frozen=True, eq=False)
class Patterns(Stack[np.float32]):
    """Diffraction patterns as photon counts; the source holds counts or amplitudes of any real type."""

    dtype = np.dtype(np.float32)

    surveys: dict[bool, tuple[GoodPixels | None, Survey]] = field(init=False, repr=False, default_factory=dict)
    """What `survey_of` keeps here: of all patterns or not, under which mask, and what was seen."""

    guesses: list[tuple[Any, ...]] = field(init=False, repr=False, default_factory=list)
    """What `initial_probe` keeps here: the last one, and what it was made for."""

    def load(self) -> Patterns:
        """Return the same counts held in memory as float32."""
        return self if self.in_memory and not self.steps and self.rows is None else Patterns(self[:])


@dataclass(frozen=True, eq=False)
class Masks(Stack[np.bool_]):
    """Masks that differ from pattern to pattern: True where a pixel of that pattern is good."""

    dtype = np.dtype(np.bool_)


GoodPixels = NDArray[np.bool_] | Masks
"""(N, N) True where a detector pixel is good in all patterns, or (n, N, N) `Masks`, one for each."""


def where_good(good: GoodPixels, step: PatternStep) -> GoodPixels:
    """Return good pixels after a conversion of images (..., y, x), the same as that of the patterns."""
    return good.then(step) if isinstance(good, Masks) else np.ascontiguousarray(step(good), dtype=np.bool_)


def both_good(one: GoodPixels | None, other: GoodPixels | None) -> GoodPixels | None:
    """Return the pixels that two masks, of which None has all, both call good."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Masks):
        return Masks(_Both(one, other)) if isinstance(other, Masks) else one.then(_Among(other))
    return other.then(_Among(one)) if isinstance(other, Masks) else one & other


@dataclass(frozen=True, eq=False)
class _Among:
    """Leaves of masks (b, y, x) what is good (y, x) in all patterns."""

    good: NDArray[np.bool_]

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.bool_]:
        among: NDArray[np.bool_] = batch & self.good
        return among


@dataclass(frozen=True, eq=False)
class _Both:
    """What two stacks of masks both call good; an `ArraySource`."""

    one: Masks
    other: Masks

    @property
    def shape(self) -> tuple[int, ...]:
        return self.one.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.one.dtype

    @property
    def together(self) -> int:
        return max(self.one.together, self.other.together)

    def __getitem__(self, index: Any, /) -> NDArray[np.bool_]:
        both: NDArray[np.bool_] = self.one[index] & self.other[index]
        return both


@dataclass(frozen=True)
class Geometry:
    """The measurement's geometry; None where the file does not tell.

    Parameters
    ----------
    energy_ev
        Of a photon, or the kinetic energy of an electron.
    distance_m
        From sample to detector.
    detector_pixel_m
        Detector pixel pitch (y, x).
    object_pixel_m
        Object pixel size (y, x) where a file states it directly; else it follows from the others.
    source
        One of `SOURCES`.
    propagator
        One of `PROPAGATORS`.
    magnification
        Of the sample's shadow on the detector in the near field: 1 in a parallel beam, ``1 + distance / defocus`` in
        the cone of light behind a focus.
    """

    energy_ev: float | None = None
    distance_m: float | None = None
    detector_pixel_m: tuple[float, float] | None = None
    object_pixel_m: tuple[float, float] | None = None
    source: str = SOURCES[0]
    propagator: str = PROPAGATORS[0]
    magnification: float | None = None

    @property
    def wavelength_m(self) -> float | None:
        """As `radiation.wavelength_m`; None where the energy is not known."""
        return wavelength_m(self.energy_ev, self.source) if self.energy_ev else None

    def pixel_size_m(self, size: int) -> tuple[float, float] | None:
        """Object pixel size (y, x) of patterns of ``size`` pixels.

        wavelength x distance / (size x pitch); in the near field pitch / magnification, once that is known.
        """
        if self.object_pixel_m is not None:
            return self.object_pixel_m
        pitch = self.detector_pixel_m
        if self.propagator == "near" and self.magnification:
            return pitch and (pitch[0] / self.magnification, pitch[1] / self.magnification)
        if not (self.wavelength_m and self.distance_m and pitch):
            return None
        span = self.wavelength_m * self.distance_m / size
        return span / pitch[0], span / pitch[1]

    @property
    def fresnel_spread(self) -> tuple[float, float] | None:
        """(y, x) the reciprocal of a pixel's Fresnel number in the near field; None in the far field.

        wavelength x effective distance / pixel^2, the effective distance of a cone of light being distance /
        magnification. Detail of q cycles per pixel is blurred over q times so many pixels.

        Raises
        ------
        InputError
            Something that it takes is not known.
        """
        if self.propagator == "far":
            return None
        if missing := self.missing_for_near_field:
            raise InputError(f"the near field asks for {asked_for(missing)}", by_command="--set KEY=VALUE")
        pixel, wavelength = self.pixel_size_m(1), self.wavelength_m
        assert pixel is not None
        reach = (wavelength or 0.0) * (self.distance_m or 0.0) / (self.magnification or 1.0)
        return reach / pixel[0] ** 2, reach / pixel[1] ** 2

    @property
    def missing_for_near_field(self) -> list[str]:
        """The answers of `scan.settings.SETTINGS` that a near field needs and does not have."""
        missing = [name for name in ("energy_ev", "distance_m") if not getattr(self, name)]
        if not self.detector_pixel_m and not self.object_pixel_m:
            missing.append("detector_pixel_m")
        return missing if self.magnification else [*missing, "defocus_m", "magnification"]

    def zoom(self, before: int, after: int) -> float:
        """How many times smaller object pixels get where patterns of one width are cropped or padded to another."""
        return 1.0 if self.propagator == "near" else after / before


def asked_for(missing: Sequence[str]) -> str:
    """Return `Geometry.missing_for_near_field` in words."""
    names = [name for name in missing if name != "magnification"]
    return ", ".join(names).replace("defocus_m", "defocus_m or magnification")


_IN_MEMORY = ScanSource(format="memory")


@dataclass(frozen=True, eq=False)
class Scan:
    """Patterns and the places of the beam, in the core's own convention.

    Parameters
    ----------
    patterns
        (n, N, N) photon counts, DC at pixel (N//2, N//2).
    positions
        (n, 2) float64: (y, x) in object pixels, where the probe's centre sits on the object; +y down, +x right.
    probe
        (M, N, N) complex64 guess of the incoherent modes at any scale, or None.
    mask
        (N, N) bool, True where a detector pixel is good, or (n, N, N) `Masks`, where that differs from pattern to
        pattern; None when all are.
    geometry
        Energy, distance, pixel sizes.
    indexes
        (n,) the file's own numbers of the patterns.
    object_guess
        (H, W) complex64 or None; carried along, not used for training.
    source
        Where it came from, how it was read and what was done to it since: to do the same again.
    history
        Sentences: everything that was converted or assumed on the way.
    assumptions
        What the file left open.
    growing
        Whether the file was still being written: it may hold more by now.
    has_all
        Whether the file says how many patterns there will be, and they were there.
    files
        Those that it was read from, as they were then.
    lost
        Part of the counts that crops and the like have taken away since they were read.
    """

    patterns: Patterns
    positions: NDArray[np.float64]
    probe: NDArray[np.complex64] | None = None
    mask: GoodPixels | None = None
    geometry: Geometry = Geometry()
    indexes: NDArray[np.int64] | None = None
    object_guess: NDArray[np.complex64] | None = None
    source: ScanSource = _IN_MEMORY
    history: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    growing: bool = False
    has_all: bool = False
    files: tuple[FileState, ...] = ()
    lost: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.mask, Masks) and self.mask.shape != self.patterns.shape:
            raise ValueError(f"masks {self.mask.shape} do not belong to patterns {self.patterns.shape}")

    def __len__(self) -> int:
        return len(self.patterns)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """(n,) numbers of the patterns: the file's own, or their places where it has none."""
        return np.arange(len(self)) if self.indexes is None else self.indexes

    @property
    def size(self) -> int:
        """N, the width of a pattern in pixels."""
        return self.patterns.shape[-1]

    @property
    def pixel_size_m(self) -> tuple[float, float] | None:
        """Object pixel size (y, x), or None where the geometry is not known."""
        return self.geometry.pixel_size_m(self.size)

    @property
    def fresnel_spread(self) -> tuple[float, float] | None:
        """As `Geometry.fresnel_spread`: None in the far field."""
        return self.geometry.fresnel_spread

    def good_pixels(self, rows: int | slice | NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Return where a pattern or some are good: (N, N), or (b, N, N) where these differ; None for everywhere."""
        return self.mask[rows] if isinstance(self.mask, Masks) else self.mask

    def replace(self, note: str | None = None, **changes: Any) -> Scan:
        """Return a copy with some fields changed and, if given, a sentence added to its history."""
        if note:
            changes["history"] = (*self.history, note)
        return dataclasses.replace(self, **changes)

    def without(self, part: float) -> float:
        """Return what is ``lost`` once a part of the counts that are left is taken away too."""
        return 1 - (1 - self.lost) * (1 - part)

    def take(self, index: Sequence[int] | NDArray[Any]) -> Scan:
        """Return the scan of these patterns only, in this order."""
        rows = np.arange(len(self))[np.asarray(index)]
        numbers = self.numbers[rows]
        mask = self.mask.take(rows) if isinstance(self.mask, Masks) else self.mask
        patterns = self.patterns.take(rows)
        return self.replace(patterns=patterns, mask=mask, positions=self.positions[rows], indexes=numbers)
