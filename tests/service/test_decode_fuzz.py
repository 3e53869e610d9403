"""Damaged clips of every kind: always a verdict, never a hang, a crash of the caller, or something left."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedvc_live.errors import ClipRejectedError
from seedvc_live.media.load import load_audio
from seedvc_live.service.clip_kind import KINDS, clip_kind, id3_length
from seedvc_live.service.decode import decode_clip
from tests.tools.audio import wav_bytes
from tests.tools.mutate import mutate

CLIPS = Path(__file__).parents[1] / "data" / "clips"


def corpus() -> list[bytes]:
    with as_file(files("seedvc_live") / "data" / "reference.flac") as path:
        speech = load_audio(path)
        return [
            *(clip.read_bytes() for clip in sorted(CLIPS.iterdir())),
            path.read_bytes(),
            wav_bytes(speech.samples[: 3 * speech.rate], speech.rate),
            wav_bytes(speech.samples[: 3 * speech.rate], speech.rate, "f32"),
        ]


async def verdict(data: bytes, folder: Path, index: int) -> str:
    clip = folder / f"clip{index}"
    clip.write_bytes(data)
    try:
        result = await decode_clip(clip, folder)
    except ClipRejectedError as error:
        return error.slug if "\n" not in str(error) else f"more than one line: {error}"
    else:
        # What is accepted is what the rest of the program then reads: it has to be sound.
        assert 1.0 <= load_audio(result).seconds <= 30.0
        result.unlink()
        return "accepted"
    finally:
        clip.unlink()


def children() -> set[str]:
    """Processes that this one has started and not yet waited for."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def fuzz(count: int, folder: Path, seed: int) -> Counter[str]:
    draw = random.Random(seed)
    originals = corpus()
    mutants = [mutate(draw.choice(originals), draw, draw.choice(originals)) for _ in range(count)]

    async def run() -> list[str]:
        found: list[str] = []
        for at in range(0, count, 2):
            found += await asyncio.gather(
                *(verdict(data, folder, at + i) for i, data in enumerate(mutants[at : at + 2]))
            )
        return found

    before, others = len(os.listdir("/proc/self/fd")), children()
    seen = Counter(asyncio.run(run()))
    assert seen.total() == count
    assert set(seen) <= {"accepted", *ClipRejectedError.SLUGS}
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert list(folder.iterdir()) == []
    assert children() <= others
    return seen


def test_some_damaged_clips(tmp_path: Path) -> None:
    fuzz(10, tmp_path, 7)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_damaged_clips(tmp_path: Path, fuzz_count: int) -> None:
    seen = fuzz(fuzz_count, tmp_path, 11)
    print(seen)
    assert seen["accepted"], "not one mutation left a usable clip: they do not reach the decoders"
    assert seen["not-audio"]


@given(st.binary(max_size=600) | st.builds(mutate, st.sampled_from(corpus()), st.randoms(use_true_random=False)))
def test_telling_the_kind_never_fails(data: bytes) -> None:
    assert clip_kind(data) in {None, *KINDS}
    assert 0 <= id3_length(data) <= len(data)
