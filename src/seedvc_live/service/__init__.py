"""The server: `seedvc-live serve`.

The control process (`app`, `pool`, `sessions`, …) speaks HTTP and keeps account; it loads neither GStreamer nor a
model. Sessions live in media-worker processes (`worker`), which it starts, watches and replaces.
"""
