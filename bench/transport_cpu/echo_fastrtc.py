"""An echo server of FastRTC: a stream handler that gives back what it gets. Runs in FastRTC's own environment."""

from __future__ import annotations

import asyncio
import sys

import aioice.ice
import numpy as np
import uvicorn
from fastapi import FastAPI
from fastrtc import AsyncStreamHandler, Stream, wait_for_item


class Echo(AsyncStreamHandler):
    """48 kHz in and out, frame by frame: no resampling that the others do not do."""

    def __init__(self) -> None:
        super().__init__(expected_layout="mono", output_sample_rate=48_000, input_sample_rate=48_000)
        self.queue: asyncio.Queue[tuple[int, np.ndarray]] = asyncio.Queue()

    def copy(self) -> Echo:
        return Echo()

    async def start_up(self) -> None:
        pass

    async def receive(self, frame: tuple[int, np.ndarray]) -> None:
        await self.queue.put(frame)

    async def emit(self) -> tuple[int, np.ndarray] | None:
        return await wait_for_item(self.queue)

    async def shutdown(self) -> None:
        pass


if __name__ == "__main__":
    # aioice leaves the loopback out.
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    app = FastAPI()
    Stream(Echo(), modality="audio", mode="send-receive", concurrency_limit=100, time_limit=None).mount(app)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
