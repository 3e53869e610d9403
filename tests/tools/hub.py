"""A model hub on the loopback: answers as the real one does to HEAD and GET of a file, with ranges."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves the files of `folder/ORGANISATION/REPOSITORY/`.

    Attributes:
        requests: (method, path, range header) of each request.
        stall_after: nothing more comes after so many bytes of a body; None for never.
        spoil: one byte of each body is changed.
    """

    def __init__(self, folder: Path, revisions: tuple[str, ...] = ("main", COMMIT)) -> None:
        self.folder, self.revisions = folder, revisions
        self.requests: list[tuple[str, str, str]] = []
        self.stall_after: int | None = None
        self._closing = threading.Event()
        self.spoil = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub._answer(self, body=False)

            def do_GET(self) -> None:
                hub._answer(self, body=True)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler, body: bool) -> None:
        wanted = handler.headers.get("Range", "")
        self.requests.append((handler.command, handler.path, wanted))
        # /ORGANISATION/REPOSITORY/resolve/REVISION/NAME
        parts = handler.path.lstrip("/").split("/")
        path = self.folder.joinpath(*parts[:2], *parts[4:])
        revision = parts[3] if len(parts) > 4 else ""
        if revision not in self.revisions or not path.is_file():
            code = "EntryNotFound" if revision in self.revisions else "RevisionNotFound"
            handler.send_response(404)
            handler.send_header("X-Error-Code", code)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        content = path.read_bytes()
        first = int(wanted.removeprefix("bytes=").rstrip("-").split("-")[0]) if wanted else 0
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        # Large files are named by their sha256, small ones by git's hash, as on the hub.
        large = not path.name.endswith((".json", ".yml"))
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        handler.send_header("ETag", f'"{hashlib.sha256(content).hexdigest() if large else blob}"')
        handler.send_header("X-Repo-Commit", COMMIT)
        handler.send_header("Accept-Ranges", "bytes")
        part = content[first:]
        handler.send_header("Content-Length", str(len(part)))
        handler.end_headers()
        if not body:
            return
        if self.spoil:
            part = part[:-1] + bytes([part[-1] ^ 1])
        if self.stall_after is not None and len(part) > self.stall_after:
            handler.wfile.write(part[: self.stall_after])
            handler.wfile.flush()
            self._closing.wait()
            return
        handler.wfile.write(part)
