"""The guide's interface and its step 3 scripts, as docs/wrapper.md prints them, on a folder of pseudo-weights."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from seedvc_live import SeedVCWrapper
from seedvc_live.engines.registry import OPTIONS_VARIABLE
from seedvc_live.engines.seedvc.presets import PRESETS
from seedvc_live.errors import SettingsError
from tests.tools.peers import end, free_port, gst, read_wav, wait_bound, write_wav

from .folder import write_model
from .test_engine import speechlike

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
PAGE = Path(__file__).parents[3] / "docs" / "wrapper.md"
SECONDS = 2.0


def scripts(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("models")
    write_model(folder, "xlsr-tiny")
    write_model(folder, "whisper-small", light=True)
    write_model(folder, "singing-44k")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def desk(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the guide's two examples."""
    monkeypatch.setenv("SEEDVC_LIVE_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    write_wav(tmp_path / "examples" / "source.wav", speechlike(SECONDS, 16000, 2).samples, 16000)
    write_wav(tmp_path / "examples" / "reference.wav", speechlike(1.5, 22050, 1).samples, 22050)
    return tmp_path


def python(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_file_script(desk: Path) -> None:
    running = python(scripts("py")[0])
    out, err = running.communicate(timeout=280)
    assert running.returncode == 0, err
    assert "Done!" in out
    samples, rate = read_wav(desk / "output_converted.wav")
    assert (len(samples), rate) == (round(SECONDS * 22050), 22050)
    assert float(np.std(samples)) > 1e-3


def test_the_rtp_script_with_its_three_terminals(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The smallest of the small models: all three programs, and whatever else runs here, share the processor.
    monkeypatch.setenv(OPTIONS_VARIABLE, '{"model": "whisper-small", "truncate": true, "prompt_cache": true}')
    ports = {"5004": str(free_port()), "5005": str(free_port())}

    def here(text: str) -> str:
        return re.sub("500[45]", lambda found: ports[found[0]], text)

    send, receive = (shlex.split(here(text.replace("\\\n", ""))) for text in scripts("sh"))
    assert send[0] == receive[0] == "gst-launch-1.0"
    assert receive[-1] == "autoaudiosink"  # there may be no sound card here
    receiver = gst(*receive[1:-1], "wavenc", "!", "filesink", "location=received.wav")
    easier = here(scripts("py")[1]).replace("diffusion_steps=10", "diffusion_steps=1, inference_cfg_rate=0, block=0.5")
    converter = python(easier + "\nimport json; vc.engine.close()\n")
    wait_bound(int(ports["5005"]))
    wait_bound(int(ports["5004"]), 200)
    sender = gst(*send[1:])
    assert sender.wait(60) == 0
    assert sender.stderr is not None
    sender.stderr.close()
    _, err = converter.communicate(timeout=60)
    assert converter.returncode == 0, err
    end(receiver)
    samples, rate = read_wav(desk / "received.wav")
    assert len(samples) / rate == pytest.approx(SECONDS, abs=0.1)
    assert float(np.sqrt(np.mean(samples**2))) > 1e-3


def test_the_signature_is_the_guides() -> None:
    defaults = {n: p.default for n, p in inspect.signature(SeedVCWrapper.convert_voice).parameters.items()}
    assert list(defaults.items())[3:] == [
        ("diffusion_steps", 10),
        ("length_adjust", 1.0),
        ("inference_cfg_rate", 0.7),
        ("f0_condition", False),
        ("auto_f0_adjust", True),
        ("pitch_shift", 0),
        ("stream_output", True),
    ]
    live = {n: p.default for n, p in inspect.signature(SeedVCWrapper.convert_voice_gstreamer).parameters.items()}
    assert (live["diffusion_steps"], live["inference_cfg_rate"]) == (10, 0.7)
    assert (live["input_type"], live["output_type"]) == ("file", "file")
    assert inspect.signature(SeedVCWrapper).parameters["engine"].default == "seed-vc"


def test_convert_voice_yields_blocks_then_the_whole(desk: Path) -> None:
    names: dict[str, object] = {"vc": SeedVCWrapper()}
    exec(compile(scripts("py")[2], "wrapper.md", "exec"), names)
    whole = names["samples"]
    assert names["rate"] == 22050
    assert isinstance(whole, np.ndarray)
    assert len(whole) == round(SECONDS * 22050)
    wrapper = names["vc"]
    assert isinstance(wrapper, SeedVCWrapper)
    examples = ("examples/source.wav", "examples/reference.wav")
    *blocks, last = wrapper.convert_voice(*examples, diffusion_steps=1, inference_cfg_rate=0)
    assert blocks
    assert last[0] is None
    slow = wrapper.convert_voice(*examples, diffusion_steps=1, length_adjust=1.25, stream_output=False)
    assert isinstance(slow, np.ndarray)
    assert len(slow) == round(1.25 * round(SECONDS * 22050))
    with pytest.raises(SettingsError, match="pitch_shift"):
        wrapper.convert_voice(*examples, pitch_shift=2)
    with pytest.raises(SettingsError, match="length_adjust"):
        wrapper.convert_voice(*examples, length_adjust=9.0)


def test_f0_condition_is_the_singing_model(desk: Path) -> None:
    wrapper = SeedVCWrapper(model="xlsr-tiny")
    examples = ("examples/source.wav", "examples/reference.wav")
    *_, (_, whole) = wrapper.convert_voice(*examples, diffusion_steps=1, f0_condition=True)
    assert whole is not None
    rate, plain = whole
    assert (rate, wrapper.sr) == (44100, 22050)
    assert len(plain) == round(SECONDS * PRESETS["singing-44k"].config.mel.rate)
    higher = wrapper.convert_voice(*examples, diffusion_steps=1, f0_condition=True, pitch_shift=5, stream_output=False)
    assert isinstance(higher, np.ndarray)
    assert float(np.abs(higher - plain).max()) > 1e-3
