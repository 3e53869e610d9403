"""An echo server of plain aiortc, as its own examples do it: the track that comes is the track that goes."""

from __future__ import annotations

import sys
from typing import Any

import aioice.ice
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription

_peers: set[RTCPeerConnection] = set()


async def offer(request: web.Request) -> web.Response:
    body = await request.json()
    peer = RTCPeerConnection()
    _peers.add(peer)

    @peer.on("track")
    def on_track(track: Any) -> None:
        peer.addTrack(track)

    @peer.on("connectionstatechange")
    async def on_change() -> None:
        if peer.connectionState in {"failed", "closed"}:
            await peer.close()
            _peers.discard(peer)

    await peer.setRemoteDescription(RTCSessionDescription(body["sdp"], body["type"]))
    await peer.setLocalDescription(await peer.createAnswer())
    return web.json_response({"sdp": peer.localDescription.sdp, "type": peer.localDescription.type})


if __name__ == "__main__":
    # aioice leaves the loopback out.
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    app = web.Application()
    app.router.add_post("/offer", offer)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
