"""Readers that other packages bring, by real installed distributions: a package and its dist-info on the path."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from ptycho_core import formats
from ptycho_core.base.errors import InputError, UnknownFormatError
from ptycho_core.cli import main
from ptycho_core.formats import format_of, read_scan
from tests.helpers import scan_files as files

READER = """
    import numpy as np
    from ptycho_core import Stored

    def sniff(store, positions):
        return "lab/frames" in store

    def read(store, positions, settings):
        frames = store.patterns("lab/frames")
        return Stored(source=frames, positions=np.arange(2.0 * frames.shape[0]).reshape(-1, 2))
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of one module, with readers registered by name."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    formats.installed_readers.cache_clear()
    modules = []

    def make(package, code, **points):
        module = package.replace("-", "_")
        modules.append(module)
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name.replace('_', '-')} = {module}{where}\n" for name, where in points.items())
        (info / "entry_points.txt").write_text(f"[ptycho.readers]\n{lines}")

    yield make
    formats.installed_readers.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def lab_file(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["lab/frames"] = files.counts()
    return path


def test_a_reader_of_another_package_reads_its_files_and_the_history_says_whose_it_is(install, lab_file):
    install("lab-ptycho", READER, lab="")
    scan = read_scan(lab_file)
    assert scan.history[1] == "lab is a reader of the package lab-ptycho"
    assert scan.history[0].startswith("read scan.h5 as lab: ")
    np.testing.assert_array_equal(scan.patterns[:], files.counts())
    np.testing.assert_array_equal(scan.positions[1], [2, 3])
    assert format_of(lab_file) == "lab"


def test_a_reader_may_be_a_class(install, lab_file):
    code = textwrap.dedent(READER) + "\nclass Lab:\n    sniff = staticmethod(sniff)\n    read = staticmethod(read)\n"
    install("lab-ptycho", code, lab=":Lab")
    assert len(read_scan(lab_file)) == len(files.counts())


def test_inspecting_a_scan_names_its_reader_and_package(install, lab_file, capsys):
    install("lab-ptycho", READER, lab="")
    main(["inspect", str(lab_file)])
    assert "lab is a reader of the package lab-ptycho" in capsys.readouterr().err


def test_a_name_of_ours_is_never_taken(install, lab_file, caplog):
    install("lab-ptycho", READER, cxi="", mapped="")
    with caplog.at_level(logging.WARNING), pytest.raises(UnknownFormatError) as refused:
        read_scan(lab_file)
    sentence = "the reader cxi of the package lab-ptycho is left out: ptycho itself has one of this name"
    assert sentence in str(refused.value)
    assert sentence in caplog.messages
    assert "the reader mapped of the package lab-ptycho is left out" in str(refused.value)


def test_of_two_packages_with_one_name_the_second_is_left_out(install, lab_file):
    install("lab-ptycho", READER, lab="")
    install("other-ptycho", READER, lab="")
    assert len(read_scan(lab_file)) == len(files.counts())
    (problem,) = formats.installed_readers().problems
    kept = formats.installed_readers().packages["lab"]
    assert problem.endswith(f"is left out: the package {kept} has one of this name")


ON_CXI = READER.replace("lab/frames", "entry_1/data_1/data")
CLAIMS_ALL = """
    def sniff(store, positions):
        return True

    def read(store, positions, settings):
        ...
"""


@pytest.mark.parametrize("name", [name for name in files.WRITERS if name not in formats.COMMON])
def test_a_file_with_keys_of_our_own_formats_stays_ours(install, tmp_path, name):
    install("greedy-ptycho", CLAIMS_ALL, greedy="")
    assert format_of(files.write(tmp_path, name)) == name


@pytest.mark.parametrize("name", formats.COMMON)
def test_a_common_layout_is_theirs_to_claim(install, tmp_path, name):
    install("greedy-ptycho", CLAIMS_ALL, greedy="")
    assert format_of(files.write(tmp_path, name)) == "greedy"


def test_where_theirs_comes_before_ours_the_history_tells_the_way_back(install, tmp_path):
    install("lab-ptycho", ON_CXI, lab="")
    path = files.write(tmp_path, "cxi")
    assert read_scan(path).history[1] == "lab is a reader of the package lab-ptycho; --format cxi reads the file as cxi"
    assert read_scan(path, format="cxi").source.format == "cxi"


def test_the_command_line_reads_as_the_format_that_is_named(install, tmp_path, capsys):
    install("lab-ptycho", ON_CXI, lab="")
    path = files.write(tmp_path, "cxi")
    main(["inspect", str(path), "--format", "cxi"])
    assert "lab-ptycho" not in capsys.readouterr().err


def test_two_that_claim_one_file_are_named_and_the_operator_says_which(install, lab_file):
    install("lab-ptycho", READER, lab="")
    install("other-ptycho", READER, other="")
    both = r"readers lab \(of the package lab-ptycho\) and other \(of the package other-ptycho\): say which"
    with pytest.raises(InputError, match=both):
        read_scan(lab_file)
    assert read_scan(lab_file, format="other").source.format == "other"


def test_a_format_that_is_not_installed_lists_those_that_are(install, lab_file):
    install("lab-ptycho", READER, lab="")
    with pytest.raises(InputError, match=r"there is no format 'lap'; did you mean lab\?"):
        read_scan(lab_file, format="lap")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (READER.replace("frames = ", 'raise KeyError("stage")\n        frames = '), "failed (KeyError: 'stage')"),
        (READER.replace("return Stored(", "return dict("), "failed (AttributeError: 'dict' object has no attribute"),
        (READER.replace("reshape(-1, 2)", "astype(str)"), "failed ("),
    ],
    ids=["raises", "returns something else", "returns nonsense"],
)
def test_a_reader_that_fails_is_named_in_one_sentence(install, lab_file, capsys, code, sentence):
    install("lab-ptycho", code, lab="")
    with pytest.raises(InputError) as refused:
        read_scan(lab_file)
    assert str(refused.value).startswith(f"{lab_file} cannot be read because the reader lab of the package lab-ptycho ")
    assert sentence in str(refused.value)
    assert main(["inspect", str(lab_file)]) == 2
    assert capsys.readouterr().err == f"error: {refused.value}; {refused.value.by_command}\n"


