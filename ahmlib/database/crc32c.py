"""CRC-32C of many short messages at once: what guards each record of WAL against a torn page.

Byte by byte, an interpreter checks a few MB in a second.  Here the messages lie side by side in
lanes, and one step takes the next byte of every lane: a stride of the buffer, a table applied by
bytes.translate() and an XOR of long integers.  So the work is done in C, 16 bytes of state a lane,
and a segment of WAL takes some tenths of a second.

A message is cut into pieces of LANE bytes.  With a register that begins at 0, leading zeros change
nothing, so the first piece is filled up in front; to begin with all bits set, as CRC-32C does, is
the same as to complement the first four bytes.  The pieces are put together by what LANE zeros make
of a register, which is linear, so it is a table.
"""
import struct
from typing import List, Sequence, Tuple

POLYNOMIAL = 0x82F63B78         # reflected
LANE = 64
COMPLEMENT = bytes(255 - byte for byte in range(256))
ZEROS = bytes(LANE)


def _byte_table() -> List[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


TABLE = _byte_table()
# What one byte makes of each of the four bytes of the register.
PLANES = tuple(bytes(value >> shift & 0xff for value in TABLE) for shift in (0, 8, 16, 24))


def _after_zeros(register: int) -> int:
    for _ in range(LANE):
        register = register >> 8 ^ TABLE[register & 0xff]
    return register


def _shift_tables() -> List[List[int]]:
    """Four tables: what LANE zeros make of each byte of a register."""
    single = [_after_zeros(1 << bit) for bit in range(32)]
    tables = []
    for first in (0, 8, 16, 24):
        table = [0]
        for bit in range(8):
            table += [single[first + bit] ^ known for known in table]
        tables.append(table)
    return tables


SHIFTS = _shift_tables()


def checksums(messages: Sequence[bytes]) -> List[int]:
    """Return the CRC-32C of each of these messages (bytes, four of them at least)."""
    pieces, counts = [], []
    for message in messages:
        fill = -len(message) % LANE
        pieces.append(ZEROS[:fill] + message[:4].translate(COMPLEMENT) + message[4:])
        counts.append((len(message) + fill) // LANE)
    registers = _registers(b''.join(pieces), sum(counts))
    found, at = [], 0
    low, second, third, high = SHIFTS
    for count in counts:
        value = registers[at]
        for piece in registers[at + 1:at + count]:
            value = (low[value & 0xff] ^ second[value >> 8 & 0xff] ^ third[value >> 16 & 0xff]
                     ^ high[value >> 24] ^ piece)
        found.append(value ^ 0xffffffff)
        at += count
    return found


def _registers(data: bytes, lanes: int) -> Tuple[int, ...]:
    """The register of each lane of `data`, LANE bytes a lane, that began at 0."""
    if not lanes:
        return ()
    read = int.from_bytes
    first = second = third = fourth = 0
    for column in range(LANE):
        index = (first ^ read(data[column::LANE], 'little')).to_bytes(lanes, 'little')
        first = second ^ read(index.translate(PLANES[0]), 'little')
        second = third ^ read(index.translate(PLANES[1]), 'little')
        third = fourth ^ read(index.translate(PLANES[2]), 'little')
        fourth = read(index.translate(PLANES[3]), 'little')
    woven = bytearray(4 * lanes)
    for place, plane in enumerate((first, second, third, fourth)):
        woven[place::4] = plane.to_bytes(lanes, 'little')
    return struct.unpack('<%dI' % lanes, bytes(woven))
