"""A caller: opens a session over HTTP with an aiortc peer, as a browser does."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiohttp import ClientSession

from tests.tools.webrtc import RATE, Client


class Caller:
    """One conversation.

    Attributes:
        peer: the aiortc side.
        session: the server's answer.
    """

    def __init__(self, http: ClientSession, samples: np.ndarray) -> None:
        self.http = http
        self.peer = Client(samples)
        self.session: dict[str, Any] = {}

    async def call(self, **wish: Any) -> Caller:
        """Open a session and connect."""
        response = await self.http.post("/api/sessions", json={"sdp": await self.peer.offer(), **wish})
        body = await response.json(content_type=None)
        assert response.status == 201, body
        self.session = body
        await self.peer.accept(body["sdp"])
        return self

    @property
    def path(self) -> str:
        return f"/api/sessions/{self.session['id']}"

    async def hang_up(self) -> None:
        """Close the peer, and the session if it is still there."""
        await self.peer.close()
        if self.session:
            await self.http.delete(self.path)


def tone(frequency: float, seconds: float, level: float = 0.3) -> np.ndarray:
    """A sine at 48 kHz."""
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def share_of(samples: np.ndarray, frequency: float, width: float = 20.0) -> float:
    """The share of a sound's power within `width` Hz of a frequency."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(samples), 1 / RATE) - frequency) < width
    return float(power[near].sum() / max(power.sum(), 1e-20))