def test_what_a_reader_says_itself_is_passed_on(install, lab_file):
    code = READER.replace('"lab/frames")', '"lab/fames")')
    install("lab-ptycho", code, lab="")
    with pytest.raises(InputError, match="'lab/fames'") as refused:
        read_scan(lab_file)
    assert "lab-ptycho" not in str(refused.value)


def test_a_reader_that_fails_to_look_is_passed_over_with_a_warning(install, tmp_path, caplog):
    install("lab-ptycho", READER.replace('"lab/frames" in store', "store.nonsense"), lab="")
    with caplog.at_level(logging.WARNING):
        assert format_of(files.write(tmp_path, "cxi")) == "cxi"
    (message,) = caplog.messages
    assert message.startswith(
        "the reader lab of the package lab-ptycho failed when it looked at a file (AttributeError"
    )


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import a_driver_that_is_not_there", "it cannot be imported (ModuleNotFoundError: No module named 'a_driver"),
        ("def sniff(store, positions): ...", "it has no read"),
    ],
    ids=["import", "half"],
)
def test_a_reader_that_cannot_be_used_is_left_out_with_a_warning(install, tmp_path, caplog, capsys, code, problem):
    install("broken-ptycho", code, broken="")
    install("lab-ptycho", ON_CXI, lab="")
    path = files.write(tmp_path, "cxi")
    with caplog.at_level(logging.WARNING):
        assert format_of(path) == "lab"
    sentence = f"the reader broken of the package broken-ptycho is left out: {problem}"
    assert [message.startswith(sentence) for message in caplog.messages] == [True]
    main(["inspect", str(path)])
    assert f"warning: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("allowed", [True, False])
def test_a_second_file_is_for_readers_that_say_so(install, lab_file, tmp_path, allowed):
    install("lab-ptycho", READER + f"\n    IN_TWO_FILES = {allowed}", lab="")
    second = files.npz(tmp_path / "stage.npz", y=np.zeros(3))
    if allowed:
        assert read_scan(lab_file, positions_file=second).source.positions_file == second
    else:
        with pytest.raises(InputError, match=r"is lab, which holds its positions itself: leave out .*stage\.npz"):
            read_scan(lab_file, positions_file=second)


def test_packages_are_looked_up_only_when_a_scan_needs_it(tmp_path):
    ours, common = files.write(tmp_path, "ptychopinn-npz"), files.write(tmp_path, "cxi")
    code = f"""
from ptycho_core import formats
print(formats.installed_readers.cache_info().misses)
formats.read_scan({str(ours)!r})
print(formats.installed_readers.cache_info().misses)
formats.read_scan({str(common)!r})
formats.read_scan({str(common)!r})
print(formats.installed_readers.cache_info().misses)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "1"]
