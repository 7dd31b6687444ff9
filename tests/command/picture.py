# SPDX-License-Identifier: MIT
"""picture.py COMMAND json|no-json: looks at what 'COMMAND report --svg' draws; speaks TAP."""
import os
import random
import re
import xml.etree.ElementTree

import synthetic
import tap
from reporting import folder, recordings, report
from synthetic import Interval, Mapping

SVG = '{http://www.w3.org/2000/svg}'


def picture(content, *args, **more):
    return xml.etree.ElementTree.fromstring(report(content, '--svg', *args, **more))


def cells_of(group):
    return [(path.get('class'), path.get('d')) for path in group.iter(SVG + 'path')]


def test_picture():
    content = b''.join(synthetic.program())
    root = picture(content)
    groups = [g for g in root.iter(SVG + 'g') if g.get('class') == 'mapping']
    titles = [g.find(SVG + 'title').text for g in groups]
    for name in ('[heap]', '/dev/shm/ring-buffer', '[anonymous] 7f0002000000', '[anon:jit-cache]',
                 '/var/lib/synthetic/a-log-with-a-rather-long-name.db', '[stack]',
                 '/usr/bin/synthetic-server'):
        assert sum(t.startswith(name + '\n') for t in titles) == 1, (name, titles)
    assert len(groups) == 7 and all(cells_of(g) for g in groups)
    words = ' '.join(''.join(t.itertext()) for t in root.iter(SVG + 'text'))
    for label in ('synthetic-server', '4711', 'seconds', 'share of', 'MiB/s', '100 ms', '100 %',
                  '8.0 KiB of 132.0 KiB at 7f0015faf000', 'tracking was incomplete'):
        assert label in words, (label, words)
    style = root.find(SVG + 'style').text
    assert '@media (prefers-color-scheme: dark)' in style
    # To a file, it is the same.
    path = os.path.join(folder.name, 'picture.svg')
    assert report(content, '--svg=' + path) == b''
    with open(path, 'rb') as file:
        assert file.read() == report(content, '--svg')


def test_picture_of_two_pages():
    """Of three pages, in the fifth of ten intervals: two cells, in their places."""
    intervals = [Interval(n * 10**8, (n + 1) * 10**8, {101, 102} if n == 4 else set())
                 for n in range(10)]
    root = picture(synthetic.start() + synthetic.table(0, [Mapping(100, 103, '[heap]')]) +
                   b''.join(map(synthetic.interval, intervals)) + synthetic.end(10**9, intervals))
    group, = (g for g in root.iter(SVG + 'g') if g.get('class') == 'mapping')
    back, = group.iter(SVG + 'rect')
    left, top, width, height = (float(back.get(k)) for k in ('x', 'y', 'width', 'height'))
    (level, shapes), = cells_of(group)
    assert level == 'h7' and re.fullmatch(r'(M\d+ \d+h\d+v\d+h-\d+z){2}', shapes), shapes
    cells = [list(map(float, cell)) for cell in re.findall(r'M(\d+) (\d+)h(\d+)v(\d+)', shapes)]
    for row, (x, y, across, down) in enumerate(cells, 1):
        assert across == width / 10 and down == height / 3
        assert (x - left, y - top) == (width * 4 / 10, height * row / 3)


def test_pictures():
    for recording, cut in recordings():
        root = picture(recording.bytes, said=cut)
        groups = [g for g in root.iter(SVG + 'g') if g.get('class') == 'mapping']
        areas = {a for row in recording.by_area() for a in row if a}
        names = sorted((a[0].decode() or f'[anonymous] {a[2] * recording.page_size:x}')
                       for a in areas)
        if len(areas) <= 24:
            told = sorted(g.find(SVG + 'title').text.splitlines()[0] for g in groups)
            assert told == names, (told, names)
        assert all(cells_of(g) for g in groups)


def test_picture_is_bounded():
    rng = random.Random(3)
    mappings = [Mapping(n * 5000 + 16, n * 5000 + 4016, f'm{n}') for n in range(100)]
    intervals = [Interval(n * 10**7, (n + 1) * 10**7,
                          {rng.choice(mappings).start + rng.randrange(4000) for _ in range(300)})
                 for n in range(1500)]
    content = synthetic.start(interval=10**7) + synthetic.table(0, mappings)
    content += b''.join(map(synthetic.interval, intervals)) + synthetic.end(10**10, intervals)
    assert len(report(content, '--svg')) < 2_000_000
    root = picture(content)
    assert float(root.get('height')) < 1500
    words = ' '.join(''.join(t.itertext()) for t in root.iter(SVG + 'text'))
    assert re.search(r'Not shown: [0-9.]+ % of the writes, in 76 mappings', words), words


try:
    tap.main(globals())
finally:
    folder.cleanup()
