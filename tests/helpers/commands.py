"""The command line in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

PTYCHO = [sys.executable, "-c", "import sys; from ptycho_core.cli import main; sys.exit(main())"]


def ptycho(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with what it prints."""
    return subprocess.run([*PTYCHO, *map(str, words)], capture_output=True, text=True, **options)
