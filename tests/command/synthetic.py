# SPDX-License-Identifier: MIT
"""Writes recordings of processes that there never were, after writewatch-recording(5).

synthetic.py FILE: one of a minute with a few mappings and hot spots that move.
"""
import dataclasses
import math
import random
import struct
import sys
import zlib

PAGE = 4096
MAGIC = bytes.fromhex('89575752 45430d0a')
EXACT, SOFT_DIRTY = 1, 2
INCOMPLETE, MORE = 1, 2
STOPPED, EXITED, KILLED, ENDED = 0, 1, 2, 3
READ, WRITE, EXECUTE, SHARED, SAME_NAME = 1, 2, 4, 8, 16


@dataclasses.dataclass
class Mapping:
    start: int  # these two in pages
    end: int
    name: str
    permissions: int = READ | WRITE
    resident: int = None


@dataclasses.dataclass
class Interval:
    begin: int  # these two in nanoseconds
    end: int
    pages: set
    flags: int = 0


def number(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def numbers(*values):
    return b''.join(map(number, values))


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return number(len(value)) + value


def record(kind, payload):
    head = struct.pack('<II', kind, len(payload))
    return head + struct.pack('<I', zlib.crc32(head + payload)) + payload


def ranges_of(pages):
    ranges = []
    for page in sorted(pages):
        if ranges and ranges[-1][1] == page:
            ranges[-1][1] = page + 1
        else:
            ranges.append([page, page + 1])
    return ranges


def start(command='synthetic', pid=4711, interval=100_000_000, tracking=EXACT, page_size=PAGE,
          clock=1_700_000_000_000_000_000, release='6.12.1-amd64', version=1):
    payload = numbers(page_size, interval, clock, pid, tracking) + text(command) + text(release)
    return MAGIC + struct.pack('<I', version) + record(1, payload)


def table(time, mappings):
    payload, last, name = numbers(time, len(mappings)), 0, None
    for m in mappings:
        same = m.name == name
        payload += numbers(m.start - last, m.end - m.start,
                           m.permissions | (SAME_NAME if same else 0),
                           0 if m.resident is None else m.resident + 1)
        payload += b'' if same else text(m.name)
        last, name = m.end, m.name
    return record(2, payload)


def untracked(time, mappings, pages, busy=0, hugetlb=0, sealed=0, special=0):
    return record(5, numbers(time, mappings, pages, busy, hugetlb, sealed, special))


def interval(i):
    ranges = ranges_of(i.pages)
    payload, last = numbers(i.end, i.end - i.begin, i.flags, len(ranges)), 0
    for first, behind in ranges:
        payload += numbers(first - last, behind - first - 1)
        last = behind
    return record(3, payload)


def end(time, intervals, kind=EXITED, value=0):
    pages = sum(len(i.pages) for i in intervals)
    count = sum(not i.flags & MORE for i in intervals)
    return record(4, numbers(time, kind, value, count, pages))


def program():
    """A server with a heap written all over, a ring buffer, a log, and a garbage collector."""
    rng = random.Random(1)
    heap, ring = 0x55d0c0000, 0x7f0000000
    mappings = [
        Mapping(0x55d0b0000, 0x55d0b0040, '/usr/bin/synthetic-server', READ | EXECUTE, 60),
        Mapping(0x55d0b0040, 0x55d0b0060, '/usr/bin/synthetic-server', READ | WRITE, 32),
        Mapping(heap, heap + 16384, '[heap]', resident=14000),
        Mapping(ring, ring + 4096, '/dev/shm/ring-buffer', READ | WRITE | SHARED, 4096),
        Mapping(ring + 8192, ring + 8192 + 32768, '', resident=30000),
        Mapping(ring + 65536, ring + 65536 + 512,
                '/var/lib/synthetic/a-log-with-a-rather-long-name.db', READ | WRITE | SHARED, 512),
        Mapping(ring + 90000, ring + 90033, '[stack]', resident=8),
    ]
    late = Mapping(ring + 80000, ring + 80000 + 2048, '[anon:jit-cache]', READ | WRITE, 2048)
    yield start('synthetic-server') + table(0, mappings)
    intervals = []
    for n in range(600):
        pages = {0x55d0b0044, 0x55d0b0051, ring + 90031, ring + 90032}
        centre = 8192 + 5000 * math.sin(n / 60)
        for _ in range(260):
            at = int(rng.gauss(centre, 350))
            if 0 <= at < 16384:
                pages.add(heap + at)
        pages |= {heap + rng.randrange(14000) for _ in range(30)}
        pages |= {ring + (n * 37 + k) % 4096 for k in range(60)}
        if n % 120 >= 95:
            base = (n % 120 - 95) * 1250
            pages |= {ring + 8192 + base + k for k in range(1250) if rng.random() < 0.7}
        pages |= {ring + 8192 + rng.randrange(3000) for _ in range(80)}
        pages.add(ring + 65536 + n * 512 // 600)
        if n == 250:
            yield table(n * 100_000_000, sorted(mappings + [late], key=lambda m: m.start))
        if n >= 250:
            pages |= {late.start + int(rng.expovariate(1 / 200)) % 2048 for _ in range(50)}
        flags = INCOMPLETE if 400 <= n < 404 else 0
        i = Interval(n * 100_000_000, (n + 1) * 100_000_000, pages, flags)
        intervals.append(i)
        yield interval(i)
    yield end(60_000_000_000, intervals)


if __name__ == '__main__':
    with open(sys.argv[1], 'wb') as file:
        file.writelines(program())
