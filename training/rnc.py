"""Rob Northen's packing, method 1, in which old games keep their data: unpacking only.

LZ77 whose literal runs, distances and lengths are numbers coded by three Huffman tables, new ones for each chunk. Bits
come from the lowest on, from words of 16; literals lie between the words.
"""

from __future__ import annotations

_HEADER = 18


class _Bits:
    """Always holds the next 16 bits or more; the last word that was read begins at `at`."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.held = int.from_bytes(data[at : at + 2], "little")
        self.count = 16

    def take(self, count: int) -> int:
        value = self.held & ((1 << count) - 1)
        self.held >>= count
        self.count -= count
        if self.count < 16:
            self.at += 2
            self.held |= int.from_bytes(self.data[self.at : self.at + 2], "little") << self.count
            self.count += 16
        return value

    def literals(self, count: int) -> bytes:
        """Whole bytes, from where the last word was read; that word is read behind them."""
        run = self.data[self.at : self.at + count]
        self.at += count
        self.count -= 16
        self.held &= (1 << self.count) - 1
        self.held |= int.from_bytes(self.data[self.at : self.at + 2], "little") << self.count
        self.count += 16
        return run


def _table(bits: _Bits) -> tuple[list[tuple[int, int]], int]:
    """All combinations of the next `width` bits → (length of the code, value), and the width."""
    lengths = [bits.take(4) for _ in range(bits.take(5))]
    width = max(lengths, default=0)
    table = [(0, 0)] * (1 << width)
    code = 0
    for length in range(1, width + 1):
        for value, own in enumerate(lengths):
            if own == length:
                first = int(f"{code:0{length}b}"[::-1], 2)
                table[first :: 1 << length] = [(length, value)] * (1 << (width - length))
                code += 1
        code <<= 1
    return table, (1 << width) - 1


def _number(bits: _Bits, table: list[tuple[int, int]], mask: int) -> int:
    length, value = table[bits.held & mask]
    bits.take(length)
    return value if value < 2 else 1 << (value - 1) | bits.take(value - 1)


def unpacked(data: bytes) -> bytes:
    """What was packed.

    Raises:
        ValueError: not packed by this method, or cut short.
    """
    if data[:4] != b"RNC\x01":
        raise ValueError("not packed by RNC's method 1")
    size = int.from_bytes(data[4:8], "big")
    bits, out = _Bits(data, _HEADER), bytearray()
    bits.take(2)
    while len(out) < size:
        if bits.at >= len(data):
            raise ValueError("packed data end early")
        (runs, run_mask), (distances, distance_mask), (lengths, length_mask) = _table(bits), _table(bits), _table(bits)
        count = bits.take(16)
        for left in range(count - 1, -1, -1):
            run = _number(bits, runs, run_mask)
            if run:
                out += bits.literals(run)
            if left:
                distance, length = _number(bits, distances, distance_mask) + 1, _number(bits, lengths, length_mask) + 2
                piece = out[-distance:][:length]
                out += (piece * (length // distance + 1))[:length] if distance < length else piece
    return bytes(out)
