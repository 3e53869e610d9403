"""Uploaded clips: every kind browsers and recorders make, every fault a clip can have, and hostile ones."""

from __future__ import annotations

import asyncio
import os
import struct
import zlib
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from seedvc_live.audio.pcm import Pcm
from seedvc_live.errors import ClipRejectedError, MediaError
from seedvc_live.media.load import load_audio, save_audio
from seedvc_live.service import decode, fitness
from seedvc_live.service.clip_kind import clip_kind, id3_length
from seedvc_live.service.decode import add_clip, decode_clip
from seedvc_live.service.voices import VoiceStore
from tests.tools.audio import tone, wav_bytes

CLIPS = Path(__file__).parents[1] / "data" / "clips"
with as_file(files("seedvc_live") / "data" / "reference.flac") as _path:
    REFERENCE = _path
RATE = 16000


def decoded(clip: Path, folder: Path) -> Pcm:
    result = asyncio.run(decode_clip(clip, folder))
    assert [path for path in folder.iterdir() if path.name.startswith(".seedvc-live-clip-")] == [result]
    pcm = load_audio(result)
    result.unlink()
    return pcm


def rejected(data: bytes, folder: Path, name: str = "clip") -> ClipRejectedError:
    clip = folder / name
    clip.write_bytes(data)
    with pytest.raises(ClipRejectedError) as caught:
        asyncio.run(decode_clip(clip, folder))
    assert "\n" not in str(caught.value)
    clip.unlink()
    assert list(folder.iterdir()) == [], "something was left behind"
    return caught.value


def speech(seconds: float | None = None) -> np.ndarray:
    pcm = load_audio(REFERENCE)
    return pcm.samples if seconds is None else np.resize(pcm.samples, round(seconds * pcm.rate))


@pytest.mark.parametrize("name", sorted(path.name for path in CLIPS.iterdir()))
def test_what_recorders_make_is_decoded(name: str, tmp_path: Path) -> None:
    """chromium.*: from Chromium's MediaRecorder, without a duration, in fragments; the rest by FFmpeg."""
    pcm = decoded(CLIPS / name, tmp_path)
    assert pcm.seconds == pytest.approx(4.1, abs=0.15)
    # The same words, wherever the recorder began: like the original at some shift, and at one only.
    want = load_audio(REFERENCE, 8000).samples[: 5 * 8000]
    save_audio(tmp_path / "again.wav", pcm)
    got = load_audio(tmp_path / "again.wav", 8000).samples
    size = 1 << 17
    cross = np.fft.irfft(np.fft.rfft(want, size) * np.conj(np.fft.rfft(got, size)))
    overlap = np.linalg.norm(want) * np.linalg.norm(got)
    assert np.max(np.abs(cross)) / overlap > 0.6


