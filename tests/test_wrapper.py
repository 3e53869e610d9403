"""The guide's interface on a real engine."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from seedvc_live import SeedVCWrapper
from seedvc_live.errors import SettingsError
from tests.tools.peers import OPUS_CAPS, end, free_port, gst, read_wav, wait_bound, write_wav


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "clip.wav", 0.1 * np.random.default_rng(0).uniform(-1, 1, 32_000), 16_000)


def test_blocks_and_then_the_whole(clip) -> None:
    wrapper = SeedVCWrapper("passthrough")
    *blocks, last = list(wrapper.convert_voice(str(clip), str(clip)))
    assert all(whole is None for _, whole in blocks)
    assert last[0] is None
    rate, whole = last[1]
    assert rate == wrapper.sr == 48_000
    assert np.array_equal(np.concatenate([block for block, _ in blocks]), whole)
    assert np.array_equal(wrapper.convert_voice(str(clip), str(clip), stream_output=False), whole)
    assert len(whole) == 96_000


def test_the_guides_file_script(clip, tmp_path) -> None:
    out = tmp_path / "output_converted.wav"
    report = SeedVCWrapper("passthrough").convert_voice_gstreamer(
        reference_wav_path=str(clip),
        diffusion_steps=10,
        input_type="file",
        output_type="file",
        input_file=str(clip),
        output_file=str(out),
    )
    assert report["samples_in"] == report["samples_out"] == len(read_wav(out)[0]) == 96_000


def test_the_guides_rtp_script_with_its_three_terminals(clip, tmp_path) -> None:
    port_in, port_out, out = free_port(), free_port(), tmp_path / "received.wav"
    receiver = gst(
        "udpsrc",
        f"port={port_out}",
        f"caps={OPUS_CAPS}",
        "!",
        "rtpjitterbuffer",
        "!",
        "rtpopusdepay",
        "!",
        "opusdec",
        "!",
        "audioconvert",
        "!",
        "wavenc",
        "!",
        "filesink",
        f"location={out}",
    )
    reports = []

    def serve() -> None:
        reports.append(
            SeedVCWrapper("passthrough").convert_voice_gstreamer(
                reference_wav_path=str(clip),
                input_type="rtp",
                output_type="rtp",
                input_port=port_in,
                output_host="127.0.0.1",
                output_port=port_out,
                idle_timeout=1.5,
            )
        )

    server = threading.Thread(target=serve)
    server.start()
    wait_bound(port_in)
    wait_bound(port_out)
    sender = gst(
        "filesrc",
        f"location={clip}",
        "!",
        "decodebin",
        "!",
        "audioconvert",
        "!",
        "audioresample",
        "!",
        "audio/x-raw,rate=48000",
        "!",
        "opusenc",
        "!",
        "rtpopuspay",
        "!",
        "udpsink",
        "host=127.0.0.1",
        f"port={port_in}",
    )
    assert sender.wait(30) == 0
    assert sender.stderr is not None
    sender.stderr.close()
    server.join(30)
    end(receiver)
    assert reports[0]["received_packets"] >= 100
    samples, rate = read_wav(out)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.06)
    assert float(np.sqrt(np.mean(samples**2))) > 0.01


def test_a_bare_port_with_two_network_ends_is_an_error(clip) -> None:
    wrapper = SeedVCWrapper("passthrough")
    with pytest.raises(SettingsError, match="input_port, output_host and output_port"):
        wrapper.convert_voice_gstreamer(str(clip), input_type="rtp", output_type="rtp", port=5004)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"speed": 2}, "speed"), ({"input_type": "tape"}, "tape"), ({"output_type": "webrtc"}, "webrtc")],
)
def test_wrong_arguments_are_named(clip, arguments, message) -> None:
    with pytest.raises(SettingsError, match=message):
        SeedVCWrapper("passthrough").convert_voice_gstreamer(str(clip), **arguments)


def test_a_length_change_is_refused(clip) -> None:
    with pytest.raises(SettingsError, match="length_adjust"):
        SeedVCWrapper("passthrough").convert_voice(str(clip), str(clip), length_adjust=1.2)
