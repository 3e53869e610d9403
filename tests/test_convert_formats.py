"""Whole conversions of every listed format, in one process: as many samples as the decoder delivered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seedvc_live import load_engine
from seedvc_live.media.sinks import FileSink
from seedvc_live.media.sources import FileSource
from seedvc_live.offline import Conversion, convert_offline
from seedvc_live.report import Report
from tests.tools.audio import encode
from tests.tools.peers import command, read_wav, write_wav

RATES = {
    "wav": (8000, 96_000),
    "flac": (44_100,),
    "mp3": (44_100,),
    "ogg": (48_000,),
    "opus": (48_000,),
    "m4a": (44_100,),
}
CASES = [
    (kind, rate, channels, seconds)
    for kind, rates in RATES.items()
    for rate in rates
    for channels in (1, 2)
    for seconds in (0.3, 5.0)
]


@pytest.mark.parametrize(("kind", "rate", "channels", "seconds"), CASES)
def test_samples_out_are_samples_in(kind, rate, channels, seconds, tmp_path) -> None:
    audio = 0.1 * np.random.default_rng(2).uniform(-1, 1, int(seconds * rate) * channels)
    wav = write_wav(tmp_path / "plain.wav", audio, rate, channels)
    path = wav if kind == "wav" else encode(wav, tmp_path / f"in.{kind}", kind)
    engine = load_engine("passthrough")
    source = FileSource(path, engine.sample_rate)
    out = tmp_path / "out.wav"
    report = convert_offline(
        Conversion(engine, engine.default_voice(), engine.settings_type()),
        source,
        FileSink(out, engine.sample_rate),
        Report(engine.name, str(path), None, str(out)),
    )
    expected = source.decoded_samples * engine.sample_rate / source.file_rate
    assert abs(report.samples_out - expected) <= 1
    assert report.samples_in == report.samples_out == len(read_wav(out)[0])
    assert report.audio_seconds == pytest.approx(seconds, abs=0.08)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_minutes_take_no_more_memory_than_ten_seconds(tmp_path) -> None:
    """Peak memory of the whole command, by the operating system's count."""
    reference = write_wav(tmp_path / "r.wav", 0.1 * np.random.default_rng(0).uniform(-1, 1, 32_000), 16_000)

    def peak(seconds: float, out: Path) -> float:
        noise = 0.1 * np.random.default_rng(1).uniform(-1, 1, int(seconds * 44_100))
        source = write_wav(tmp_path / f"{seconds:.0f}.wav", noise, 44_100)
        script = (
            "import resource, subprocess, sys;"
            "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode;"
            "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        words = command("convert", "--engine", "passthrough", source, reference, out)
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
        code, kilobytes = done.stdout.split()
        assert code == "0", done.stderr
        return int(kilobytes) / 1024

    short, long = peak(10.0, tmp_path / "a.wav"), peak(600.0, tmp_path / "b.wav")
    assert len(read_wav(tmp_path / "b.wav")[0]) == 600 * 48_000
    assert long - short < 20.0
