from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

import ptycho_core
from ptycho_core.base.environment import host, versions


def test_versions_are_those_of_the_imported_packages():
    found = versions()
    assert found["ptycho"] == ptycho_core.__version__
    assert found["numpy"] == np.__version__
    assert found["python"] == sys.version.split()[0]
    assert "torch" in found


def test_asking_imports_none_of_the_packages():
    code = (
        "import sys; import ptycho_core.base.environment as e; e.versions(); e.host();"
        "assert not {'torch', 'numpy', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_host_has_cpus_and_memory_and_is_ready_for_json():
    found = json.loads(json.dumps(host()))
    assert found["cpu_count"] >= 1
    assert found["memory_bytes"] > 2**28
