"""What is wrong with the counts of a scan, seen in its survey, and the step that puts it right. No torch here."""

from __future__ import annotations

from collections.abc import Iterator

from ptycho_core.base.errors import Fix, Problem
from ptycho_core.inspection.outlier_checks import check_outliers
from ptycho_core.inspection.pixel_checks import OFF_CENTRE, check_pixels
from ptycho_core.inspection.unit_checks import check_units
from ptycho_core.preprocessing.centring import centre_of_mass
from ptycho_core.scan.scan import Scan
from ptycho_core.scan.survey import Survey


def check_counts(scan: Scan, seen: Survey) -> list[Problem]:
    """Look for patterns unlike the others, and for values that are no photons counted by a detector."""
    if not seen.sums.any():
        return [Problem("patterns", f"all {len(seen.rows)} patterns looked at hold nothing but zeros")]
    found = [*check_outliers(scan, seen), *check_pixels(scan, seen), *check_units(scan, seen)]
    spoilt = any(problem.field in ("bright", "hot") for problem in found)  # the mean, until these are left out
    return found if spoilt else [*found, *_off_centre(scan, seen)]


def _off_centre(scan: Scan, seen: Survey) -> Iterator[Problem]:
    if scan.geometry.propagator == "near":  # a shadow has no centre
        return
    y, x = centre_of_mass(seen.mean, seen.good)
    middle = scan.size // 2
    if max(abs(y - middle), abs(x - middle)) > OFF_CENTRE * scan.size:
        yield Problem(
            "centre",
            f"the mean pattern has its centre of mass at pixel ({y:.4g}, {x:.4g}), and ({middle}, {middle}) is taken "
            "for the undiffracted beam: centre the patterns, and crop them after that",
            "warning",
            (Fix("centre the patterns", "--centre", "mass"),),
        )
