"""What `ptycho_core` itself names: the public interface."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ptycho_core

NAMES = [name for name in ptycho_core.__all__ if name != "__version__"]
COMPUTING = {"best_picture", "export_checkpoint", "reconstruct", "resume", "train"}


def loaded(code: str) -> set[str]:
    """The heavy packages among what a fresh interpreter has imported after some lines."""
    heavy = "{'h5py', 'lightning', 'numpy', 'scipy', 'torch'}"
    words = [sys.executable, "-c", f"import sys\n{code}\nprint(*({heavy} & set(sys.modules)))"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_imports_nothing_heavy():
    assert loaded("import ptycho_core\ndir(ptycho_core)") == set()


def test_torch_comes_only_with_what_computes():
    light = sorted(set(NAMES) - COMPUTING)
    assert {"lightning", "torch"}.isdisjoint(loaded(f"from ptycho_core import {', '.join(light)}"))
    assert {getattr(ptycho_core, name).__module__.split(".")[1] for name in COMPUTING} == {"engines"}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_listed_and_documented(name):
    found = getattr(ptycho_core, name)
    assert name in dir(ptycho_core)
    assert inspect.getdoc(found)


def test_type_checkers_see_the_same_names_of_the_same_modules():
    tree = ast.parse(Path(ptycho_core.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    declared = {
        alias.asname: (node.module, alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(declared) == sorted(NAMES)
    for name, (module, original) in declared.items():
        home = importlib.import_module(str(module))
        assert getattr(home, original) is getattr(ptycho_core, name)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'ptycho_core' has no attribute 'trian'"):
        ptycho_core.trian  # noqa: B018


def test_everything_can_be_imported_at_once():
    names: dict[str, object] = {}
    exec("from ptycho_core import *", names)
    assert set(NAMES) <= set(names)
