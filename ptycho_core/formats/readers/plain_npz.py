"""Plain NPZ, tike's among them: ``patterns`` or ``data``, ``scan`` or ``positions`` in pixels (y, x), ``probe``.

Layout of tike's: https://github.com/AdvancedPhotonSource/tike, module ``tike.ptycho``: counts, DC in the corner.
"""

from __future__ import annotations

from ptycho_core.formats import fields
from ptycho_core.formats.masks import named_mask
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.settings import Settings

PATTERNS = ("patterns", "data")
POSITIONS = ("scan", "positions")


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return store.container == "npz" and store.first(*PATTERNS) is not None


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the file stores."""
    notes: list[str] = []
    pattern_key, position_key = store.require(*PATTERNS), store.require(*POSITIONS)
    source = store.patterns(pattern_key)
    return Stored(
        source=source,
        positions=fields.points(store, position_key, source.shape[0], settings),
        probe=fields.probe_modes(store, store.first("probe"), source.shape[1:], settings, notes),
        mask=named_mask(store, source, settings, notes),
        object_guess=fields.object_image(store, store.first("object", "psi"), notes),
        notes=notes,
    )
