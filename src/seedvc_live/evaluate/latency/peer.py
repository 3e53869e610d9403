"""The client without a browser: aiortc. Its jitter buffer is its own, and reported as such."""

from __future__ import annotations

import asyncio
import contextlib
import fractions
import importlib.util
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from seedvc_live.audio.pcm import Pcm, Samples
from seedvc_live.audio.resample import resample
from seedvc_live.errors import MissingPackageError, ServerError
from seedvc_live.evaluate.latency.report import Take
from seedvc_live.evaluate.latency.server import Server

RATE = 48000
FRAME = 960
_SETTLING = 2.0
_CONNECTING = 15.0


def available() -> bool:
    """Whether aiortc is installed."""
    return importlib.util.find_spec("aiortc") is not None


async def take(server: Server, microphone: Samples, rate: int, seconds: float, wanted: dict[str, Any]) -> Take:
    """Speak `microphone` (looped) for `seconds` after settling, and keep all that comes back, with its times.

    Raises:
        MissingPackageError: aiortc is not installed.
        ServerError: no connection came about, or it broke.
    """
    if not available():
        raise MissingPackageError("the aiortc client needs aiortc: pip install 'seedvc-live[latency]'")
    from aiortc import RTCPeerConnection, RTCSessionDescription

    speech = resample(Pcm(microphone, rate), RATE).samples
    begin = time.monotonic()
    peer = RTCPeerConnection()
    speaker = _speaker(speech)
    listener = _Listener()
    connected = asyncio.Event()

    @peer.on("track")
    def on_track(track: Any) -> None:
        listener.follow(track)

    @peer.on("connectionstatechange")
    def on_change() -> None:
        if peer.connectionState == "connected":
            connected.set()

    session = None
    try:
        with _loopback_allowed(server.loopback):
            transceiver = peer.addTransceiver(speaker, "sendrecv")
            listener.watch_arrivals(transceiver.receiver)
            await peer.setLocalDescription(await peer.createOffer())
        offer = {"sdp": peer.localDescription.sdp, "type": "offer", **wanted}
        session = await server.call("POST", "api/sessions", json=offer)
        await peer.setRemoteDescription(RTCSessionDescription(session["sdp"], "answer"))
        try:
            await asyncio.wait_for(connected.wait(), _CONNECTING)
        except asyncio.TimeoutError:
            raise ServerError(f"no connection to {server.url} came about within {_CONNECTING:.0f} s") from None
        await asyncio.sleep(_SETTLING + seconds)
        state = await server.call("GET", f"api/sessions/{session['id']}")
        stats = await peer.getStats()
    finally:
        if session is not None:
            with contextlib.suppress(ServerError):
                await server.call("DELETE", f"api/sessions/{session['id']}")
        await listener.stop()
        await peer.close()
    delay = (state.get("stats") or {}).get("delay") or state["delay"]
    return _assemble(speech, speaker, listener, begin, delay, stats)


def _speaker(speech: Samples) -> Any:
    """A track that says `speech` over and over, in frames of 20 ms, each handed over when its last sample was said."""
    from aiortc import MediaStreamTrack
    from av import AudioFrame

    class Speaker(MediaStreamTrack):
        kind = "audio"

        def __init__(self) -> None:
            super().__init__()
            self.begin = 0.0
            self.frames = 0

        async def recv(self) -> Any:
            if not self.begin:
                self.begin = time.monotonic()
            wait = self.begin + (self.frames + 1) * FRAME / RATE - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            first = self.frames * FRAME
            mono = speech[np.arange(first, first + FRAME) % len(speech)]
            # Two channels: aiortc sends a single one 3 dB too quiet.
            pcm = np.repeat(np.rint(np.clip(mono, -1, 1) * 32767).astype(np.int16), 2)
            frame = AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, fractions.Fraction(1, RATE)
            self.frames += 1
            return frame

    return Speaker()


class _Listener:
    """Takes every frame when it is to be had, and remembers when its packet arrived."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, int, Samples]] = []
        self._arrived: dict[int, float] = {}
        self._first: int | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, track: Any) -> None:
        self._task = asyncio.ensure_future(self._listen(track))

    def watch_arrivals(self, receiver: Any) -> None:
        """Note when each packet comes, before aiortc's jitter buffer holds it back."""
        handle = receiver._handle_rtp_packet

        async def noting(packet: Any, *rest: Any, **more: Any) -> None:
            if self._first is None:
                self._first = packet.timestamp
            # A frame's pts counts from the first packet's timestamp, modulo 2^32 as in RTP.
            self._arrived[(packet.timestamp - self._first) % 2**32] = time.monotonic()
            await handle(packet, *rest, **more)

        receiver._handle_rtp_packet = noting

    def buffered_ms(self, since: float) -> float | None:
        """Median wait between a packet's arrival and its frame; None where aiortc hides it."""
        waits = [at - self._arrived[pts] for at, pts, _ in self.frames if at >= since and pts in self._arrived]
        return round(float(np.median(waits)) * 1000, 1) if waits else None

    async def _listen(self, track: Any) -> None:
        from aiortc.mediastreams import MediaStreamError

        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1) / 32768
                self.frames.append((time.monotonic(), frame.pts, samples.astype(np.float32)))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


@contextlib.contextmanager
def _loopback_allowed(allowed: bool) -> Iterator[None]:
    """aioice leaves 127.0.0.1 out, and with it a server that listens only there."""
    import aioice.ice

    gather = aioice.ice.get_host_addresses
    if allowed:
        aioice.ice.get_host_addresses = lambda *which, **versions: ["127.0.0.1", *gather(*which, **versions)]
    try:
        yield
    finally:
        aioice.ice.get_host_addresses = gather


def _assemble(speech: Samples, speaker: Any, listener: _Listener, begin: float, delay: Any, stats: Any) -> Take:
    if not listener.frames:
        raise ServerError("the server sent no sound")
    since = speaker.begin + _SETTLING
    frames = [entry for entry in listener.frames if entry[0] >= since]
    heard = np.concatenate([samples for _, _, samples in frames])
    times = np.concatenate([at - speaker.begin + np.arange(len(samples)) / RATE for at, _, samples in frames])
    first = next((at for at, _, samples in listener.frames if np.abs(samples).max() > 0.003), None)
    inbound = next((entry for entry in stats.values() if entry.type == "inbound-rtp"), None)
    client = {
        "jitter_buffer_ms": listener.buffered_ms(since),
        "packets_received": getattr(inbound, "packetsReceived", None),
        "packets_lost": getattr(inbound, "packetsLost", None),
    }
    said = np.arange(speaker.frames * FRAME) % len(speech)
    return Take(
        speech[said],
        heard,
        RATE,
        delay,
        client,
        heard_seconds=times,
        first_audio_ms=None if first is None else (first - begin) * 1000,
    )
