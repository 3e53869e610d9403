"""ArrivalClock: when each input sample was captured, judged by the fastest arrivals."""

from __future__ import annotations

from collections import deque


class ArrivalClock:
    """Maps sample indices of an input stream to the receiver's time.

    A packet's arrival is its capture plus a constant plus jitter, and jitter only ever delays. So the least
    `arrival - index/rate` of the last seconds is the sender's clock as seen here; its slow change is the
    difference of the two clocks (Moon, Skelly & Towsley, "Estimation and removal of clock skew from
    network delay measurements", INFOCOM 1999).

    A step upwards that lasts is not jitter: samples are missing that nobody announced (raw UDP, a sender
    that paused). `missing` says how many, so that silence can take their place.
    """

    def __init__(
        self, rate: int, window: float = 2.0, settle: float = 0.5, step: float = 0.01, pause: float = 1.0
    ) -> None:
        """
        Args:
            rate: Hz.
            window: seconds of arrivals that the minimum is taken over.
            settle: seconds that a step must last before it counts as loss.
            step: smallest step that counts, seconds.
            pause: a step this large counts at once, seconds; shorter ones may be packets held up on the way.
        """
        self._rate = rate
        self._window = window
        self._settle = settle
        self._step = step
        self._pause = pause
        self._arrivals: deque[tuple[float, float]] = deque()
        self.offset: float | None = None
        """Estimated time, seconds, at which sample 0 arrived; None before the first arrival."""

    def capture(self, index: float) -> float:
        """Time at which sample `index` arrives on the fastest path, seconds.

        Raises:
            ValueError: nothing has arrived yet.
        """
        if self.offset is None:
            raise ValueError("no sample has arrived yet")
        return self.offset + index / self._rate

    def arrived(self, now: float, received: int) -> None:
        """`received` samples in all have arrived at time `now` (seconds)."""
        offset = now - received / self._rate
        arrivals = self._arrivals
        arrivals.append((now, offset))
        while arrivals[0][0] < now - self._window:
            arrivals.popleft()
        self.offset = min(value for _, value in arrivals)

    def missing(self, now: float, received: int) -> int:
        """Samples that must have been lost unannounced, if `received` have arrived by `now`; else 0.

        To be asked before `arrived`; what it returns is to be added to the count of samples received.
        """
        if self.offset is None:
            return 0
        lag = now - received / self._rate - self.offset
        if lag >= self._pause:
            return round(lag * self._rate)
        if lag < self._step or not self._arrivals or self._arrivals[0][0] > now - self._settle:
            return 0
        recent = [value for time, value in self._arrivals if time > now - self._settle]
        if not recent:
            return 0
        lasting = min(lag, min(recent) - self.offset)
        return round(lasting * self._rate) if lasting >= self._step else 0

    def shifted(self, samples: int) -> None:
        """`samples` of silence were put in place of lost ones: past arrivals are judged as if on time."""
        shift = samples / self._rate
        floor = self.offset
        self._arrivals = deque(
            (time, value if floor is None else max(floor, value - shift)) for time, value in self._arrivals
        )
