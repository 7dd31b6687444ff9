# SPDX-License-Identifier: MIT
"""watch.py COMMAND WRITER PRINTER curses|plain: runs 'COMMAND top' and 'record'; speaks TAP.

WRITER writes pages that are known; PRINTER prints what is in a recording.
"""
import contextlib
import ctypes
import errno
import fcntl
import os
import pty
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time

import tap
from tap import Skip

command, writer, printer = map(os.path.abspath, sys.argv[1:4])
has_curses = sys.argv[4] == 'curses'
PAGE = resource.getpagesize()
PAGES = 256
NOBODY = 65534
NO_BACKEND = 3

# Also where nohup(1) started the tests.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run(*args, **more):
    more.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.run([command, *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=50, check=False, text=True, **more)


@contextlib.contextmanager
def writing(mode, start=True):
    with subprocess.Popen([writer, mode], stdout=subprocess.PIPE, text=True) as p:
        p.shared, p.private = (int(a, 16) for a in p.stdout.readline().split())
        if start:
            p.send_signal(signal.SIGUSR1)
        try:
            yield p
        finally:
            for child in children(p.pid) + [p.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


@contextlib.contextmanager
def directory():
    with tempfile.TemporaryDirectory() as path:
        yield path


def children(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            return [int(c) for c in file.read().split()]
    return []


def need_tracking():
    with writing('rate') as p:
        done = run('top', '-n', 1, '-d', '20ms', p.pid)
    if done.returncode == NO_BACKEND or 'not permitted' in done.stderr:
        raise Skip(done.stderr.strip())
    if 'soft-dirty' in done.stdout:
        raise Skip('tracked by soft-dirty bits here, which are not exact')


def is_left_alone(pid):
    """No userfaultfd watches it, nobody traces it, it has no more descriptors than at first."""
    with open(f'/proc/{pid}/smaps', encoding='utf-8') as file:
        flags = [line.split()[1:] for line in file if line.startswith('VmFlags:')]
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        status = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
    assert not any(f in line for line in flags for f in ('uw', 'um', 'ui')), flags
    assert status['TracerPid'] == '0' and status['State'][0] in 'SR', status
    assert sorted(os.listdir(f'/proc/{pid}/fd')) == ['0', '1', '2', '3']


def row(lines, name):
    return next(line.split() for line in lines if line.endswith(name))


def test_plain():
    need_tracking()
    with writing('rate') as p:
        done = run('top', '-n', 4, '-d', '0.3', p.pid)
        assert done.returncode == 0 and not done.stderr, done
        assert '\x1b' not in done.stdout
        lines = done.stdout.splitlines()
        assert lines[0] == f'# writer ({p.pid}), every 300 ms', lines[0]
        assert 'exactly' in lines[1]
        assert max(map(len, lines)) <= 90
        blocks = done.stdout.split('\n\n')[:4]
        times = [0, *(float(t) for t in re.findall(r'\) at ([0-9.]+) s: ', done.stdout))]
        assert len(times) == 5
        for block, begin, end in zip(blocks, times, times[1:]):
            rate, bytes_, share, size, strip, start, *name = row(block.splitlines(),
                                                                 'memfd:known (deleted)')
            # All 64 in each interval, however long it took.
            assert abs(float(rate) * (end - begin) - PAGES / 4) < 6, (rate, begin, end)
            assert share == '25.0%' and size.rstrip('KM') in ('1.0', '1024', '4.0', '16.0'), block
            assert bytes_[-1] in 'KM' and int(start, 16) == p.shared
            assert strip == '*' * 16, strip
            assert name == ['memfd:known', '(deleted)']
        is_left_alone(p.pid)


def test_plain_sort():
    need_tracking()
    with writing('rate') as p:
        done = run('top', '-n', 1, '-d', '0.2', '--sort', 'address', p.pid)
        rows = [line.split() for line in done.stdout.splitlines() if re.match(' +[0-9.]+ ', line)]
        starts = [int(r[5], 16) for r in rows]
        assert starts == sorted(starts) and p.shared in starts, starts


def test_end_is_told():
    need_tracking()
    with writing('exit', start=False) as p:
        done = run('top', '-d', '0.1', p.pid)
        assert done.returncode == 0, done
        assert done.stdout.splitlines()[-1] == f'writer ({p.pid}) has ended with status 7', done


def test_kill_is_told():
    need_tracking()
    with writing('rate') as p:
        with subprocess.Popen([command, 'top', str(p.pid)], stdout=subprocess.PIPE,
                              text=True) as top:
            assert top.stdout.readline().startswith('# writer')
            p.kill()
            out = top.communicate(timeout=30)[0]
        assert out.splitlines()[-1].endswith('has ended by signal 9 (Killed)'), out


def test_children_are_followed():
    need_tracking()
    with writing('fork') as p:
        while not children(p.pid):
            time.sleep(0.01)
        child = children(p.pid)[0]
        alone = run('top', '-n', 3, '-d', '0.1', p.pid)
        assert f'({child})' not in alone.stdout, alone.stdout
        both = run('top', '-f', '-n', 3, '-d', '0.1', p.pid).stdout.split('\n\n')
        assert f'writer ({p.pid}) at' in both[2] and f'writer ({child}) at' in both[2], both
        own, childs = both[2].split(f'writer ({child})')
        assert 'memfd:known' not in own and row(childs.splitlines(), 'memfd:known (deleted)')
        is_left_alone(p.pid)
        is_left_alone(child)


def test_signals_end_it():
    need_tracking()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with writing('rate') as p:
            with subprocess.Popen([command, 'top', '-d', '50ms', str(p.pid)], text=True,
                                  stdout=subprocess.PIPE) as top:
                assert top.stdout.readline()
                top.send_signal(number)
                top.communicate(timeout=30)
            assert top.returncode == 0, (number, top.returncode)
            is_left_alone(p.pid)


def test_closed_pipe():
    need_tracking()
    with writing('rate') as p:
        with subprocess.Popen([command, 'top', '-d', '20ms', str(p.pid)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as top:
            top.stdout.readline()
            top.stdout.close()
            assert top.wait(timeout=30) == 0 and not top.stderr.read()
        is_left_alone(p.pid)


def refused(text, *args, **more):
    done = run(*args, **more)
    assert done.returncode == 1 and text in done.stderr, done
    assert not done.stdout or args[0] == 'record', done


def test_refusals():
    with directory() as path:
        for args in (['top'], ['record', '-o', f'{path}/x']):
            refused('there is no such process', *args, 2 ** 22 + 1)
            with open('/proc/2/status', encoding='ascii') as file:
                if 'kthreadd' in file.read():
                    refused('thread of the kernel', *args, 2)
            with subprocess.Popen(['true']) as p:
                os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)
                refused('it has ended', *args, p.pid)
            own = subprocess.run(['sh', '-c', 'exec "$0" "$@" $$', command, *args], check=False,
                                 stderr=subprocess.PIPE, text=True, timeout=30)
            assert own.returncode == 1 and 'this command itself' in own.stderr, own
        assert os.listdir(path) == []


def test_refusal_of_a_thread():
    done = threading.Event()
    with directory() as path:
        thread = threading.Thread(target=done.wait, daemon=True)
        thread.start()
        for args in (['top'], ['record', '-o', f'{path}/x']):
            refused(f'that is the number of a thread, of process {os.getpid()}', *args,
                    thread.native_id)
        done.set()
        thread.join()


def test_refusal_of_permission():
    if os.geteuid() != 0:
        raise Skip('only root can become another user')
    user = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
    try:
        run('--help', **user)
    except PermissionError:
        raise Skip('another user cannot run the command: its directory is private') from None
    refused('not permitted: ', 'top', 1, **user)
    with writing('rate') as p:
        refused('not permitted: ', 'top', p.pid, **user)


def test_usage():
    for args in (['top'], ['top', 'x'], ['top', '-s', 'heat', '1'], ['record'], ['record', 'x'],
                 ['record', '-i', '0', '1']):
        done = run(*args)
        assert done.returncode == 2 and not done.stdout and '--help' in done.stderr, done
    for name in ('top', 'record'):
        text = run(name, '--help').stdout.splitlines()
        assert len(text) <= 23 and max(map(len, text)) < 80, name


def size_of(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


def read_until(terminal, pattern, timeout=20):
    text, end = b'', time.monotonic() + timeout
    while not re.search(pattern, text):
        left = end - time.monotonic()
        assert left > 0 and select.select([terminal], [], [], left)[0], (pattern, text)
        try:
            text += os.read(terminal, 65536)
        except OSError:  # nobody has it open any more
            break
    assert re.search(pattern, text), (pattern, text)
    return text


@contextlib.contextmanager
def on_terminal(*args, term='xterm', locale='C.UTF-8'):
    terminal, other = pty.openpty()
    size_of(terminal, 24, 80)
    before = termios.tcgetattr(other)
    env = {**os.environ, 'TERM': term, 'LC_ALL': locale, 'NO_COLOR': ''}
    with subprocess.Popen([command, *map(str, args)], stdin=other, stdout=other, stderr=other,
                          env=env, start_new_session=True) as p:
        try:
            yield p, terminal
            p.wait(timeout=20)
            assert termios.tcgetattr(other) == before
        finally:
            p.kill()
            os.close(terminal)
            os.close(other)


def need_screen():
    need_tracking()
    if not has_curses:
        raise Skip('built without ncurses')


def test_screen():
    need_screen()
    with writing('rate') as p:
        with on_terminal('top', '-d', '0.2', p.pid) as (top, terminal):
            text = read_until(terminal, rb'memfd:known \(de')
            assert b'\x1b[?1049h' in text and f'writer ({p.pid})'.encode() in text
            assert 'WRITTEN WHERE' in text.decode() and '█' in text.decode(), text
            os.write(terminal, b' ')
            read_until(terminal, b'paused')
            size_of(terminal, 12, 60)
            top.send_signal(signal.SIGWINCH)
            read_until(terminal, b'MAPPING')
            os.write(terminal, b'h')
            read_until(terminal, b'any key: back')
            # Any key ends the help, and nothing but the help.
            os.write(terminal, b'q')
            read_until(terminal, b'h help')
            os.write(terminal, b' q')
            read_until(terminal, rb'\x1b\[\?1049l')
        assert top.returncode == 0
        is_left_alone(p.pid)


def test_screen_in_ascii_without_color():
    need_screen()
    with writing('rate') as p:
        with on_terminal('top', '-d', '0.2', '--no-color', '-n', 2, p.pid, locale='C') as (
                top, terminal):
            text = read_until(terminal, rb'\x1b\[\?1049l')
            # The terminal may be told to repeat what is the same.
            assert text.isascii() and re.search(rb'\*(\*{15}|\x1b\[\d+b)', text), text
            assert not re.search(rb'\x1b\[[0-9;]*3[0-7]m', text), text
        assert top.returncode == 0


def test_screen_ends_by_signals():
    need_screen()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with writing('rate') as p:
            with on_terminal('top', '-d', '0.2', p.pid) as (top, terminal):
                read_until(terminal, rb'memfd:known')
                top.send_signal(number)
                read_until(terminal, rb'\x1b\[\?1049l')
            assert top.returncode == 0, number
            is_left_alone(p.pid)


def test_screen_tells_the_end():
    need_screen()
    with writing('exit', start=False) as p:
        with on_terminal('top', '-d', '0.1', p.pid) as (top, terminal):
            text = read_until(terminal, rb'\x1b\[\?1049l.*status 7')
            assert b'has ended with status 7' in text
        assert top.returncode == 0


def test_no_screen_on_a_dumb_terminal():
    need_tracking()
    with writing('rate') as p:
        with on_terminal('top', '-d', '0.2', '-n', 1, p.pid, term='dumb') as (_, terminal):
            assert b'\x1b' not in read_until(terminal, b'memfd:known')


def test_progress_fits_the_terminal():
    need_tracking()
    with directory() as path, writing('rate') as p:
        name = f'{path}/' + 'x' * 100
        with on_terminal('record', '-o', name, '-t', '1', p.pid) as (_, terminal):
            shown = read_until(terminal, rb'x{100}').split(b'\r')
        # The last one stays, and may be longer.
        lines = [line.replace(b'\x1b[K', b'') for line in shown[1:-2]]
        assert lines and {len(line) for line in lines} == {79}, lines


class Recording:
    def __init__(self, path):
        done = subprocess.run([printer, path], stdout=subprocess.PIPE, check=True, text=True,
                              timeout=30)
        self.intervals, self.ranges, self.mappings, self.end, self.rest = [], [], {}, None, []
        for line in done.stdout.splitlines():
            word, *values = line.split(' ', 5 if line.startswith('mapping') else -1)
            if word == 'start':
                self.start = values
            elif word == 'interval':
                self.intervals.append([int(v) for v in values])
                self.ranges.append([])
            elif word == 'range':
                self.ranges[-1].append([int(v, 16) for v in values])
            elif word == 'mapping':
                self.mappings[int(values[0], 16)] = (int(values[1], 16), values[4])
            elif word == 'end':
                self.end = [int(v) for v in values]
            elif word != 'table':
                self.rest.append(line)

    def pages(self, base):
        """Which of the pages from there on were written, with the intervals in which they were."""
        found = {}
        for interval, ranges in enumerate(self.ranges):
            for start, end in ranges:
                for a in range(max(start, base), min(end, base + PAGES * PAGE), PAGE):
                    found.setdefault((a - base) // PAGE, []).append(interval)
        return found


def until_done(p):
    assert p.stdout.readline() == 'done\n'


@contextlib.contextmanager
def recording(path, *args):
    with subprocess.Popen([command, 'record', '-o', path, *map(str, args)], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          # As of what a script runs aside.
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
                          ) as record:
        try:
            # Something is in it once the process is tracked.
            while not os.path.exists(path) or not os.path.getsize(path):
                assert record.poll() is None, record.communicate()
                time.sleep(0.01)
            yield record
        finally:
            record.kill()


def test_record():
    need_tracking()
    with directory() as path, writing('once', start=False) as p:
        with recording(f'{path}/x', '-i', '20ms', p.pid) as record:
            p.send_signal(signal.SIGUSR1)
            until_done(p)
            time.sleep(0.1)
            record.send_signal(signal.SIGINT)
            _, err = record.communicate(timeout=30)
        assert record.returncode == 0 and 'intervals' in err, err
        is_left_alone(p.pid)
        r = Recording(f'{path}/x')
        assert r.start[0] == str(p.pid) and r.start[4] == 'writer' and r.start[3] == '1', r.start
        assert r.end == [0, 0] and not r.rest, (r.end, r.rest)
        for base in (p.shared, p.private):
            # Each, in the order in which they were written, and no other.
            found = r.pages(base)
            assert list(found) == list(range(0, PAGES, 3)), found
            # Once; where a poll came between the fault and the write that follows it, once more.
            twice = [where for where in found.values() if len(where) > 1]
            assert len(twice) < 5 and all(a + 1 == b for a, b in twice), twice
        assert r.mappings[p.shared][1] == '/memfd:known (deleted)', r.mappings
        for before, after in zip(r.intervals, r.intervals[1:]):
            assert before[0] < before[1] == after[0] < after[1] and after[2] == 0, (before, after)


def test_record_of_a_command():
    need_tracking()
    with directory() as path:
        done = run('record', '-i', '20ms', '-o', f'{path}/x', '--', writer, 'exit')
        assert done.returncode == 7, done
        shared, private = (int(a, 16) for a in done.stdout.split())
        r = Recording(f'{path}/x')
        assert r.end == [1, 7] and r.intervals[-1][2] == 1, (r.end, r.intervals[-1])
        for base in (shared, private):
            assert sorted(r.pages(base)) == list(range(0, PAGES, 3)), r.pages(base)


def test_one_execve_after_another():
    """What follows at once upon an execve(2) may be the next one, which is no error."""
    need_tracking()
    with directory() as path:
        for _ in range(3):
            done = run('record', '-i', '2ms', '--force', '-o', f'{path}/x', '--', writer, 'exec')
            assert done.returncode == 7 and done.stderr.count('\n') == 1, done
            r = Recording(f'{path}/x')
            assert r.end == [1, 7] and r.intervals[-1][2] == 1, (r.end, r.intervals)
        with subprocess.Popen([writer, 'exec', '500']) as p:
            done = run('top', '-d', '10ms', p.pid)
        assert done.returncode == 0 and ') has ended' in done.stdout, done


def test_lost_by_execve():
    """Who may not look at the program any more is told that, and not that the file is at fault."""
    if os.geteuid() != 0:
        raise Skip('only root can become another user')
    user = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
    with directory() as path:
        os.chmod(path, 0o777)
        for name, mode in (('writewatch', 0o755), ('secret', 0o111)):
            shutil.copy(command if name == 'writewatch' else '/bin/sleep', f'{path}/{name}')
            os.chmod(f'{path}/{name}', mode)
        for args in (['record', '-o', f'{path}/x'], ['top', '-d', '20ms']):
            with subprocess.Popen(['sh', '-c', f'sleep 1; exec {path}/secret 60'], **user) as p:
                done = subprocess.run([f'{path}/writewatch', *args, str(p.pid)], timeout=50,
                                      check=False, capture_output=True, text=True, **user)
                p.kill()
            if args[0] == 'record' and not os.path.exists(f'{path}/x'):
                raise Skip('another user cannot track: ' + done.stderr)
            assert done.returncode == 1 and 'not permitted' in done.stderr, done
            assert 'x: ' not in done.stderr.splitlines()[-1], done


def test_record_passes_statuses_on():
    need_tracking()
    with directory() as path:
        for script, status in (('exit 0', 0), ('exit 3', 3), ('kill -9 $$', 137)):
            done = run('record', '--force', '-o', f'{path}/x', '--', 'sh', '-c', script)
            assert done.returncode == status, done
        assert run('record', '-o', f'{path}/y', '--', '/nonexistent').returncode == 127
        assert run('record', '-o', f'{path}/y', '--', '/proc').returncode == 126
        assert os.listdir(path) == ['x']


def test_record_goes_on_with_the_command():
    """After the time is over, until it ends, and with signals passed on."""
    need_tracking()
    with directory() as path:
        with recording(f'{path}/x', '-t', '0.1', '--', 'sh', '-c',
                       'read line; kill -INT $$; echo "still $line"; exit 4') as record:
            assert 'intervals' in record.stderr.readline()
            assert Recording(f'{path}/x').end == [0, 0]
            assert record.communicate('here\n', timeout=30)[0] == 'still here\n'
        assert record.returncode == 4, record.returncode
        with recording(f'{path}/y', '--', 'sh', '-c', 'trap "exit 9" TERM; echo; '
                       'while :; do sleep 0.05; done') as record:
            assert record.stdout.readline() == '\n'
            record.send_signal(signal.SIGTERM)
            record.communicate(timeout=30)
        assert record.returncode == 9, record.returncode


def test_record_overwrites_when_told():
    need_tracking()
    with directory() as path, writing('rate') as p:
        with open(f'{path}/x', 'wb') as file:
            file.write(b'precious')
        refused('--force', 'record', '-t', '0.1', '-o', f'{path}/x', p.pid)
        with open(f'{path}/x', 'rb') as file:
            assert file.read() == b'precious'
        refused('no such process', 'record', '--force', '-o', f'{path}/x', 2 ** 22 + 1)
        with open(f'{path}/x', 'rb') as file:
            assert file.read() == b'precious'
        done = run('record', '--force', '-t', '0.1', '-o', f'{path}/x', p.pid)
        assert done.returncode == 0, done
        assert len(Recording(f'{path}/x').intervals) >= 1
        done = run('record', '-t', '0.1', p.pid, cwd=path)
        assert sorted(os.listdir(path)) == sorted([f'writewatch.{p.pid}.wwr', 'x']), done


def test_record_to_a_full_disk():
    need_tracking()
    with writing('rate') as p:
        done = run('record', '-t', '0.3', '-o', '/dev/full', p.pid)
        assert done.returncode == 1 and 'No space' in done.stderr, done
        is_left_alone(p.pid)


def test_record_is_killed():
    need_tracking()
    with directory() as path, writing('rate') as p:
        with recording(f'{path}/x', '-i', '20ms', p.pid) as record:
            while os.path.getsize(f'{path}/x') < 600:
                assert record.poll() is None, record.communicate()
                time.sleep(0.02)
            record.kill()
            record.communicate(timeout=30)
        is_left_alone(p.pid)
        r = Recording(f'{path}/x')
        assert r.end is None and r.rest == ['truncated'], r.rest
        assert sorted(r.pages(p.shared)) == list(range(0, PAGES, 4)) and not r.pages(p.private)
        # And it can be recorded again.
        assert run('top', '-n', 1, '-d', '0.1', p.pid).stdout.count('25.0%') == 1


def state_of(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
        return file.read().rpartition(')')[2].split()[0]


def test_record_is_killed_while_it_starts_a_command():
    """That goes on then, as it does when record is killed later."""
    need_tracking()
    with directory() as path:
        # Where nobody reads it yet, record waits with the command started, and stopped.
        os.mkfifo(f'{path}/x')
        with subprocess.Popen([command, 'record', '-o', f'{path}/x', '--', writer, 'exit'],
                              stdout=subprocess.PIPE) as record:
            stopped = []
            while not stopped:
                time.sleep(0.01)
                stopped = [pid for pid in children(record.pid) if state_of(pid) == 'T']
            time.sleep(0.1)
            record.kill()
            record.wait()
            try:
                assert select.select([record.stdout], [], [], 20)[0], state_of(stopped[0])
                assert record.stdout.readline() and state_of(stopped[0]) != 'T'
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(stopped[0], signal.SIGKILL)


def test_record_of_what_is_killed():
    need_tracking()
    with directory() as path, writing('rate') as p:
        with recording(f'{path}/x', '-i', '20ms', p.pid) as record:
            p.kill()
            record.communicate(timeout=30)
        assert record.returncode == 0
        assert Recording(f'{path}/x').end == [2, 9]


def test_what_can_only_be_read_by_now():
    """As just-in-time compilers leave their code: what was written there counts all the same."""
    need_tracking()
    with directory() as path, writing('jit', start=False) as p:
        with recording(f'{path}/x', '-i', '50ms', '-t', '0.5', p.pid) as record:
            p.send_signal(signal.SIGUSR1)
            assert record.wait(timeout=30) == 0
        assert sorted(Recording(f'{path}/x').pages(p.private)) == list(range(0, PAGES, 4))
        report = run('report', f'{path}/x').stdout
        assert 'outside of what is known' not in report, report
    with writing('jit', start=False) as p:
        with subprocess.Popen([command, 'top', '-n', '4', '-d', '0.1', str(p.pid)], text=True,
                              stdout=subprocess.PIPE) as top:
            out = top.stdout.readline()
            p.send_signal(signal.SIGUSR1)
            out += top.communicate(timeout=30)[0]
        assert len(re.findall(rf' 25.0% .* {p.private:x} ', out)) >= 3, out
        sums = [float(s) for s in re.findall(r': ([0-9.]+) pages/s', out)]
        assert len(sums) == 4 and min(sums[1:]) > 0, out


def test_another_watcher():
    """What it watches is missing, and that is told wherever numbers are."""
    need_tracking()
    with directory() as path, writing('rate') as p:
        with recording(f'{path}/x', '-i', '20ms', p.pid) as first:
            for args in (['record', '-o', f'{path}/y'], ['top', '-n', 1]):
                refused('another userfaultfd watches all of its memory', *args, p.pid)
            assert not os.path.exists(f'{path}/y')
            assert sorted(os.listdir(f'/proc/{p.pid}/fd')) == ['0', '1', '2', '3']
            first.send_signal(signal.SIGTERM)
            assert 'not tracked' not in first.communicate(timeout=30)[1]
        assert sorted(Recording(f'{path}/x').pages(p.shared)) == list(range(0, PAGES, 4))
        is_left_alone(p.pid)


def test_what_is_not_tracked_is_told():
    """Here, the program's own userfaultfd has one of the mappings."""
    need_tracking()
    with directory() as path, writing('own', start=False) as p:
        done = run('record', '-i', '20ms', '-t', '0.2', '-o', f'{path}/x', p.pid)
        words = '1 mapping is not tracked: 1 watched by another userfaultfd'
        assert done.returncode == 0 and words in done.stderr.splitlines()[0], done
        assert f'untracked 1 {PAGES} 1' in Recording(f'{path}/x').rest, Recording(f'{path}/x').rest
        report = run('report', f'{path}/x').stdout
        assert re.search('not tracked   1 mapping, .*\n +1 watched by another', report), report
        assert words in run('top', '-n', 1, '-d', '0.1', p.pid).stdout


def refuse_pidfd_info():
    """As if this were a kernel before Linux 6.15: the ioctl that tells how a process ended fails."""
    load, jump_if_equal, answer = 0x20, 0x15, 0x06
    program = b''.join(struct.pack('HBBI', *i) for i in (
        (load, 0, 0, 24), (jump_if_equal, 0, 1, 0xc040ff0b),
        (answer, 0, 0, 0x50000 | errno.ENOTTY), (answer, 0, 0, 0x7fff0000)))
    memory = ctypes.create_string_buffer(program)
    filter_ = struct.pack('HP', 4, ctypes.addressof(memory))
    prctl = ctypes.CDLL(None).prctl
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, filter_, 0, 0):
        raise OSError('no filter of system calls')


def test_record_of_an_unknown_end():
    need_tracking()
    if sys.byteorder != 'little':
        raise Skip('the filter of system calls is written for little endian machines')
    with directory() as path:
        # Its parent wants to hear nothing of it, so that nobody else can ask.
        program = ('import os, signal, sys, time; signal.signal(signal.SIGCHLD, signal.SIG_IGN); '
                   'print(os.posix_spawn(sys.argv[1], sys.argv[1:], {}, '
                   'file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)]), flush=True); time.sleep(60)')
        with subprocess.Popen([sys.executable, '-c', program, writer, 'exit'], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
            pid = int(parent.stdout.readline())
            done = run('record', '-o', f'{path}/x', pid, preexec_fn=refuse_pidfd_info)
            parent.kill()
        assert done.returncode == 0, done
        assert Recording(f'{path}/x').end == [3, 0], Recording(f'{path}/x').end


def test_late_intervals_are_told():
    need_tracking()
    with directory() as path, writing('rate') as p:
        with recording(f'{path}/x', '-i', '50ms', '-t', '1', p.pid) as record:
            record.send_signal(signal.SIGSTOP)
            time.sleep(0.5)
            record.send_signal(signal.SIGCONT)
            _, err = record.communicate(timeout=30)
        assert not re.search(r'\(0 late\)', err), err
        r = Recording(f'{path}/x')
        assert max(end - begin for begin, end, _ in r.intervals) > 0.4e9
        # The beat goes on as before: what was missed is not made up for.
        assert len(r.intervals) <= 21, len(r.intervals)


tap.main(globals())
