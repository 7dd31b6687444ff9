# SPDX-License-Identifier: MIT
"""What 'writewatch report' should say of random recordings, computed page by page."""
import random
import statistics

import synthetic
from synthetic import INCOMPLETE, Interval, Mapping

WINDOWS = [.1, .5, 1, 5, 10, 30, 60]
ROUNDS = 30


class Recording:
    """Random, and small enough to be looked at page by page."""

    def __init__(self, seed):
        rng = self.rng = random.Random(seed)
        self.page_size = rng.choice([4096, 4096, 16384])
        self.interval_ns = rng.choice([20, 100, 100, 250, 1000, 7000]) * 1_000_000
        self.tables = []  # (time, mappings, number of the first interval it holds for)
        self.intervals = []
        self.mappings = self.random_mappings()
        self.resident = rng.random() < .5
        head = synthetic.start(interval=self.interval_ns, page_size=self.page_size)
        self.bytes = head + b''.join(self.records())

    def random_mappings(self):
        mappings, at = [], self.rng.randrange(16, 100)
        for _ in range(self.rng.randrange(0, 9)):
            at += self.rng.choice([0, 0, 3, 50])
            size = self.rng.randrange(1, 60)
            name = self.rng.choice(['', '', '[heap]', '/lib/<a> & "b".so', '/tmp/\u00e4 , x'])
            mappings.append(Mapping(at, at + size, name, self.rng.choice([1, 3, 3, 11])))
            at += size
        return mappings

    def change_mappings(self):
        """Some vanish, some grow, some come anew."""
        rng, kept = self.rng, [m for m in self.mappings if self.rng.random() < .8]
        grown = []
        for m, behind in zip(kept, kept[1:] + [None]):
            room = behind.start - m.end if behind else 20
            grown.append(Mapping(m.start, m.end + rng.randrange(room + 1), m.name, m.permissions))
        if rng.random() < .2:
            grown = self.random_mappings()
        self.mappings = grown

    def records(self):
        rng, time = self.rng, 0
        for n in range(rng.randrange(0, 150)):
            if n == 0 or rng.random() < .05:
                self.change_mappings()
                for m in self.mappings:
                    m.resident = rng.randrange(m.end - m.start + 1) if self.resident else None
                self.tables.append((time, self.mappings, n))
                yield synthetic.table(time, self.mappings)
            time += rng.choice([0, 0, 0, rng.randrange(self.interval_ns)])
            begin, time = time, time + int(self.interval_ns * rng.uniform(.8, 1.2))
            i = Interval(begin, time, self.random_pages(), rng.choice([0, 0, 0, INCOMPLETE]))
            self.intervals.append(i)
            yield synthetic.interval(i)
        self.duration = time if self.intervals else 0
        if rng.random() < .7:
            yield synthetic.end(time, self.intervals)

    def random_pages(self):
        pages, rng = set(), self.rng
        for m in self.mappings:
            size = m.end - m.start
            for _ in range(rng.choice([0, 0, 1, 3])):
                at = rng.randrange(size)
                pages.update(range(m.start + at, min(m.end, m.start + at + rng.randrange(1, 9))))
        if rng.random() < .1:
            pages.add(rng.randrange(600))
        return pages

    def written(self):
        return set().union(*(i.pages for i in self.intervals))

    def page_writes(self):
        return sum(len(i.pages) for i in self.intervals)

    def rates(self):
        rates = [len(i.pages) * self.page_size * 1e9 / (i.end - i.begin) for i in self.intervals]
        if not rates:
            return {'mean': 0, 'median': 0, 'max': 0}
        return {'mean': self.page_writes() * self.page_size * 1e9 / self.duration,
                'median': statistics.median(rates), 'max': max(rates)}

    def working_set(self):
        result = []
        for length in WINDOWS:
            sizes, window, begin = [], None, None
            for i in self.intervals:
                if window is None:
                    window, begin = set(), i.begin
                window |= i.pages
                if i.end - begin + self.interval_ns // 2 >= round(length * 1e9):
                    sizes.append(len(window))
                    window = None
            if sizes and self.interval_ns <= round(length * 1e9):
                result.append({'window_s': length, 'windows': len(sizes),
                               'median_pages': statistics.median(sizes), 'max_pages': max(sizes)})
        return result

    def areas(self):
        """Mappings with one name and the same permissions that overlap at any times."""
        found = sorted((m.name.encode(), m.permissions, m.start, m.end)
                       for _, mappings, _ in self.tables for m in mappings)
        areas = []
        for name, permissions, start, end in found:
            last = areas[-1] if areas else None
            if last and last[:2] == [name, permissions] and start < last[3]:
                last[3] = max(last[3], end)
            else:
                areas.append([name, permissions, start, end])
        return [tuple(a) for a in areas]

    def by_area(self):
        """Of each interval: the pages in each area; those that were in none have None."""
        areas, rows, current = self.areas(), [], []
        tables = list(self.tables)
        for n, i in enumerate(self.intervals):
            while tables and tables[0][2] <= n:
                current = tables.pop(0)[1]
            row = {}
            for page in i.pages:
                m = next((m for m in current if m.start <= page < m.end), None)
                area = m and next(a for a in areas if a[0] == m.name.encode() and
                                  a[1] == m.permissions and a[2] <= page < a[3])
                row.setdefault(area, set()).add(page)
            rows.append(row)
        return rows

    def migration(self, bandwidth, limit):
        """(rounds as pages, pages at last, whether it converges, whether it was repeated)."""
        resident = max((sum(m.resident or 0 for m in mappings) for _, mappings, _ in self.tables),
                       default=0) if self.resident else 0
        pages, time, rounds, last = max(resident, len(self.written())), 0, [], 0
        while pages * self.page_size / bandwidth > limit and len(rounds) < ROUNDS:
            rounds.append(pages)
            behind = time + pages * self.page_size / bandwidth * 1e9
            if behind - time > 3 * self.duration:
                copied = self.written()
            else:
                copied = set().union(*(i.pages for i in self.between(time, behind)))
            last, time, pages = behind, behind, len(copied)
        return (rounds, pages, pages * self.page_size / bandwidth <= limit,
                last > self.duration if self.intervals else False)

    def between(self, begin, end):
        """The intervals that overlap, where the recording is played again and again."""
        if not self.duration:
            return
        for loop in range(int(begin // self.duration), int(end // self.duration) + 1):
            offset = loop * self.duration
            for i in self.intervals:
                if i.begin + offset < end and i.end + offset > begin:
                    yield i
