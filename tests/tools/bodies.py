"""Seeded damage to JSON bodies: wrong types, missing and strange members, broken text, huge and deep values."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.tools.mutate import mutate

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**400, -(10**30), 1e308, float("nan"), float("inf"), "", " ", "x", "\x00",
    "é\u2028",
    "\ud800", "../../../etc/passwd", "<script>", "%s%n", "a" * 300, "a" * 70_000, [], [[]], {}, {"": None}, [None] * 3,
    "__proto__", "null", "2000-01-01", "-0", {"$ref": "#"},
)  # fmt: skip
_NAMES = ("", "sdp", "type", "voice", "engine", "settings", "bypass", "session", "candidate", "block", "é", "a" * 200)


def damaged(seed: int, valid: dict[str, Any]) -> bytes:
    """A body with some kinds of damage; the same for the same seed."""
    draw = random.Random(seed)
    value: Any = copy.deepcopy(valid)
    for _ in range(draw.randint(1, 3)):
        value = _damage(draw, value)
    text = json.dumps(value, ensure_ascii=draw.random() < 0.5)
    data = text.encode("utf-8", "surrogatepass")
    kind = draw.randrange(12)
    if kind == 0:
        return data[: draw.randrange(len(data) + 1)]
    if kind == 1:
        return mutate(data, draw, b'"\xff\xfe\\ud800{}[]:,')
    if kind == 2:
        return b"[" * draw.choice((10, 1000, 60_000)) + data
    if kind == 3:
        return data + draw.choice((b"\x00", b"{}", b"]", b" " * 70_000, b"\xff"))
    if kind == 4:
        return data.replace(b'"', b'"' + draw.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\\u12", b"\\ud800")), 1)
    if kind == 5:
        return draw.choice(
            (b"", b"\xef\xbb\xbf" + data, data.decode("utf-8", "ignore").encode("utf-16"), b"x" * (1 << 20))
        )
    return data


def _damage(draw: random.Random, value: Any) -> Any:
    if not isinstance(value, dict) or draw.random() < 0.05:
        return copy.deepcopy(draw.choice(_VALUES))
    kind, names = draw.randrange(5), list(value)
    name = draw.choice(names) if names else draw.choice(_NAMES)
    if kind == 0:
        value.pop(name, None)
    elif kind == 1:
        value[draw.choice(_NAMES)] = copy.deepcopy(draw.choice(_VALUES))
    elif kind == 2 and isinstance(value.get(name), dict):
        value[name] = _damage(draw, value[name])
    else:
        value[name] = copy.deepcopy(draw.choice(_VALUES))
    return value
