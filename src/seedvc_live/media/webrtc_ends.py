"""The two ends of a WebRTC peer as a `Source` and a `Sink`, in the peer's one pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np

from .bus import BusWatch
from .elements import link
from .opus_sink import OpusOptions, OpusSink
from .opus_source import OpusSource
from .pushing import Pusher
from .types import AudioArray

_LABEL = "WebRTC peer"


class PeerSource(OpusSource):
    """What the peer says. Its elements stand in the pipeline from the beginning and are linked when media
    comes; the pipeline is the peer's to start and to end.
    """

    own_thread = False

    def __init__(self, pipeline: Any, bus: BusWatch, rate: int) -> None:
        super().__init__(_LABEL, rate, 1, inband_fec=False)
        self._elements: list[Any] = self._decoding()
        for element in self._elements:
            pipeline.add(element)
        link(*self._elements)
        self._peer_bus = bus
        self.inlet: Any = self._elements[0].get_static_pad("sink")
        """Where the ordered packets go in."""

    def attach(self, pad: Any, jitter: Any) -> bool:
        """Take packets from `pad`, which the jitter buffer feeds; False when another stream came first."""
        if self.inlet.is_linked():
            return False
        self._jitter = jitter
        self._observe(self.inlet)
        pad.link(self.inlet)
        return True

    def release(self) -> None:
        """Let go of the elements; counters stay readable."""
        self._forget()
        self._elements.clear()
        self.inlet = None

    def _open(self) -> None:
        self._bus = self._peer_bus
        self._appsink = self._elements[-1]

    def _close(self) -> None:
        self._forget()
        self._appsink = self._bus = None


class PeerSink(OpusSink):
    """What the peer hears. Before the connection stands nothing is encoded: it would only be late, and
    webrtcbin 1.22 can deadlock when it is closed with a buffer waiting.

    Every packet's RTP time stamp is one frame after the last: browsers conceal what is not. The stream begins
    with a frame of silence whose packet is dropped, since opusenc dates its second packet back.
    """

    def __init__(self, pipeline: Any, bus: BusWatch, outlet: Any, rate: int, options: OpusOptions) -> None:
        """
        Args:
            outlet: the pad that the packets go into.
        """
        super().__init__(_LABEL, rate, 1, options, paced=False, reanchor_seconds=0.5)
        chain = self._encoding()
        self._ready: Pusher | None = Pusher(_LABEL, chain, self._raw_caps(), is_live=True, into=(pipeline, bus))
        chain[-1].get_static_pad("src").link(outlet)
        self.open = False
        """Whether the peer can hear."""
        self._primed = False

    def start(self) -> None:
        self._starting()
        self._pusher = self._ready

    def write(self, samples: AudioArray) -> None:
        if not self.open:
            self._running()
            return
        if not self._primed:
            self._primed = True
            self._drop_first_packet()
            self._push(np.zeros((self._frame, 1), dtype=np.float32))
        super().write(samples)

    def skip(self, n: int) -> None:
        if self.open and self._primed:
            super().skip(n)

    def finish(self, timeout: float = 10.0) -> None:
        """Nothing to finalise: what was written has been sent."""
        self.abort()

    def release(self) -> None:
        """Let go of the elements."""
        self._ready = self._encoder = None

    def set_expected_loss(self, percent: int) -> None:
        """Lay the in-band FEC out for so much loss; 0 turns it off."""
        if self._encoder is not None:
            self._encoder.set_property("inband-fec", percent > 0)
            self._encoder.set_property("packet-loss-percentage", percent)

    def _drop_first_packet(self) -> None:
        from .elements import Gst

        pad = self._encoder.get_static_pad("src")
        pad.add_probe(Gst.PadProbeType.BUFFER, _drop_once)


def _drop_once(pad: Any, info: Any) -> Any:
    from .elements import Gst

    pad.remove_probe(info.id)
    return Gst.PadProbeReturn.DROP
