"""Units that files and operators name, in metres and electronvolts."""

from __future__ import annotations

JOULE_PER_EV = 1.602176634e-19

UNITS = {"px": None, "m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
"""Metres per unit of a position; pixels need no conversion."""

LENGTHS_M = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), 1e-2),
    **dict.fromkeys(("mm", "millimetre", "millimeter"), 1e-3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometre", "micrometer", "mum"), 1e-6),
    **dict.fromkeys(("nm", "nanometre", "nanometer"), 1e-9),
    **dict.fromkeys(("angstrom", "angstroms", "ångström", "å", "ang"), 1e-10),
    **dict.fromkeys(("pm", "picometre", "picometer"), 1e-12),
}
"""Metres per unit, by the unit's name in small letters."""
ENERGIES_EV = {
    **dict.fromkeys(("j", "joule", "joules"), 1 / JOULE_PER_EV),
    **dict.fromkeys(("ev", "electronvolt", "electronvolts"), 1.0),
    **dict.fromkeys(("kev", "kiloelectronvolt"), 1e3),
    "mev": 1e6,
}
"""Electronvolts per unit, by the unit's name in small letters."""
