"""A WebRTC client that notes every packet: `python -m tests.tools.probe --url URL --audio IN.npy --out OUT.npz`.

A process of its own, so that it can run in a namespace and its CPU be told from the server's. It says what
IN.npy holds (mono, 48 kHz) as Opus with in-band error correction, as browsers do, and keeps the packets that
come back as they come from the wire, before any jitter buffer. Times are those of the monotonic clock, which all
processes of a machine share.
"""

from __future__ import annotations

import argparse
import asyncio
import fractions
import json
import re
import time
from pathlib import Path
from typing import Any

import aioice.ice
import av
import numpy as np
from aiohttp import ClientSession
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
    RTCSessionDescription,
)

RATE = 48_000
FRAME = 960
_SESSIONS = "/api/sessions"


def encode(samples: np.ndarray, kbits: int = 32, loss: int = 20) -> list[bytes]:
    """Opus packets of 20 ms with in-band error correction for `loss` percent."""
    codec = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format = RATE, "mono", "s16"
    codec.bit_rate = kbits * 1000
    codec.options = {"application": "voip", "fec": "1", "packet_loss": str(loss), "frame_duration": "20"}
    whole = samples[: len(samples) // FRAME * FRAME]
    data = np.clip(np.rint(whole * 32767), -32768, 32767).astype(np.int16)
    packets: list[bytes] = []
    for at in range(0, len(data), FRAME):
        frame = av.AudioFrame.from_ndarray(data[None, at : at + FRAME], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, at
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return packets


class _Speaker(MediaStreamTrack):
    """Sends packets in real time, over and over."""

    kind = "audio"

    def __init__(self, packets: list[bytes]) -> None:
        super().__init__()
        self._packets = packets
        self._index = 0
        self.begin: float | None = None

    async def recv(self) -> av.Packet:
        if self.begin is None:
            self.begin = time.monotonic()
        await asyncio.sleep(max(0.0, self.begin + self._index * FRAME / RATE - time.monotonic()))
        packet = av.Packet(self._packets[self._index % len(self._packets)])
        packet.pts, packet.time_base = self._index * FRAME, fractions.Fraction(1, RATE)
        self._index += 1
        return packet


class Probe:
    """One session.

    Args:
        relay: candidates of a TURN server only, from the server's `/api/ice-servers`.
        loopback: addresses of the loopback, which aioice leaves out.
        path: where the offer goes; other than the default, it is another server's, which is told nothing else.
        channel: name of a data channel that is offered too.
        fec: offer in-band error correction.
    """

    def __init__(
        self,
        http: ClientSession,
        packets: list[bytes],
        *,
        relay: bool = False,
        loopback: bool = False,
        path: str = _SESSIONS,
        channel: str | None = None,
        fec: bool = False,
    ) -> None:
        if loopback:
            aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
        self._http = http
        self._relay = relay
        self._path = path
        self._channel = channel
        self._fec = fec
        self._speaker = _Speaker(packets)
        self._noted: list[tuple[int, int, float, bytes]] = []
        self.session: dict[str, Any] = {}
        self.connection: RTCPeerConnection | None = None

    async def open(self, timeout: float = 30.0, **request: Any) -> None:
        """Start a session and wait until the first packet has come.

        Raises:
            RuntimeError: the server refused, or ICE failed; says which.
            TimeoutError: no packet came.
        """
        self.connection = RTCPeerConnection(await self._configuration())
        self.connection.addTrack(self._speaker)
        if self._channel is not None:
            self.connection.createDataChannel(self._channel)
        self.connection.on("track", self._on_track)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        sdp = self.connection.localDescription.sdp
        body = {"sdp": _with_fec(sdp) if self._fec else sdp, "type": "offer", **request}
        async with self._http.post(self._path, json=body) as response:
            self.session = await response.json(content_type=None)
            if response.status not in {200, 201}:
                raise RuntimeError(f"{response.status} {self.session.get('type')}: {self.session.get('detail')}")
        await self.connection.setRemoteDescription(RTCSessionDescription(self.session["sdp"], "answer"))
        deadline = time.monotonic() + timeout
        while not self._noted:
            if self.connection.connectionState in {"failed", "closed"}:
                raise RuntimeError(f"the connection {self.connection.connectionState}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"no packet came; the connection is {self.connection.connectionState}")
            await asyncio.sleep(0.02)

    @property
    def begin(self) -> float | None:
        """When the first sample was said, seconds of the monotonic clock."""
        return self._speaker.begin

    async def about(self) -> dict[str, Any]:
        """The session as the server shows it."""
        async with self._http.get(f"/api/sessions/{self.session['id']}") as response:
            return dict(await response.json(content_type=None))

    async def close(self) -> None:
        """End the session, whatever state it is in."""
        if self._path == _SESSIONS and "id" in self.session:
            async with self._http.delete(f"/api/sessions/{self.session['id']}"):
                pass
        if self.connection is not None:
            await self.connection.close()

    def save(self, path: Path) -> None:
        """Write what was noted; `load` reads it."""
        sequence, stamps, arrivals, payloads = zip(*self._noted, strict=True)
        np.savez(
            path,
            begin=self._speaker.begin,
            sequence=_unwrapped(sequence, 16),
            stamps=_unwrapped(stamps, 32),
            arrivals=np.array(arrivals),
            lengths=[len(payload) for payload in payloads],
            payloads=np.frombuffer(b"".join(payloads), np.uint8),
        )

    async def _configuration(self) -> RTCConfiguration:
        if self._path != _SESSIONS:
            return RTCConfiguration([])
        async with self._http.get("/api/ice-servers") as response:
            servers = (await response.json())["iceServers"]
        return RTCConfiguration(
            [RTCIceServer(**server) for server in servers],
            iceTransportPolicy=RTCIceTransportPolicy.RELAY if self._relay else RTCIceTransportPolicy.ALL,
        )

    def _on_track(self, track: Any) -> None:
        assert self.connection is not None

        async def noted(packet: Any, arrival_time_ms: int) -> None:
            self._noted.append((packet.sequence_number, packet.timestamp, time.monotonic(), packet.payload))

        # Instead of aiortc's own handling: its jitter buffer waits for packets that are lost.
        self.connection.getReceivers()[0]._handle_rtp_packet = noted


def _with_fec(sdp: str) -> str:
    """The offer with in-band error correction (RFC 7587, section 6.1): browsers offer it, aiortc does not."""
    return re.sub(r"(a=rtpmap:(\d+) opus/48000/2\r\n)", r"\1a=fmtp:\2 minptime=10;useinbandfec=1\r\n", sdp)


def _unwrapped(values: tuple[int, ...], bits: int) -> np.ndarray:
    return np.unwrap(np.array(values, dtype=np.int64), period=1 << bits).astype(np.int64)


async def _main(options: argparse.Namespace) -> None:
    samples = np.load(options.audio)
    request = {name: getattr(options, name) for name in ("engine", "voice") if getattr(options, name)}
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    async with ClientSession(options.url, headers=headers) as http:
        probe = Probe(http, encode(samples), relay=options.relay, loopback=options.loopback, fec=options.fec)
        try:
            await probe.open(**request, settings=json.loads(options.settings))
            print(json.dumps({"begin": probe.begin}), flush=True)
            await asyncio.sleep(options.seconds)
            about = await probe.about()
            about.pop("sdp", None)
            print(json.dumps({"about": about}), flush=True)
            probe.save(options.out)
        finally:
            await probe.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--engine")
    parser.add_argument("--voice")
    parser.add_argument("--token")
    parser.add_argument("--settings", default="{}")
    parser.add_argument("--relay", action="store_true")
    parser.add_argument("--loopback", action="store_true")
    parser.add_argument("--fec", action="store_true")
    asyncio.run(_main(parser.parse_args()))
