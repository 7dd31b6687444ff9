# SPDX-License-Identifier: MIT
"""Runs 'COMMAND top' and 'record', where the arguments are COMMAND WRITER PRINTER curses|plain.

WRITER writes pages that are known; PRINTER prints what is in a recording.
"""
import contextlib
import fcntl
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

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
                          stderr=subprocess.PIPE, timeout=150, check=False, text=True, **more)


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


def refused(text, *args, **more):
    done = run(*args, **more)
    assert done.returncode == 1 and text in done.stderr, done
    assert not done.stdout or args[0] == 'record', done


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
def on_terminal(*args, term='xterm', locale='C.UTF-8', columns=80):
    terminal, other = pty.openpty()
    size_of(terminal, 24, columns)
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
