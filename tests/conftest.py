from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

# Time limits per example would make a busy machine fail; the example count keeps the suite short.
settings.register_profile("default", deadline=None, max_examples=60, print_blob=True)
settings.load_profile("default")

collect_ignore: list[str] = []
# The core tests run without torch. `make test-all` sets the variable: there a missing torch is an error.
if importlib.util.find_spec("torch") is None and "SEEDVC_LIVE_TEST_ALL" not in os.environ:
    collect_ignore += ["engines/seedvc"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--vectors", type=Path, default=None, help="folder of conformance vectors (default: the bundled part)"
    )
    parser.addoption("--fuzz", type=int, default=300, metavar="N", help="mutations for each test that makes them")
    parser.addoption("--campplus", type=Path, default=None, help="campplus_cn_common.bin, for the end-to-end run")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vector_files(pattern): run once for each file of the vectors folder")


@pytest.fixture
def fuzz_count(request: pytest.FixtureRequest) -> int:
    """How many mutations a test makes: some hundreds, more by `--fuzz N`."""
    return int(request.config.getoption("--fuzz"))
