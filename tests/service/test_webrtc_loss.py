"""Loss in both directions, through a real server: the session lasts, and afterwards all is as before."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.media.load import load_audio
from tests.tools.loss_run import before_others, run_loss, server_behind
from tests.tools.namespaces import BadNetwork, available


def said() -> np.ndarray:
    with as_file(files("seedvc_live") / "data" / "source.flac") as path:
        samples = load_audio(path, 48_000).samples
    return samples[: len(samples) // 960 * 960]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_after_loss_all_is_as_before(tmp_path: Path) -> None:
    if (reason := available()) is not None:
        pytest.skip(reason)
    words = said()
    with (
        before_others(),
        BadNetwork(seed=3) as network,
        server_behind(network, tmp_path, "--engine", "passthrough", "--workers", "1") as url,
    ):
        for impairment in ({"loss": 0.2}, {"loss": 0.15, "burst": 3}):
            run = run_loss(network, url, words, before=12.0, lossy=12.0, after=10.0, impairment=impairment)
            for direction in run.counted:
                assert direction["lost"] / direction["packets"] == pytest.approx(impairment["loss"], abs=0.06)
            assert run.about["state"] == "connected"
            assert run.about["stats"]["lost_packets"] > 20
            # What comes out lasts as long as it took, whatever was lost.
            stamped, passed = run.heard.seconds
            assert stamped == pytest.approx(passed, abs=0.1)
            before, during, after = (np.median(part) for part in run.delays)
            assert after == pytest.approx(before, abs=0.020)
            assert during == pytest.approx(before, abs=0.020)
            # And it is heard at all: in most windows the words are found, though a third of them was lost.
            assert len(run.delays[1]) >= 6
