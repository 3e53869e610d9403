"""Speaks the media worker's protocol as told by the offer, for what a real worker does not do on demand: hang, crash,
refuse, talk nonsense. `python -m tests.tools.scripted_worker --control-fd N --capacity K --engine NAME`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

ENGINE = {
    "sample_rate": 48000,
    "weights": "none",
    "reserve_ms": 1.0,
    "settings_schema": {"type": "object"},
    "per_session": ["block"],
    "needs_reference": False,
    "algorithmic_latency_ms": 20.0,
}
DELAY = {"algorithmic_ms": 20.0, "compute_ms": 1.0, "playout_ms": 40.0, "jitter_buffer_ms": 40.0, "total_ms": 101.0}


class Worker:
    def __init__(self, channel: socket.socket, capacity: int, engines: list[str]) -> None:
        self.channel = channel
        self.capacity = capacity
        self.engines = engines
        self.sessions: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        with self.lock:
            self.channel.sendall(json.dumps(message).encode() + b"\n")

    def state(self, session: str, state: str, reason: str = "") -> None:
        self.send({"event": "state", "session": session, "state": state, "reason": reason, "message": ""})

    def stats(self, session: str, blocks: int, **more: Any) -> None:
        values = {"blocks": blocks, "late_blocks": 1, "dropped_blocks": 0, "block_seconds": [0.004], "queue_ms": [1.5]}
        fixed = {"received_packets": 50, "lost_packets": 3, "concealed_ms": 20.0, "delay": DELAY}
        self.send({"event": "stats", "session": session, "time": time.time(), **values, **fixed, **more})

    def run(self) -> None:
        for line in self.channel.makefile("rb"):
            message = json.loads(line)
            try:
                answer = getattr(self, message["op"])(message)
            except RefusedError as refused:
                kind, text, field = refused.args
                error = {"kind": kind, "message": text} | ({"field": field} if field else {})
                self.send({"id": message["id"], "error": error})
            else:
                if answer is not None:
                    self.send({"id": message["id"], "ok": answer})
                    self.after(message)

    def hello(self, message: dict[str, Any]) -> dict[str, Any]:
        if os.environ.get("SCRIPT") == "never-ready":
            print("no microphone, no glory", flush=True)
            sys.exit(3)
        engines = dict.fromkeys(self.engines, ENGINE)
        return {"pid": os.getpid(), "version": "0", "engines": engines, "capacity": self.capacity}

    def create(self, message: dict[str, Any]) -> dict[str, Any] | None:
        script = message["sdp"]
        if script == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if script == "hang":
            return None
        if script == "nonsense":
            self.channel.sendall(b"\xff\xfe this is not JSON\n")
            return None
        if script == "stop-reading":
            time.sleep(3600)
        if script == "bad":
            raise RefusedError("bad-sdp", "no audio section", None)
        if script == "full" or len(self.sessions) >= self.capacity:
            raise RefusedError("full", "no room", None)
        block = message["settings"].get("block", 0.1)
        if not isinstance(block, int | float) or not 0.01 <= block <= 2:
            raise RefusedError("settings", "block is out of range", "block")
        settings = self.sessions[message["session"]] = {"block": 0.02, **message["settings"]}
        return {"sdp": "answer", "delay": DELAY, "settings": settings}

    def after(self, message: dict[str, Any]) -> None:
        if message["op"] != "create" or message["sdp"] == "quiet":
            return
        session = message["session"]
        self.state(session, "connected")
        self.send({"event": "first-audio", "session": session, "seconds": 0.25})
        self.stats(session, 10)
        self.stats(session, 25)
        if message["sdp"] == "short":
            self.sessions.pop(session)
            self.state(session, "closed", "peer")

    def candidate(self, message: dict[str, Any]) -> dict[str, Any]:
        self.settings_of(message)
        return {}

    def update(self, message: dict[str, Any]) -> dict[str, Any]:
        settings = self.settings_of(message)
        for name, value in (message.get("settings") or {}).items():
            if name == "block":
                raise RefusedError("per-session", "block belongs to the session", "block")
            settings[name] = value
        return {"settings": settings, "bypass": message.get("bypass", False)}

    def close(self, message: dict[str, Any]) -> dict[str, Any]:
        self.settings_of(message)
        del self.sessions[message["session"]]
        return {}

    def drain(self, message: dict[str, Any]) -> dict[str, Any]:
        return {}

    def ping(self, message: dict[str, Any]) -> dict[str, Any]:
        return {}

    def settings_of(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["session"] not in self.sessions:
            raise RefusedError("gone", "no such session", None)
        return self.sessions[message["session"]]


class RefusedError(Exception):
    """kind, message, field."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--control-fd", type=int)
    parser.add_argument("--capacity", type=int)
    parser.add_argument("--log-level")
    parser.add_argument("--engine", action="append")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Worker(socket.socket(fileno=arguments.control_fd), arguments.capacity, arguments.engine).run()


if __name__ == "__main__":
    main()
