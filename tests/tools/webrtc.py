"""An independent WebRTC client: aiortc, on the loopback."""

from __future__ import annotations

import asyncio
import fractions
import time
from typing import Any

import aioice.ice
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

RATE = 48_000
_FRAME = 960


def only_loopback() -> None:
    """aioice leaves the loopback out; tests' traffic stays on it."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class ArrayTrack(MediaStreamTrack):
    """Says an array, then silence. `ended`: when its last sample was sent."""

    kind = "audio"

    def __init__(self, samples: np.ndarray, rate: int = RATE) -> None:
        super().__init__()
        assert rate == RATE
        self._samples = samples
        self._position = 0
        self._begin: float | None = None

    async def recv(self) -> AudioFrame:
        if self._begin is None:
            self._begin = time.monotonic()
        await asyncio.sleep(max(0.0, self._begin + self._position / RATE - time.monotonic()))
        part = self._samples[self._position : self._position + _FRAME]
        mono = np.zeros(_FRAME, dtype=np.int16)
        mono[: len(part)] = np.clip(np.rint(part * 32767), -32768, 32767)
        # Stereo: of a mono frame aiortc makes one that is 3 dB lower.
        frame = AudioFrame.from_ndarray(np.repeat(mono, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._position, fractions.Fraction(1, RATE)
        self._position += _FRAME
        return frame


class Client:
    """One aiortc peer connection.

    Attributes:
        packets: (sequence number, time stamp, arrival) of the RTP packets received, as they came from the wire.
    """

    def __init__(self, samples: np.ndarray) -> None:
        only_loopback()
        self.connection = RTCPeerConnection()
        self.connection.addTrack(ArrayTrack(samples))
        self.packets: list[tuple[int, int, float]] = []
        self._heard: list[np.ndarray] = []
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self.connection.on("track", self._on_track)

    async def offer(self) -> str:
        """An offer with all candidates."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, sdp: str) -> None:
        """Take the answer; ICE and DTLS go on in the background."""
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    @property
    def heard(self) -> np.ndarray:
        """All that was received, mono float32, 48 kHz, from the first packet on."""
        return np.concatenate(self._heard) if self._heard else np.zeros(0, dtype=np.float32)

    async def hear(self, seconds: float, timeout: float = 60.0) -> np.ndarray:
        """Wait until so much has been received."""

        async def wait() -> None:
            while sum(map(len, self._heard)) < seconds * RATE:
                self._news.clear()
                await self._news.wait()

        await asyncio.wait_for(wait(), timeout)
        return self.heard

    async def close(self) -> None:
        await self.connection.close()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def _on_track(self, track: Any) -> None:
        receiver = self.connection.getReceivers()[0]
        handle = receiver._handle_rtp_packet

        async def noted(packet: Any, arrival_time_ms: int) -> None:
            self.packets.append((packet.sequence_number, packet.timestamp, time.monotonic()))
            await handle(packet, arrival_time_ms)

        receiver._handle_rtp_packet = noted
        self._reading = asyncio.ensure_future(self._read(track))

    async def _read(self, track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            samples = frame.to_ndarray().reshape(-1, 2)[:, 0]
            self._news.set()
            self._heard.append(samples.astype(np.float32) / 32768.0)


async def offer_of_nobody() -> str:
    """A good offer whose peer is gone."""
    client = Client(np.zeros(_FRAME))
    sdp = await client.offer()
    await client.close()
    return sdp
