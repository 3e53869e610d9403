"""A live stream driven in virtual time: sender, network, one engine worker and a paced receiver.

Nothing sleeps. The samples of the source are arbitrary; with `passthrough` the output is compared with it
by position, and every emitted sample's delay is known exactly from the sender's clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from seedvc_live.audio.pcm import Samples
from seedvc_live.engines.base import Engine, Geometry
from seedvc_live.live.chain import BlockChain, Target
from seedvc_live.live.stream import Delay, LiveStream

PACKET = 0.02
PULL = 0.01


@dataclass
class Run:
    """What a simulated run gave."""

    stream: LiveStream
    output: list[Samples] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    skipped: int = 0

    @property
    def samples(self) -> Samples:
        return np.concatenate(self.output) if self.output else np.zeros(0, dtype=np.float32)


def simulate(
    engine: Engine,
    source: Samples,
    *,
    playout: float = 0.04,
    compute: float = 0.02,
    cost: Callable[[float], float] = lambda now: 0.0,
    ppm: float = 0.0,
    jitter: Callable[[int], float] = lambda packet: 0.0,
    lost: Callable[[int], bool] = lambda packet: False,
    announced: bool = True,
    overload: str = "silence",
    pause: tuple[int, float] | None = None,
    events: Callable[[float, LiveStream], None] | None = None,
) -> Run:
    """Send `source` in 20 ms packets through a LiveStream.

    Args:
        cost: seconds of compute for a block started at a given time.
        ppm: how much faster than ours the sender's clock runs.
        jitter: extra delay of packet k, seconds.
        lost: whether packet k is lost; `announced` losses arrive as the next packet's gap (RTP), others not
            at all (raw UDP).
        pause: before packet k the sender pauses for so many seconds.
    """
    rate = engine.sample_rate
    settings = engine.settings_type()
    voice = engine.default_voice()
    geometry: Geometry = engine.geometry(settings, voice)
    delay = Delay(geometry.algorithmic_latency / rate, compute, playout)
    chain = BlockChain(geometry, Target(voice, settings), rate)
    stream = LiveStream(chain, rate, delay, overload=overload, announced=announced)  # type: ignore[arg-type]
    run = Run(stream)

    queue: list[tuple[float, int, str, object]] = []
    order = 0

    def post(time: float, kind: str, what: object = None) -> None:
        nonlocal order
        heapq.heappush(queue, (time, order, kind, what))
        order += 1

    size = round(PACKET * rate)
    second = 1.0 / (1.0 + ppm * 1e-6)
    packets = [source[first : first + size] for first in range(0, len(source), size)]
    sent, late_by, gap = 0.0, 0.0, 0
    latest = 0.0
    captured: dict[int, float] = {}
    for number, packet in enumerate(packets):
        if pause and number == pause[0]:
            late_by += pause[1]
        sent = (number + 1) * PACKET * second + late_by
        if lost(number):
            gap += len(packet) if announced else 0
            continue
        latest = max(latest, sent + jitter(number))
        captured[number] = sent
        post(latest, "packet", (packet, gap))
        gap = 0
    post(latest + 2.0, "end")
    post(0.0, "pull")
    idle = True
    while queue:
        now, _, kind, what = heapq.heappop(queue)
        if kind == "packet":
            samples, missing = what  # type: ignore[misc]
            stream.receive(now, samples, missing)
        elif kind == "end":
            stream.finish()
        elif kind == "done":
            job, blocks, seconds = what  # type: ignore[misc]
            stream.done(job, blocks, seconds)
            idle = True
        elif kind == "pull":
            emission = stream.pull(now, round(PULL * rate))
            run.skipped += emission.skip
            if len(emission.samples):
                run.output.append(emission.samples)
                run.times.append(now)
                first = stream.playout.position - len(emission.samples)
                # Capture of the sample by the sender's own clock, for streams without loss or pause.
                run.delays.append(now - (first / rate) * second)
            if not stream.finished:
                post(now + PULL, "pull")
        if events:
            events(now, stream)
        if idle:
            job = stream.take(now)
            if job is not None:
                idle = False
                seconds = cost(now)
                blocks = engine.convert(job.plan.windows)
                post(now + seconds, "done", (job, blocks, seconds))
    return run
