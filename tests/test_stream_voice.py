"""A live stream between real peers comes out in the target's voice, judged by a speaker encoder."""

from __future__ import annotations

from importlib.resources import as_file, files

import pytest

from seedvc_live import Pcm, load_audio
from tests.test_stream_network import FRAME, convert_live

pytestmark = pytest.mark.evaluate


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["rtp", "udp"])
def test_the_receiver_hears_the_reference_rather_than_the_source(kind, tmp_path) -> None:
    from seedvc_live.evaluate.similarity import Resemblyzer, cosine

    with as_file(files("seedvc_live") / "data") as data:
        engine = ("--reference", str(data / "reference.flac"))
        result = convert_live(tmp_path / "run", kind, {}, data / "source.flac", engine)
        source, reference = load_audio(data / "source.flac"), load_audio(data / "reference.flac")
    encoder = Resemblyzer()
    heard, speaker, target = (encoder.embed(clip) for clip in (Pcm(result.output, result.rate), source, reference))
    print(f"{kind}: to the reference {cosine(heard, target):.3f}, to the source {cosine(heard, speaker):.3f}")
    assert cosine(heard, target) > cosine(heard, speaker) + 0.1
    assert abs(len(result.output) / result.rate - source.seconds) <= 2 * FRAME + 0.0135
    assert result.report["latency_ms"] < 1000
