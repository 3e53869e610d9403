"""Actors' speech out of three adventure games that Debian carries: `python -m training.talkies`.

The content encoder learns to tell words from it, and the decoder to say them in other voices; no voice comes from here.
The games' makers gave them away, to be copied and modified (the packages' `copyright` files): *Beneath a Steel Sky*
(Revolution Software, 1994), *Flight of the Amazon Queen* (J. Passfield and S. Stamatiadis, 1995), *Drascula* (Alcachofa
Soft, 1996). All is sampled at 11,025 Hz, in 8 bits or as MP3. Formats are those that ScummVM reads.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from training import rnc

RATE = 11025
_LEAST = 1.0
"""Seconds: what is shorter is mostly an exclamation."""
_SKY_LINES = range(50_000, 56_000)
"""Numbers of the spoken lines in `sky.dsk`; others are pictures, effects, music."""
_SKY_HEADER = 22


def _from_bytes(data: bytes) -> np.ndarray:
    """8 bits unsigned → float32."""
    return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128


def sky(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Spoken lines of Beneath a Steel Sky: name, and the entry as it is stored."""
    index, disk = (folder / "sky.dnr").read_bytes(), (folder / "sky.dsk").read_bytes()
    for at in range(4, len(index) - 7, 8):
        number, offset, size = (
            int.from_bytes(index[at + low : at + high], "little") for low, high in ((0, 2), (2, 5), (5, 8))
        )
        # The highest bit of the offset says that it counts paragraphs of 16 bytes.
        offset = (offset & 0x7FFFFF) << 4 if offset >> 23 else offset
        if number in _SKY_LINES:
            yield f"sky-{number}", disk[offset : offset + (size & 0x3FFFFF)]


def sky_samples(entry: bytes) -> np.ndarray:
    """A stored line → samples at RATE."""
    packed = entry[_SKY_HEADER:]
    return _from_bytes(rnc.unpacked(packed) if packed[:3] == b"RNC" else packed)


def queen(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Spoken lines of Flight of the Amazon Queen: name, and an MP3 file."""
    data = (folder / "queen.1c").read_bytes()
    at = 15
    for _ in range(int.from_bytes(data[13:15], "big")):
        name = data[at : at + 12].rstrip(b"\0").decode()
        offset, size = (int.from_bytes(data[at + low : at + low + 4], "big") for low in (13, 17))
        if name.endswith(".SB"):
            yield f"queen-{name[:-3]}", data[offset : offset + size]
        at += 21


def queen_samples(entry: bytes) -> np.ndarray:
    """A stored line → samples at RATE."""
    samples, rate = soundfile.read(io.BytesIO(entry), dtype="float32")
    if rate != RATE:
        raise ValueError(f"{rate} Hz, not {RATE}")
    return np.asarray(samples, np.float32)


def drascula(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Spoken lines of Drascula: name, and the file as it is."""
    for path in sorted((folder / "en").glob("*.ALS")):
        yield f"drascula-{path.stem}", path.read_bytes()


def drascula_samples(entry: bytes) -> np.ndarray:
    """A stored line → samples at RATE: 32 bytes lie before it, 64 behind."""
    return _from_bytes(entry[32:-64])


GAMES = {
    "beneath-a-steel-sky": (sky, sky_samples),
    "flight-of-the-amazon-queen": (queen, queen_samples),
    "drascula": (drascula, drascula_samples),
}
"""Debian package → its lines, and what makes samples of one."""


def fetch(package: str, folder: Path) -> Path:
    """Download a package, which is not installed, and unpack it; its folder of game data."""
    unpacked = folder / package
    data = unpacked / "usr" / "share" / "scummvm" / package
    if not data.exists():
        if shutil.which("apt-get") is None:
            raise SystemExit(f"no apt-get here: unpack Debian's package {package} into {unpacked}")
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True)
        archive = next(folder.glob(f"{package}_*.deb"))
        part = folder / f"{package}.part"
        subprocess.run(["dpkg-deb", "-x", str(archive), str(part)], check=True)
        part.rename(unpacked)
        archive.unlink()
    return data


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Without its mean, and without what lies more than 0.1 s outside the sounds within 40 dB of the loudest."""
    if len(samples) < RATE // 50:
        return samples[:0]
    samples = samples - samples.mean()
    size = RATE // 50
    power = np.square(samples[: len(samples) // size * size]).reshape(-1, size).mean(1)
    heard = np.flatnonzero(power > 1e-4 * power.max(initial=1e-9))
    if not len(heard):
        return samples[:0]
    return samples[max(0, heard[0] - 5) * size : (heard[-1] + 6) * size]


def _written(job: tuple[str, str, bytes, Path]) -> float:
    """Seconds of one line, written as FLAC."""
    package, name, entry, out = job
    path = out / f"{name}.flac"
    if not path.exists():
        samples = trimmed(GAMES[package][1](entry))
        if len(samples) < _LEAST * RATE:
            return 0.0
        part = path.with_suffix(".part")
        soundfile.write(part, samples * (0.5 / np.abs(samples).max()), RATE, format="FLAC")
        part.rename(path)
    return soundfile.info(path).duration


def write(out: Path, downloads: Path, processes: int) -> None:
    """All spoken lines of a second or more, mono FLAC, into the folder `out`; what is there already is kept."""
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processes) as pool:
        for package, (lines, _) in GAMES.items():
            folder = fetch(package, downloads)
            jobs = [(package, name, entry, out) for name, entry in lines(folder)]
            seconds = list(pool.map(_written, jobs, chunksize=32))
            print(
                f"{package}: {sum(map(bool, seconds))} of {len(jobs)} lines, {sum(seconds) / 60:.0f} minutes",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the lines, FLAC")
    parser.add_argument("--downloads", type=Path, required=True, help="folder for the games' packages")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    write(options.out, options.downloads, options.processes)


if __name__ == "__main__":
    main()
