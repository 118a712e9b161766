"""`SimulationSpec`: everything that a simulated scan is made of, with limits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ptycho_core.base.errors import InputError
from ptycho_core.base.knobs import Knob, knob
from ptycho_core.scan.radiation import PROPAGATORS
from ptycho_core.scan.scan import Geometry

_OBJECT, _PROBE, _POSITIONS, _DETECTOR = "Object", "Probe", "Positions", "Detector"


@dataclass(frozen=True)
class SimulationSpec:
    """What to simulate. The defaults are the demonstration scan; each field's help and limits are its `Knob`.

    Raises
    ------
    InputError
        Naming the field and what would be right, when a value lies outside its limits.
    """

    object: str = knob(
        "siemens_star",
        str,
        _OBJECT,
        "What lies on the canvas; photographs: one as modulus, another as phase",
        choices=("siemens_star", "lines", "photographs", "flat"),
    )
    modulus_min: float = knob(0.8, float, _OBJECT, "Least modulus of the object", minimum=0, maximum=1)
    modulus_max: float = knob(1.0, float, _OBJECT, "Greatest modulus of the object", minimum=0, maximum=1)
    phase_min: float = knob(0.0, float, _OBJECT, "Least phase of the object in radians", minimum=-100, maximum=100)
    phase_max: float = knob(1.0, float, _OBJECT, "Greatest phase of the object in radians", minimum=-100, maximum=100)

    probe: str = knob(
        "zone_plate",
        str,
        _PROBE,
        "Illumination: by a round lens with a central stop, by one without (Airy), or a smooth disc of flat phase",
        choices=("zone_plate", "aperture", "flat_top"),
    )
    aperture: float = knob(
        0.5,
        float,
        _PROBE,
        "Diameter of the beam over the width of the window: in the lens's plane (so on the detector) for zone_plate "
        "and aperture, on the sample for flat_top",
        minimum=0.05,
        maximum=0.95,
    )
    defocus_m: float = knob(
        1.2e-3,
        float,
        _PROBE,
        "Distance in metres from the focus, or from the flat-topped disc, to the sample; in the near field it tells "
        "the magnification",
        minimum=-1,
        maximum=1,
    )
    guess_defocus_error_m: float = knob(
        -0.4e-3,
        float,
        _PROBE,
        "How rough the scan's probe guess is: its defocus minus the true one in metres",
        minimum=-1,
        maximum=1,
    )
    modes: int = knob(1, int, _PROBE, "Number of mutually incoherent probe modes", minimum=1, maximum=16)
    mode_ratio: float = knob(
        0.3, float, _PROBE, "Power of each further mode over that of the one before it", above=0, maximum=1
    )

    positions: str = knob(
        "raster",
        str,
        _POSITIONS,
        "Path of the beam: rows from left to right, rows there and back, or Fermat's spiral",
        choices=("raster", "snake", "spiral"),
    )
    n_patterns: int = knob(400, int, _POSITIONS, "Number of patterns", minimum=1, maximum=1_000_000)
    step_px: float = knob(
        6.0, float, _POSITIONS, "Distance of neighbouring positions in object pixels", minimum=0.1, maximum=1000
    )
    jitter_px: float = knob(
        1.5,
        float,
        _POSITIONS,
        "Greatest known deviation from the regular path, along each axis, in object pixels",
        minimum=0,
        maximum=1000,
    )
    position_error_px: float = knob(
        0.0,
        float,
        _POSITIONS,
        "RMS difference of recorded and true positions, along each axis, in object pixels",
        minimum=0,
        maximum=1000,
    )

    size: int = knob(64, int, _DETECTOR, "Width N of a pattern in pixels", minimum=8, maximum=4096)
    counts_per_pixel: float = knob(
        30.0,
        float,
        _DETECTOR,
        "Dose: photons in the beam over N^2, which is the mean count where the object is of modulus 1",
        above=0,
        maximum=100_000,
    )
    photon_noise: bool = knob(True, bool, _DETECTOR, "Draw Poisson counts; else patterns are exact intensities")
    background: float = knob(
        0.0,
        float,
        _DETECTOR,
        "Constant background in counts per pixel, as noisy as the rest",
        minimum=0,
        maximum=100_000,
    )
    dead_pixels: int = knob(0, int, _DETECTOR, "Number of masked pixels that read 0", minimum=0)
    hot_pixels: int = knob(0, int, _DETECTOR, "Number of masked pixels that read the largest count", minimum=0)
    propagator: str = knob(
        "far",
        str,
        _DETECTOR,
        "Far field, or near field (Fresnel): a magnified shadow in the cone of light behind the focus",
        choices=PROPAGATORS,
    )
    energy_ev: float = knob(8000.0, float, _DETECTOR, "Photon energy in electronvolts", minimum=10, maximum=1e6)
    distance_m: float = knob(
        2.0, float, _DETECTOR, "Distance from sample to detector in metres", minimum=1e-3, maximum=100
    )
    detector_pixel_m: float = knob(
        75e-6, float, _DETECTOR, "Pitch of the detector's square pixels in metres", minimum=1e-7, maximum=1e-2
    )
    seed: int = knob(
        0,
        int,
        _DETECTOR,
        "Seed of jitter, position errors, bad pixels, photon noise and random lines",
        minimum=0,
        maximum=2**32 - 1,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            declared: Knob = field.metadata["knob"]
            object.__setattr__(self, field.name, declared.check(field.name, getattr(self, field.name)))
        for least, greatest in (("modulus_min", "modulus_max"), ("phase_min", "phase_max")):
            low, high = getattr(self, least), getattr(self, greatest)
            if low > high:
                raise InputError(f"{least} must be at most {greatest} ({high:g}) (it is {low:g})")
        bad = self.dead_pixels + self.hot_pixels
        if bad > self.size**2 // 2:
            raise InputError(
                f"dead_pixels and hot_pixels together must be at most half of {self.size**2} pixels (they are {bad})"
            )

        if self.propagator == "near":
            self._check_near_field()

    def _check_near_field(self) -> None:
        if self.defocus_m <= 0:
            raise InputError(f"defocus_m must be above 0 in the near field (it is {self.defocus_m:g})")
        spread, _ = self.geometry.fresnel_spread or (0.0, 0.0)
        if spread > self.size:
            raise InputError(
                f"light would spread over {spread:.3g} pixels on its way to the detector, more than the {self.size} of "
                f"a pattern: take defocus_m of at least {self.defocus_m * spread / self.size:.2g}"
            )

    @property
    def geometry(self) -> Geometry:
        """The measurement's geometry."""
        pitch = (self.detector_pixel_m, self.detector_pixel_m)
        if self.propagator == "far":
            return Geometry(self.energy_ev, self.distance_m, pitch)
        magnification = 1 + self.distance_m / self.defocus_m
        return Geometry(self.energy_ev, self.distance_m, pitch, propagator="near", magnification=magnification)
