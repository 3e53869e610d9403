"""The media worker: a process that holds sessions, and nothing that outlives it.

The control process starts it with one end of a socket pair, asks it for sessions, and hears what becomes of them
(`worker_channel`). It ends when that socket closes, or on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys

from seedvc_live.errors import SeedVCLiveError
from seedvc_live.media.webrtc_warm import warm_up
from seedvc_live.service.worker_channel import Channel
from seedvc_live.service.worker_engines import load_engines
from seedvc_live.service.worker_server import Worker


async def _serve(fd: int, engine_names: list[str], capacity: int) -> None:
    channel = await Channel.open(fd)
    # Before the first request: `hello` is answered when the engines are ready.
    await asyncio.to_thread(warm_up)
    engines = await asyncio.to_thread(load_engines, engine_names)
    worker = Worker(channel, engines, capacity)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    await worker.run()


def main(arguments: list[str] | None = None) -> int:
    """Run the process; its exit status."""
    parser = argparse.ArgumentParser(prog="seedvc_live.service.worker", description="Started by `seedvc-live serve`.")
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--engine", action="append", default=[])
    parser.add_argument("--capacity", type=int, default=4)
    parser.add_argument("--log-level", default="info")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=options.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    # Threads wait for the interpreter at most this long; the default of 5 ms is half of a pull.
    sys.setswitchinterval(0.001)
    try:
        asyncio.run(_serve(options.control_fd, options.engine or ["nano"], options.capacity))
    except SeedVCLiveError as error:
        print(f"seedvc-live: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # A thread that hangs in GStreamer must not keep the process.
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
