"""Everything but the seed-vc engine works where torch is not installed."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys
sys.modules["torch"] = None  # as if it were not installed
sys.modules["transformers"] = None
from seedvc_live.engines.registry import load_engine
from seedvc_live.errors import EngineError
load_engine("passthrough").close()
try:
    load_engine("seed-vc", model="xlsr-tiny")
except EngineError as error:
    print(error)
"""


def test_seed_vc_says_what_to_install() -> None:
    run = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "engine 'seed-vc' needs torch; install it with: pip install 'seedvc-live[seed-vc]'"
