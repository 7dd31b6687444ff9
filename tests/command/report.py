# SPDX-License-Identifier: MIT
"""report.py COMMAND json|no-json: runs 'COMMAND report' on recordings of its own; speaks TAP."""
import csv
import io
import math
import os
import random
import signal

import synthetic
import tap
from reporting import RECORDINGS, folder, has_json, path_of, recordings, report, report_json, run
from synthetic import ENDED, KILLED, READ, STOPPED, WRITE, Interval, Mapping
from tap import Skip

MUTATIONS = int(os.environ.get('WW_OPS', 20000)) // 100


def near(a, b):
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def test_sums():
    for recording, cut in recordings():
        told = report_json(recording.bytes, said=cut)
        assert told['intervals'] == len(recording.intervals)
        assert near(told['duration_s'], recording.duration / 1e9)
        assert told['page_writes'] == recording.page_writes()
        assert told['pages'] == len(recording.written())
        assert told['incomplete_intervals'] == sum(i.flags for i in recording.intervals)
        for key, value in recording.rates().items():
            assert near(told['bytes_per_s'][key], value), (key, told['bytes_per_s'], value)
        assert (told['recording']['end'] is None) == bool(cut)
        assert (told['recording']['problem'] is None) == (not cut)


def test_working_set():
    some = 0
    for recording, cut in recordings():
        told = report_json(recording.bytes, said=cut)['working_set']
        assert told == recording.working_set(), (told, recording.working_set())
        some += len(told)
    assert some > RECORDINGS


