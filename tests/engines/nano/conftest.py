from __future__ import annotations

import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.engines.base import Voice
from seedvc_live.engines.nano.engine import NanoEngine
from tests.engines.nano.streams import speech


@pytest.fixture(scope="session")
def engine() -> NanoEngine:
    return NanoEngine()


@pytest.fixture(scope="session")
def low() -> Pcm:
    return speech("source_s2")


@pytest.fixture(scope="session")
def high() -> Pcm:
    return speech("s2p1")


@pytest.fixture(scope="session")
def voice(engine: NanoEngine, high: Pcm) -> Voice:
    return engine.enroll(high)


@pytest.fixture(scope="session")
def low_voice(engine: NanoEngine, low: Pcm) -> Voice:
    return engine.enroll(low)
