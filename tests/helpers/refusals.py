"""What a file that cannot be used is told by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ptycho_core.base.errors import InputError
from ptycho_core.formats import read_scan


def refused(path: Path, words: str, **options: Any) -> None:
    """Ask that reading a scan end in one sentence with the file's name and these words, a regular expression."""
    with pytest.raises(InputError, match=words) as caught:
        read_scan(path, **options)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert caught.value.exit_code == 2
