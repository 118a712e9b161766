"""pty-chi: counts in ``dp`` of one HDF5 file, positions and probe in another, laid out like a ptychodus product.

Layout: https://github.com/AdvancedPhotonSource/pty-chi, ``tests/test_utils.py``, `load_data_ptychodus`. Positions in
metres from the middle of the object, paired by order where there are no indexes; DC in the centre.
"""

from __future__ import annotations

from ptycho_core.formats.readers import ptychodus
from ptycho_core.formats.stored import Stored
from ptycho_core.formats.stores.store import Store
from ptycho_core.scan.settings import Settings

IN_TWO_FILES = True
_PATTERNS = "dp"


def sniff(store: Store, positions: Store | None) -> bool:
    """Tell whether this is the format."""
    return _PATTERNS in store and ptychodus.POSITIONS in (positions or store)


def read(store: Store, positions: Store | None, settings: Settings) -> Stored:
    """Read what the two files store."""
    return ptychodus.read_with_product(store, _PATTERNS, positions, settings)
