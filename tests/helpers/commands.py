"""The command line in a process of its own."""

from __future__ import annotations

import sys

PTYCHO = [sys.executable, "-c", "import sys; from ptycho_core.cli import main; sys.exit(main())"]
