"""Seeded damage to files: what a broken recorder, a bad disk or an attacker makes of a valid one."""

from __future__ import annotations

import random

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def mutate(data: bytes, draw: random.Random, other: bytes = b"") -> bytes:
    """One to four mutations: bits, bytes, extreme numbers, pieces cut, doubled, moved, or from another file.

    Args:
        other: a file that pieces are taken from.
    """
    result = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if not result:
            break
        # Headers are a small part of a file and most of a parser: half of the damage goes there.
        at = draw.randrange(min(len(result), 256)) if draw.random() < 0.5 else draw.randrange(len(result))
        size = min(draw.choice((1, 2, 4, 8, 64, 1024)), len(result) - at)
        kind = draw.randrange(8)
        if kind == 0:
            result[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            result[at : at + size] = draw.randbytes(size)
        elif kind == 2:
            width = draw.choice((1, 2, 4, 8))
            number = draw.choice(_NUMBERS) & ((1 << 8 * width) - 1)
            result[at : at + width] = number.to_bytes(width, draw.choice(("big", "little")))
        elif kind == 3:
            del result[at : at + size]
        elif kind == 4:
            result[at:at] = result[at : at + size] * draw.choice((1, 2, 50))
        elif kind == 5:
            del result[draw.randrange(len(result)) :]
        elif kind == 6 and other:
            start = draw.randrange(len(other))
            result[at : at + size] = other[start : start + size]
        else:
            to = draw.randrange(len(result))
            piece = result[at : at + size]
            del result[at : at + size]
            result[to:to] = piece
    return bytes(result)
