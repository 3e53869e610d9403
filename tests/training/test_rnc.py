"""Unpacking what a packer of this test packed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training.rnc import unpacked

_WIDTH = 4


class _Packer:
    """Codes of four bits for all sixteen sizes of numbers; literals lie behind the words whose bits were begun."""

    def __init__(self) -> None:
        self.bits = [0, 0]
        self.runs: list[tuple[int, bytes]] = []

    def add(self, value: int, count: int) -> None:
        self.bits += [value >> bit & 1 for bit in range(count)]

    def number(self, value: int) -> None:
        size = value if value < 2 else value.bit_length()
        self.bits += [size >> bit & 1 for bit in reversed(range(_WIDTH))]
        if size >= 2:
            self.add(value - (1 << (size - 1)), size - 1)

    def literals(self, run: bytes) -> None:
        self.runs.append((-(-len(self.bits) // 16), run))

    def packed(self, size: int) -> bytes:
        words = [self.bits[i : i + 16] for i in range(0, len(self.bits), 16)]
        out = bytearray(b"RNC\x01" + size.to_bytes(4, "big") + bytes(10))
        for index in range(len(words) + 1):
            out += b"".join(run for place, run in self.runs if place == index)
            if index < len(words):
                out += sum(bit << i for i, bit in enumerate(words[index])).to_bytes(2, "little")
        return bytes(out)


def _pack(chunks: list[list[tuple[bytes, int, int]]]) -> tuple[bytes, bytes]:
    """Runs, each followed by a repetition (distance, length); the last run of a chunk by none."""
    packer, plain = _Packer(), bytearray()
    for pieces in chunks:
        for _ in range(3):
            packer.add(1 << _WIDTH, 5)
            for _ in range(1 << _WIDTH):
                packer.add(_WIDTH, 4)
        packer.add(len(pieces), 16)
        for index, (run, distance, length) in enumerate(pieces):
            packer.number(len(run))
            if run:
                packer.literals(run)
            plain += run
            if index < len(pieces) - 1:
                distance = min(distance, len(plain))
                packer.number(distance - 1)
                packer.number(length - 2)
                for _ in range(length):
                    plain.append(plain[-distance])
    return packer.packed(len(plain)), bytes(plain)


_piece = st.tuples(st.binary(max_size=40), st.integers(1, 60), st.integers(2, 90))
_chunk = st.tuples(st.binary(min_size=1, max_size=40), st.lists(_piece, max_size=12)).map(
    lambda chunk: [(chunk[0], 1, 2), *chunk[1]]
)


@given(st.lists(_chunk, min_size=1, max_size=3))
def test_runs_and_repetitions_come_back(chunks: list[list[tuple[bytes, int, int]]]) -> None:
    packed, plain = _pack(chunks)
    assert unpacked(packed) == plain


def test_other_data_are_refused() -> None:
    with pytest.raises(ValueError, match="method 1"):
        unpacked(b"RNC\x02" + bytes(30))


def test_data_cut_short_are_refused() -> None:
    packed, _ = _pack([[(bytes(range(200)), 1, 2), (bytes(range(100)), 5, 9), (b"end", 1, 2)]])
    with pytest.raises(ValueError, match="early"):
        unpacked(packed[:60])
