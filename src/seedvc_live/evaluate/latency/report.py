"""The delays of one measurement, summed up; and what they are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from seedvc_live.audio.pcm import Samples
from seedvc_live.evaluate.latency.signals import envelope_delay, pair_chirps


@dataclass(frozen=True, eq=False)
class Take:
    """What went in at one end and what came out at the other, on one time axis.

    Attributes:
        sent, heard: mono, at `rate`; sample i of both is the same instant, unless `heard_seconds` says otherwise.
        rate: Hz.
        delay: the server's own account, `delay` of the session (ms by part).
        client: of the client: `jitter_buffer_ms`, `rtt_ms`, `concealed`, `packets_lost`, … ; None where unknown.
        heard_seconds: when each sample of `heard` was to be had, on `sent`'s axis; None: sample i at i / rate.
        first_audio_ms: from the request for a session to the first sound; None when there was none.
    """

    sent: Samples
    heard: Samples
    rate: int
    delay: Mapping[str, Any] = field(default_factory=dict)
    client: Mapping[str, Any] = field(default_factory=dict)
    heard_seconds: npt.NDArray[np.float64] | None = None
    first_audio_ms: float | None = None


@dataclass(frozen=True)
class Delays:
    """Delay of each chirp that came back, ms, and how many did not."""

    found: list[float]
    missed: int

    def quantile(self, q: float) -> float | None:
        return round(float(np.quantile(self.found, q)), 1) if self.found else None


def chirp_delays(take: Take) -> Delays:
    """Mouth to ear of each chirp in a take."""
    pairs = pair_chirps(take.sent, take.heard, take.rate, take.heard_seconds)
    found = [(pair.heard - pair.sent) * 1000 for pair in pairs if pair.heard is not None]
    return Delays(found, len(pairs) - len(found))


def speech_delay(take: Take) -> dict[str, float]:
    """Delay of converted speech by its envelope: `ms`, and the `correlation` that says how sure it is.

    Raises:
        ValueError: too little was heard.
    """
    heard = take.heard
    if take.heard_seconds is not None:
        heard = on_time_axis(heard, take.heard_seconds, take.rate, len(take.sent))
    seconds, correlation = envelope_delay(take.sent, heard, take.rate)
    return {"ms": round(seconds * 1000, 1), "correlation": round(correlation, 3)}


def on_time_axis(heard: Samples, seconds: npt.NDArray[np.float64], rate: int, length: int) -> Samples:
    """Put each sample at its time; good enough for an envelope, not for a waveform."""
    placed = np.zeros(length, np.float32)
    index = np.rint(seconds * rate).astype(np.int64)
    inside = (index >= 0) & (index < length)
    placed[index[inside]] = heard[inside]
    return placed


def parts(take: Take, p50: float | None) -> dict[str, float | None]:
    """What the median is made of, ms. `rest` is what no part accounts for; it can come out negative, since the parts
    are what each side says of itself."""
    named: dict[str, float | None] = {
        "network": take.client.get("rtt_ms"),
        "server_jitter_buffer": take.delay.get("jitter_buffer_ms"),
        "algorithmic": take.delay.get("algorithmic_ms"),
        "compute": take.delay.get("compute_ms"),
        "playout": take.delay.get("playout_ms"),
        "client_jitter_buffer": take.client.get("jitter_buffer_ms"),
    }
    known = sum(value for value in named.values() if value is not None)
    rest = None if p50 is None else p50 - known
    return {name: None if value is None else round(value, 1) for name, value in {**named, "rest": rest}.items()}


def report(client: str, session: Mapping[str, Any], url: str, chirps: Take, speech: Take | None) -> dict[str, Any]:
    """The measurement as `--json` prints it.

    Args:
        session: `engine` and `settings` that were asked for.
        chirps: the take with chirps, through the bypass where the engine changes voices.
        speech: then also one with converted speech; None where chirps come back as they are.

    Raises:
        ValueError: nothing of the speech was heard.
    """
    delays = chirp_delays(chirps)
    p50 = delays.quantile(0.5)
    result: dict[str, Any] = {
        "url": url,
        "engine": session["engine"],
        "settings": dict(session.get("settings", {})),
        "client": client,
        "method": "chirps" if speech is None else "chirps through the bypass",
        "min_ms": delays.quantile(0.0),
        "p50_ms": p50,
        "p95_ms": delays.quantile(0.95),
        "max_ms": delays.quantile(1.0),
        "chirps": len(delays.found) + delays.missed,
        "missed": delays.missed,
        "parts": parts(chirps, p50),
        "first_audio_ms": _rounded((speech or chirps).first_audio_ms),
        "client_stats": dict(chirps.client),
    }
    if speech is not None:
        result["speech"] = {**speech_delay(speech), "client_stats": dict(speech.client)}
    return result


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def table(result: Mapping[str, Any]) -> str:
    """For people."""
    lines = [
        f"Mouth to ear, {result['engine']} at {result['url']}, client {result['client']} ({result['method']})",
        f"  min {_ms(result['min_ms'])}   median {_ms(result['p50_ms'])}   p95 {_ms(result['p95_ms'])}   "
        f"max {_ms(result['max_ms'])}   ({result['chirps']} chirps, {result['missed']} not found)",
    ]
    lines += _rows(result["parts"])
    if "speech" in result:
        speech = result["speech"]
        lines.append(f"  converted speech, by its envelope: {_ms(speech['ms'])} (correlation {speech['correlation']})")
    if result["first_audio_ms"] is not None:
        lines.append(f"  first sound {_ms(result['first_audio_ms'])} after asking for a session")
    lost, concealed = result["client_stats"].get("packets_lost"), result["client_stats"].get("concealed")
    if concealed is not None:
        lines.append(f"  the client concealed {concealed:.2%} of the sound; {lost or 0} packets lost")
    return "\n".join(lines)


def _rows(values: Mapping[str, float | None]) -> Sequence[str]:
    return [f"    {name.replace('_', ' '):22} {_ms(value)}" for name, value in values.items() if value is not None]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
