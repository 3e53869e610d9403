"""Mouth to ear, measured through a real WebRTC connection. Needs the extra `latency`, no torch and no model."""