@pytest.mark.parametrize(("kind", "channels"), [("u8", 1), ("s16", 2), ("s24", 1), ("s32", 1), ("f32", 2), ("f64", 1)])
def test_every_plain_wav(kind: str, channels: int, tmp_path: Path) -> None:
    samples = speech(2.0)
    clip = tmp_path / "clip.mp3"  # content decides, not the name
    clip.write_bytes(wav_bytes(np.column_stack([samples] * channels), RATE, kind))
    pcm = decoded(clip, tmp_path)
    assert (len(pcm), pcm.rate) == (2 * RATE, RATE)
    assert np.max(np.abs(pcm.samples - samples)) < (0.01 if kind == "u8" else 1e-3)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_any_usual_rate(rate: int, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(wav_bytes(load_audio(REFERENCE, rate).samples[: 3 * rate], rate))
    pcm = decoded(clip, tmp_path)
    assert (pcm.rate, pcm.seconds) == (rate, 3.0)


def test_of_a_long_clip_the_first_half_minute_is_used(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(wav_bytes(speech(59.0), RATE))
    assert decoded(clip, tmp_path).seconds == 30.0


def test_a_float_clip_beyond_full_scale_is_scaled_not_cut(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    samples = speech(3.0)
    clip.write_bytes(wav_bytes(samples * 8, RATE, "f32"))
    pcm = decoded(clip, tmp_path)
    assert np.corrcoef(pcm.samples, samples)[0, 1] > 0.9999
    assert 0.99 < np.max(np.abs(pcm.samples)) <= 1.0


def test_a_recording_that_breaks_off_gives_what_there_is(tmp_path: Path) -> None:
    for name in ("chromium.webm", "opus.ogg", "tagged.mp3", "fragmented-aac.mp4"):
        data = (CLIPS / name).read_bytes()
        clip = tmp_path / "clip"
        clip.write_bytes(data[: len(data) * 2 // 3])
        assert 1.5 < decoded(clip, tmp_path).seconds < 3.5, name


def noise(seconds: float, level: float = 0.2) -> np.ndarray:
    return (level * np.random.default_rng(3).standard_normal(round(seconds * RATE))).astype(np.float32)


def music(seconds: float) -> np.ndarray:
    """Chords with attack and decay, a new one each half second."""
    n = round(seconds * RATE)
    time = np.arange(n) / RATE
    chord = (np.floor(time / 0.5).astype(int) * 5) % 12
    decay = np.exp(-3 * (time % 0.5))
    parts = [np.sin(2 * np.pi * 220 * 2 ** ((chord + step) / 12) * time) for step in (0, 4, 7, 12)]
    return (0.2 * decay * np.sum(parts, axis=0)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "slug", "says"),
    [
        (speech(0.9), "reference-too-short", "0.90 s"),
        (speech(60.5), "reference-too-long", "60 s"),
        (np.zeros(3 * RATE, np.float32), "reference-silent", "silent"),
        (noise(3.0, 1e-4), "reference-silent", "dBFS"),
        (noise(3.0), "reference-no-speech", "no speech"),
        (tone(3 * RATE, RATE), "reference-no-speech", "no speech"),
        (music(4.0), "reference-no-speech", "no speech"),
        (np.concatenate([noise(5.0, 0.01), speech(0.4)]), "reference-no-speech", "no speech"),
        (np.clip(speech(5.0) * 40, -1, 1), "reference-clipped", "overdriven"),
        (np.clip(speech(5.0) * 40, -1, 1) * 0.3, "reference-clipped", "overdriven"),
    ],
    ids=["short", "long", "zeros", "hiss", "noise", "tone", "music", "a word", "clipped", "clipped, then quieter"],
)
def test_each_fault_has_its_own_verdict(samples: np.ndarray, slug: str, says: str, tmp_path: Path) -> None:
    error = rejected(wav_bytes(samples, RATE), tmp_path)
    assert error.slug == slug
    assert says in str(error)


def test_quiet_distant_and_noisy_speech_is_speech(tmp_path: Path) -> None:
    for samples in (speech(6.0) * 0.02, speech(6.0) + noise(6.0, 0.01), np.clip(speech(6.0) * 2.5, -1, 1)):
        clip = tmp_path / "clip"
        clip.write_bytes(wav_bytes(samples.astype(np.float32), RATE))
        assert decoded(clip, tmp_path).seconds == 6.0


def test_speech_is_not_taken_for_clipped() -> None:
    samples = speech()
    assert fitness.clipped_share(samples / np.max(np.abs(samples))) < 0.002
    driven = np.clip(samples / np.max(np.abs(samples)) * 4, -1, 1)
    assert fitness.clipped_share(driven) > fitness.CLIPPED_SHARE


def _png() -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"text, not audio\n" * 50,
        _png(),
        b"RIFF\xff\xff\xff\xffWAVE",
        b"fLaC",
        b"OggS" + bytes(500),
        b"\x1aE\xdf\xa3" + b"\xff" * 200,
        b"\0\0\0\x18ftypmp42" + bytes(100),
        b"ID3\4\0\0\x7f\x7f\x7f\x7f",
        b"\xff\xfb\x90\x00" * 300,
        b"<svg onload=alert(1)>",
        b"#EXTM3U\nhttp://127.0.0.1/\n",
        bytes(range(256)) * 40,
    ],
)
def test_what_is_no_audio_is_said_to_be_none(data: bytes, tmp_path: Path) -> None:
    assert rejected(data, tmp_path, "clip.wav").slug in {"not-audio", "reference-too-short"}


def test_a_video_without_sound_is_no_audio(tmp_path: Path) -> None:
    """A picture track alone: matroskademux finds it, and nothing in the chain takes it."""
    data = (CLIPS / "chromium.webm").read_bytes().replace(b"A_OPUS", b"V_VP8\0")
    assert data != (CLIPS / "chromium.webm").read_bytes()
    assert rejected(data, tmp_path).slug == "not-audio"


def test_more_than_twenty_megabytes_are_refused(tmp_path: Path) -> None:
    assert rejected(bytes(fitness.MAX_BYTES + 1), tmp_path).slug == "clip-too-large"


def test_hours_in_a_few_kilobytes_stop_at_the_limit(tmp_path: Path) -> None:
    """A decompression bomb: an hour of silence, 8 channels, 192 kHz: 22 GB as float samples."""
    bomb = tmp_path / "bomb.flac"
    bomb.write_bytes(_flac_bomb(hours=1))
    assert bomb.stat().st_size < 1024 * 1024
    with pytest.raises(ClipRejectedError) as caught:
        asyncio.run(decode_clip(bomb, tmp_path))
    assert caught.value.slug == "reference-too-long"


def _flac_bomb(hours: float) -> bytes:
    """Constant-value frames of 65,535 samples (RFC 9639): about 30 bytes for eight channels each."""
    rate = 192_000
    frames = round(hours * 3600 * rate / 65535)
    info = struct.pack(">HH", 65535, 65535) + bytes(6)
    info += ((rate << 44) | (7 << 41) | (15 << 36) | min(frames * 65535, (1 << 36) - 1)).to_bytes(8, "big") + bytes(16)
    out = bytearray(b"fLaC" + b"\x80\0\0\x22" + info)
    for index in range(frames):
        # Fixed block size, 16-bit block size at the header's end, 8 channels, 16 bits.
        number = _utf8_number(index)
        header = b"\xff\xf8\x73\x78" + number + struct.pack(">H", 65534)
        header += bytes([_crc(header, 8, 0x07)])
        frame = header + b"\0\0\0" * 8
        out += frame + struct.pack(">H", _crc(frame, 16, 0x8005))
    return bytes(out)


def _utf8_number(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    length = next(n for n in range(2, 7) if value < 1 << (5 * n + 1))
    tail = [0x80 | (value >> 6 * i) & 0x3F for i in range(length - 2, -1, -1)]
    return bytes([(0xFF00 >> length) & 0xFF | value >> 6 * (length - 1), *tail])


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & mask
    return value


def test_absurd_formats_are_refused(tmp_path: Path) -> None:
    samples = speech(2.0)
    wide = np.column_stack([samples] * 9)
    assert rejected(wav_bytes(wide, RATE), tmp_path).slug == "not-audio"
    assert rejected(wav_bytes(samples, 1), tmp_path).slug == "not-audio"
    assert rejected(wav_bytes(samples, 4_000_000), tmp_path).slug == "not-audio"
    bad = samples.copy()
    bad[500] = np.nan
    assert rejected(wav_bytes(bad, RATE, "f32"), tmp_path).slug == "not-audio"


def test_what_cannot_be_opened_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="cannot read"):
        asyncio.run(decode_clip(tmp_path / "none"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="not a regular file"):
        asyncio.run(decode_clip(tmp_path / "pipe"))


def test_a_stored_voice_or_nothing(tmp_path: Path) -> None:
    store = VoiceStore(tmp_path / "voices")
    record = asyncio.run(add_clip(store, CLIPS / "chromium.webm", "Ann"))
    assert store.list() == [record]
    assert load_audio(store.reference(record.id)).seconds == pytest.approx(record.seconds, abs=1e-3)
    (tmp_path / "noise").write_bytes(wav_bytes(noise(2.0), RATE))
    with pytest.raises(ClipRejectedError):
        asyncio.run(add_clip(store, tmp_path / "noise"))
    assert store.list() == [record]


def test_a_cancelled_upload_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(wav_bytes(speech(50.0), RATE))

    async def run() -> None:
        task = asyncio.create_task(decode_clip(clip, tmp_path))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == [clip]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_decoder_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock counts, whatever the process does: here it has no time at all."""
    monkeypatch.setattr(decode, "TIMEOUT", 0.05)
    assert rejected((CLIPS / "opus.ogg").read_bytes(), tmp_path).slug == "not-audio"


def test_the_kind_is_told_from_content() -> None:
    found = {path.name: clip_kind(path.read_bytes()) for path in CLIPS.iterdir()}
    assert found == {
        "chromium.mp4": "mp4",
        "chromium.webm": "webm",
        "fragmented-aac.mp4": "mp4",
        "opus.ogg": "ogg",
        "plain-aac.m4a": "mp4",
        "tagged.mp3": "mp3",
        "vorbis.ogg": "ogg",
    }
    mp3 = (CLIPS / "tagged.mp3").read_bytes()
    assert clip_kind(mp3[id3_length(mp3) :]) == "mp3"
    assert clip_kind(b"\xff\xfb" + bytes(2000)) is None
    assert clip_kind(b"") is None
