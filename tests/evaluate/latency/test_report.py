from __future__ import annotations

import numpy as np
import pytest

from seedvc_live.evaluate.latency.report import Delays, Take, chirp_delays, parts, report, table
from seedvc_live.evaluate.latency.signals import chirp_train

RATE = 16000
SERVER = {"algorithmic_ms": 20.0, "compute_ms": 5.0, "playout_ms": 40.0, "jitter_buffer_ms": 0.0, "total_ms": 65.0}


def late(seconds: float, lead: float = 0.0, **more) -> Take:
    train = chirp_train(10, RATE)
    heard = np.concatenate([np.zeros(round(seconds * RATE), np.float32), train])[: len(train)]
    client = {"jitter_buffer_ms": 30.0, "rtt_ms": 1.0, "concealed": 0.001, "packets_lost": 2}
    return Take(train, heard, RATE, SERVER, client, **more)


def test_a_known_delay_is_what_the_report_says() -> None:
    result = report("chromium", {"engine": "passthrough", "settings": {"block": 0.02}}, "there", late(0.11), None)
    for key in ("min_ms", "p50_ms", "p95_ms", "max_ms"):
        assert result[key] == pytest.approx(110, abs=0.1)
    assert (result["missed"], result["client"], result["method"]) == (0, "chromium", "chirps")
    assert result["settings"] == {"block": 0.02}
    known = sum(value for name, value in result["parts"].items() if name != "rest")
    assert result["parts"]["rest"] == pytest.approx(110 - known, abs=0.2)
    printed = table(result)
    assert "median 110.0 ms" in printed
    assert "concealed 0.10%" in printed


def test_what_is_unknown_is_not_counted_as_nothing() -> None:
    take = Take(np.zeros(1, np.float32), np.zeros(1, np.float32), RATE, {"playout_ms": 40.0}, {})
    shown = parts(take, 100.0)
    assert shown["network"] is None
    assert shown["rest"] == 60.0
    assert parts(take, None)["rest"] is None
    assert "network" not in table({**report("c", {"engine": "e"}, "u", late(0.1), None), "parts": shown})


def test_chirps_that_do_not_come_back_are_counted() -> None:
    take = late(0.1)
    take.heard[: 5 * RATE] = 0
    delays = chirp_delays(take)
    assert delays.missed > 5
    assert len(delays.found) > 5
    assert Delays([], 3).quantile(0.5) is None
