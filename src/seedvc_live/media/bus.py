"""What a pipeline reports on its bus, without a GLib main loop: errors are raised where the caller is.

A pipeline's errors appear in its own threads. `BusWatch.poll` fetches them in the caller's thread, and
each call of a source or a sink polls, so the caller learns of a failure at its next call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from ..errors import MediaError
from .elements import Gst, glib_error_text, seconds_to_ns


@dataclass(frozen=True)
class BusError:
    """An error message of a pipeline.

    Attributes:
        element: name of the element that posted it.
        text: one line.
        domain: GLib error domain, such as "gst-stream-error-quark".
        code: number within that domain.
        debug: the element's own details, with source file and line; may be empty.
    """

    element: str
    text: str
    domain: str
    code: int
    debug: str

    def matches(self, domain: Any, code: Any) -> bool:
        """Whether this is, for example, (Gst.stream_error_quark(), Gst.StreamError.WRONG_TYPE)."""
        from gi.repository import GLib

        return bool(self.domain == GLib.quark_to_string(domain) and self.code == int(code))


class BusWatch:
    """Follows one pipeline's bus by polling.

    Args:
        pipeline: the pipeline; only its bus is kept.
        on_element: called in the polling thread with each element message's (element name, structure).
        interval: least seconds between two looks at the bus; polls in between cost and see nothing.
    """

    def __init__(
        self, pipeline: Any, on_element: Callable[[str, Any], None] | None = None, interval: float = 0.0
    ) -> None:
        self._pipeline = pipeline
        self._interval, self._looked = interval, 0.0
        self._bus = pipeline.get_bus()
        self._on_element = on_element
        self.error: BusError | None = None
        self.eos = False
        self.warnings: list[str] = []

    def poll(self, timeout: float = 0.0) -> None:
        """Handle all messages that are there, waiting up to `timeout` seconds for the first one."""
        bus = self._bus
        if bus is None:
            return
        if self._interval and not timeout:
            now = monotonic()
            if now - self._looked < self._interval:
                return
            self._looked = now
        wait = seconds_to_ns(timeout)
        kinds = (
            Gst.MessageType.ERROR
            | Gst.MessageType.WARNING
            | Gst.MessageType.EOS
            | Gst.MessageType.LATENCY
            | Gst.MessageType.ELEMENT
        )
        while (message := bus.timed_pop_filtered(wait, kinds)) is not None:
            wait = 0
            self._handle(message)

    def wait_for_end(self, timeout: float) -> bool:
        """Poll until EOS or an error; False when neither came within `timeout` seconds."""
        deadline = monotonic() + timeout
        while not self.eos and self.error is None:
            left = deadline - monotonic()
            if left <= 0:
                return False
            self.poll(min(left, 0.1))
        return True

    def close(self) -> None:
        """Drop what is left, so that no message keeps an element alive, and the bus, which has descriptors."""
        bus, self._bus, self._pipeline = self._bus, None, None
        if bus is not None:
            bus.set_flushing(True)

    def _handle(self, message: Any) -> None:
        kind = message.type
        if kind == Gst.MessageType.ERROR:
            if self.error is None:  # the first is the cause, the others follow from it
                error, debug = message.parse_error()
                self.error = BusError(
                    message.src.get_name() if message.src else "?",
                    glib_error_text(error),
                    str(error.domain),
                    int(error.code),
                    debug or "",
                )
        elif kind == Gst.MessageType.WARNING:
            error, debug = message.parse_warning()
            if len(self.warnings) < 20:
                self.warnings.append(f"{glib_error_text(error)} ({debug})" if debug else glib_error_text(error))
        elif kind == Gst.MessageType.EOS:
            self.eos = True
        elif kind == Gst.MessageType.LATENCY and self._pipeline is not None:
            self._pipeline.recalculate_latency()
        elif kind == Gst.MessageType.ELEMENT and self._on_element is not None and message.src is not None:
            self._on_element(message.src.get_name(), message.get_structure())


def failure(kind: type[MediaError], what: str, error: BusError) -> MediaError:
    """The exception for a pipeline's error: one line, the details in its `debug` attribute."""
    result = kind(f"{what}: {error.text}")
    result.debug = f"{error.element}: {error.domain} {error.code}: {error.debug}"
    return result