def test_mappings():
    for recording, cut in recordings():
        told = report_json(recording.bytes, said=cut)
        expected, stray = {}, 0
        for row in recording.by_area():
            for area, pages in row.items():
                if area is None:
                    stray += len(pages)
                    continue
                writes, written = expected.setdefault(area, (0, set()))
                expected[area] = writes + len(pages), written | pages
        assert told['stray_page_writes'] == stray
        assert len(told['mappings']) == len(expected)
        writes = [m['page_writes'] for m in told['mappings']]
        assert writes == sorted(writes, reverse=True)
        for m in told['mappings']:
            start, end = (int(m[k], 16) // recording.page_size for k in ('start', 'end'))
            bits = sum(1 << n for n, c in enumerate('rwx') if c in m['permissions'])
            bits |= 8 if 's' in m['permissions'] else 0
            writes, written = expected[m['name'].encode(), bits, start, end]
            assert (m['page_writes'], m['pages']) == (writes, len(written))
            assert near(m['share'], len(written) / (end - start))
            assert near(m['bytes_per_s'], writes * recording.page_size * 1e9 / recording.duration)


def test_lifetimes():
    heap, late = Mapping(16, 32, '[heap]'), Mapping(64, 80, 'late')
    intervals = [Interval(n * 10**8, (n + 1) * 10**8, {20, 70}) for n in range(10)]
    told = report_json(
        synthetic.start() + synthetic.table(0, [heap]) +
        b''.join(map(synthetic.interval, intervals[:3])) +
        synthetic.table(3 * 10**8, [heap, late]) +
        b''.join(map(synthetic.interval, intervals[3:7])) +
        synthetic.table(7 * 10**8, [heap]) +
        b''.join(map(synthetic.interval, intervals[7:])) + synthetic.end(10**9, intervals))
    lives = {m['name']: (m['first_s'], m['last_s']) for m in told['mappings']}
    assert lives == {'[heap]': (0, 1), 'late': (.3, .7)}, lives
    assert told['stray_page_writes'] == 6


def test_ranges_across_mappings():
    mappings = [Mapping(64, 80, 'a'), Mapping(80, 84, 'b'), Mapping(90, 91, 'c')]
    i = Interval(0, 10**8, set(range(60, 100)))
    told = report_json(synthetic.start() + synthetic.table(0, mappings) + synthetic.interval(i) +
                       synthetic.end(10**8, [i]))
    pages = {m['name']: m['pages'] for m in told['mappings']}
    assert pages == {'a': 16, 'b': 4, 'c': 1} and told['stray_page_writes'] == 19, told


def key_of(area, recording):
    """As the table has it."""
    if area is None:
        return '', '', '', ''
    name, bits, start, end = area
    permissions = ''.join(c if bits & 1 << n else '-' for n, c in enumerate('rwx'))
    return (hex(start * recording.page_size), hex(end * recording.page_size),
            permissions + ('s' if bits & 8 else 'p'), name.decode())


def test_csv():
    for recording, cut in recordings():
        rows = list(csv.DictReader(io.StringIO(
            report(recording.bytes, '--csv', said=cut).decode())))
        for n, (i, expected) in enumerate(zip(recording.intervals, recording.by_area())):
            mine = [r for r in rows if near(float(r['begin_s']), i.begin / 1e9)]
            assert len(mine) == max(1, len(expected)), n
            for r in mine:
                assert near(float(r['end_s']), i.end / 1e9)
                assert r['complete'] == ('0' if i.flags else '1')
                assert int(r['bytes']) == int(r['pages']) * recording.page_size
                if not expected:
                    assert (r['pages'], r['start']) == ('0', '')
                    continue
                area = next(a for a in expected if key_of(a, recording) == (
                    r['start'], r['end'], r['permissions'], r['name']))
                assert int(r['pages']) == len(expected[area])


def test_migration():
    converged = repeated = 0
    for recording, cut in recordings():
        for bandwidth, text in ((2e6, '16Mbit'), (256 * 1024, '256K'), (40000, '40000')):
            told = report_json(recording.bytes, '--migrate', text, '--downtime', '250ms',
                               said=cut)['migration']
            rounds, pages, converges, again = recording.migration(bandwidth, .25)
            assert told['bytes_per_s'] == bandwidth and told['downtime_limit_s'] == .25
            assert [r['pages'] for r in told['rounds']] == rounds, (told, rounds)
            assert told['downtime']['pages'] == pages, (told, pages)
            assert near(told['downtime']['seconds'], pages * recording.page_size / bandwidth)
            assert told['converges'] == converges and told['repeated'] == again, (told, again)
            converged += converges
            repeated += again
    assert 0 < converged < 3 * RECORDINGS and 0 < repeated < 3 * RECORDINGS


def test_text():
    content = b''.join(synthetic.program())
    lines = report(content, '--migrate', '10M').decode().splitlines()
    assert max(map(len, lines)) <= 80, max(lines, key=len)
    text = ' '.join(' '.join(lines).split())
    for words in ('synthetic-server, process 4711', '60 s, in 600 intervals of 100 ms',
                  'tracked exactly', 'incomplete 4 intervals', 'exited with status 0',
                  '[heap] 64.0 MiB', '/dev/shm/ring-buffer 16.0 MiB 4,096 100.0%',
                  '...-with-a-rather-long-name.db', '[anonymous] 7f0002000000',
                  'does not converge in 30 rounds'):
        assert words in text, words


def test_text_of_odd_recordings():
    for kind, value, words in ((KILLED, 9, b'killed by signal 9'), (STOPPED, 0, b'lived on')):
        content = synthetic.start(tracking=synthetic.SOFT_DIRTY) + synthetic.end(5, [], kind, value)
        out = report(content, '--migrate', '1M')
        assert words in out and b'soft-dirty bits' in out and b'0 intervals' in out, out
    long = [Mapping(n * 100, n * 100 + 90, f'/\u00e4\u20ac{n}' * 50, READ | WRITE)
            for n in range(1, 40)]
    written = Interval(0, 2**63 - 1, {m.start for m in long})
    out = report(synthetic.start(interval=2**63 - 1, clock=2**63 - 1, pid=2**64 - 1) +
                 synthetic.table(0, long) + synthetic.interval(written) +
                 synthetic.end(1, [written])).decode()
    assert max(map(len, out.splitlines())) <= 80 and 'and 24 more' in out, out


def test_untracked():
    content = (synthetic.start(version=2) + synthetic.untracked(0, 1, 2, sealed=1) +
               synthetic.untracked(5, 3, 512, busy=2, hugetlb=1) + synthetic.untracked(7, 0, 0) +
               synthetic.end(9, []))
    text = ' '.join(report(content).decode().split())
    assert ('not tracked 3 mappings, 2.0 MiB, of which writes are missing 2 watched by another '
            'userfaultfd 1 of hugetlbfs') in text, text
    told = report_json(content)['recording']['untracked']
    assert told == {'mappings': 3, 'size': 512 * 4096, 'busy': 2, 'hugetlb': 1, 'read_only': 0,
                    'special': 0}, told
    # As they were before.
    content = b''.join(synthetic.program())
    assert b'not tracked' not in report(content)
    assert report_json(content)['recording']['untracked'] is None


def test_end_of_which_nothing_is_known():
    content = synthetic.start(version=2) + synthetic.end(9, [], ENDED)
    assert b'the process ended; ' in report(content)
    assert report_json(content)['recording']['end'] == {
        'reason': 'ended', 'status': None, 'signal': None}
    # What can be said since version 2 only, is no recording of version 1.
    report(synthetic.start() + synthetic.end(9, [], ENDED), status=1, said=b'in an unknown way')


def test_hostile_names():
    names = [b'\x1b[31m\x07</text>]]>&\xff"\'', b'=1+1,"x"\n']
    content = synthetic.start(command=names[0], release=names[1])
    mappings = [Mapping(10 * n + 16, 10 * n + 20, name) for n, name in enumerate(names)]
    i = Interval(0, 10**8, {16, 26})
    content += synthetic.table(0, mappings) + synthetic.interval(i) + synthetic.end(10**8, [i])
    for args in [[], ['--csv'], ['--svg']] + ([['--json']] if has_json else []):
        out = report(content, *args)
        assert not set(out) & (set(range(32)) - {10}) and b'\x7f' not in out, args
        out.decode()
    rows = list(csv.DictReader(io.StringIO(report(content, '--csv').decode())))
    assert [r['name'] for r in rows] == ['?[31m?</text>]]>&?"\'', '=1+1,"x"?'], rows


def test_cut_off():
    content = b''.join(synthetic.program())
    whole = None
    for size in range(len(content) - 3000, len(content), 23):
        out = report(content[:size], '--csv', said=b'the file ends within')
        assert whole is None or out.startswith(whole), size
        whole = out
    assert report(content, '--csv').startswith(whole) and len(whole.splitlines()) > 3000
    where = len(content) - len(list(synthetic.program())[-1])
    said = run(path_of(content[:-1])).stderr.decode()
    assert said == (f'writewatch report: {folder.name}/recording: the file ends within a record, '
                    f'at byte {where}; this tells of what is before it\n'), said


def test_damaged():
    content = bytearray(b''.join(synthetic.program()))
    content[len(content) // 2] ^= 1
    out = report(content, status=1, said=b'the checksum of a record is wrong, at byte ')
    assert b'duration' in out and b'600 intervals' not in out
    # Nothing is told of what is no recording.
    for bad, words in ((b'', b'not a recording'), (b'\x7fELF' * 100, b'not a recording'),
                       (bytes(content[:8]) + b'\x03' + bytes(content[9:]), b'version 3 ')):
        assert report(bad, status=1, said=words) == b''


def test_mutations():
    content = bytearray(synthetic.start() + synthetic.table(0, [Mapping(16, 99, 'a', 3, 5)]))
    intervals = [Interval(n * 10**8, (n + 1) * 10**8, set(range(16, 90, n + 1))) for n in range(9)]
    content += b''.join(map(synthetic.interval, intervals)) + synthetic.end(10**9, intervals)
    rng = random.Random(7)
    for _ in range(MUTATIONS):
        bad = bytearray(content)
        for _ in range(rng.randrange(1, 4)):
            byte = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
            bad[rng.randrange(12, len(bad))] = byte
        mend(bad)
        args = rng.choice([[], ['--csv'], ['--svg'], ['--migrate', '1M'], ['--json']])
        done = run(*args, path_of(bad))
        assert done.returncode in (0, 1), (done, bytes(bad))
        assert b'anitizer' not in done.stderr, done.stderr


def mend(content):
    """Gives each record the checksum of what it is now."""
    at = 12
    while at + 12 <= len(content):
        length = int.from_bytes(content[at + 4:at + 8], 'little')
        if at + 12 + length > len(content):
            return
        kind = int.from_bytes(content[at:at + 4], 'little')
        payload = bytes(content[at + 12:at + 12 + length])
        content[at:at + 12 + length] = synthetic.record(kind, payload)
        at += 12 + length


def test_huge_ranges():
    """A few bytes may say that half the address space was written, but not again and again."""
    half = 2**51 - 1
    content = synthetic.start() + synthetic.table(0, [Mapping(0, 2 * half, 'all')])
    for n in range(2):
        payload = synthetic.numbers((n + 1) * 10**8, 10**8, 0, 1, 0, half - 1)
        content += synthetic.record(3, payload)
        told = {'said': b'before its end record'}
        if n:
            told = {'status': 1, 'said': b'more pages were written than can be, in all, at byte '}
        for args in ([], ['--csv'], ['--svg'], ['--migrate', '1']):
            report(content, *args, **told)


def test_help():
    done = run('--help')
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0 and not done.stderr
    assert max(map(len, lines)) <= 80 and len(lines) <= 24


def test_usage():
    file = path_of(b''.join(synthetic.program()))
    for args, words in (
            ([], 'the name of a recording is missing'),
            ([file, 'x'], "argument 'x': it takes one recording only"),
            (['--csv', '--json', file], '--csv and --json: only one of them at a time'),
            (['--migrate', '10X', file], "--migrate '10X': not a bandwidth; write it as in 500M, "
             '1.25G or 10Gbit'),
            (['--migrate', '0', file], "--migrate '0': not a bandwidth"),
            (['--migrate', '-1', file], "--migrate '-1': not a bandwidth"),
            (['--migrate', 'inf', file], "--migrate 'inf': not a bandwidth"),
            (['--migrate', '1e9', file], "--migrate '1e9': not a bandwidth"),
            (['--migrate', '1' * 40, file], 'not a bandwidth'),
            (['--migrate', '1G', '--downtime', '300', file], "--downtime '300': not a time; write "
             'it as in 300ms or 1.5s'),
            (['--downtime', '1s', file], "--downtime '1s': only together with --migrate"),
            (['--migrate', '1G', '--csv', file], "--migrate '1G': not together with --csv or "
             '--svg'),
            (['--svg=', file], "--svg '': the name of a file is missing"),
            (['--nonsense', file], "unrecognized option '--nonsense'")):
        done = run(*args)
        assert done.returncode == 2 and not done.stdout, (args, done)
        said = done.stderr.decode()
        assert said.startswith('writewatch report: ') and words in said, (args, said)
        assert said.endswith("Try 'writewatch report --help'.\n"), said


def test_bandwidths():
    content = b''.join(synthetic.program())
    for text, value in (('1', 1), ('1.5K', 1536), ('2M', 2 << 20), ('1G', 1 << 30), ('1T', 1 << 40),
                        ('8bit', 1), ('8kbit', 1000), ('100Mbit', 12.5e6), ('10Gbit', 1.25e9),
                        ('1Tbit', 125e9)):
        told = report_json(content, '--migrate', text)['migration']
        assert told['bytes_per_s'] == value and told['downtime_limit_s'] == .3, told


def test_bad_files():
    for path, words in (('/nonexistent/file', b'/nonexistent/file: No such file or directory'),
                        (folder.name, b'Is a directory')):
        done = run(path)
        assert done.returncode == 1 and not done.stdout and words in done.stderr, done
    path = path_of(b''.join(synthetic.program()))
    done = run('--svg=/nonexistent/picture', path)
    assert done.returncode == 1 and b'cannot write /nonexistent/picture: No such' in done.stderr
    done = run('--svg=/dev/full', path)
    assert done.returncode == 1 and b'cannot write /dev/full: No space left' in done.stderr


def test_picture_is_not_the_recording():
    content = b''.join(synthetic.program())
    path = path_of(content)
    for link in (os.link, os.symlink):
        link(path, path + '-link')
        for to, source in ((path, path), (path + '-link', path), (path, path + '-link')):
            done = run('--svg=' + to, source)
            assert done.returncode == 2 and b'that is the recording' in done.stderr, done
            with open(path, 'rb') as file:
                assert file.read() == content
        os.unlink(path + '-link')


def test_picture_comes_whole():
    """Or not at all: what was there stays, and nothing else does."""
    picture = os.path.join(folder.name, 'picture')
    other = os.path.join(folder.name, 'other')
    with open(other, 'wb') as file:
        file.write(b'precious')
    os.chmod(other, 0o640)
    os.symlink(other, picture)
    content = b''.join(synthetic.program())
    before = sorted(os.listdir(folder.name))
    limit = ['sh', '-c', 'trap "" XFSZ; ulimit -f 1; exec "$@"', 'sh']
    done = run('--svg=' + picture, path_of(content), before=limit)
    assert done.returncode == 1 and b'cannot write' in done.stderr, done
    report(content[:20], '--svg=' + picture, status=1, said=b'ends within')
    with open(other, 'rb') as file:
        assert file.read() == b'precious'
    assert sorted(os.listdir(folder.name)) == sorted({*before, 'recording'})
    report(content, '--svg=' + picture)
    with open(other, 'rb') as file:
        assert file.read().startswith(b'<svg') and os.stat(other).st_mode & 0o777 == 0o640
    assert os.path.islink(picture)
    assert sorted(os.listdir(folder.name)) == sorted({*before, 'recording'})


def test_standard_input():
    content = b''.join(synthetic.program())
    told = report(content)
    done = run('-', input=content)
    assert done.returncode == 0 and done.stdout == told and not done.stderr, done.stderr
    with open(path_of(content), 'rb') as file:
        assert run('-', stdin=file).stdout == told
    done = run('/dev/stdin', input=content)
    assert done.returncode == 0 and done.stdout == told, done.stderr
    done = run('-', input=b'no recording')
    assert done.returncode == 1 and b'the standard input: not a recording' in done.stderr, done


def test_full_disk():
    path = path_of(b''.join(synthetic.program()))
    for args in ([], ['--csv'], ['--svg'], ['--json']) if has_json else ([], ['--csv'], ['--svg']):
        with open('/dev/full', 'wb') as full:
            done = run(*args, path, stdout=full)
        assert done.returncode == 1 and b'cannot write' in done.stderr, (args, done)
        done = run(*args, path, before=['sh', '-c', 'exec "$@" >&-', 'sh'])
        assert done.returncode == 0 and not done.stderr, (args, done)


def test_closed_pipe():
    """Who reads the output may have seen enough; also where SIGPIPE does not end it."""
    path = path_of(b''.join(synthetic.program()))
    for args in ([], ['--csv'], ['--svg'], *([['--json']] if has_json else [])):
        for start, statuses in (([], (0, -signal.SIGPIPE)),
                                (['sh', '-c', 'trap "" PIPE; exec "$@"', 'sh'], (0,))):
            read, write = os.pipe()
            os.close(read)
            with open(write, 'wb') as closed:
                done = run(*args, path, before=start, stdout=closed)
            assert done.returncode in statuses and not done.stderr, (args, done)


def test_without_jansson():
    if has_json:
        raise Skip('built with jansson')
    done = run('--json', path_of(b''.join(synthetic.program())))
    assert done.returncode == 1 and not done.stdout and b'jansson' in done.stderr, done


try:
    tap.main(globals())
finally:
    folder.cleanup()
