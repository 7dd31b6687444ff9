# SPDX-License-Identifier: MIT
"""record.py COMMAND WRITER PRINTER curses|plain: runs 'COMMAND record'; speaks TAP."""
import contextlib
import ctypes
import errno
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time

import tap
from tap import Skip
from watching import (NOBODY, PAGE, PAGES, children, command, directory, is_left_alone,
                      need_tracking, on_terminal, printer, read_until, refused, run, writer,
                      writing)


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


def state_of(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
        return file.read().rpartition(')')[2].split()[0]


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


def test_progress_fits_the_terminal():
    need_tracking()
    with directory() as path, writing('rate') as p:
        name = f'{path}/' + 'x' * 100
        with on_terminal('record', '-o', name, '-t', '1', p.pid) as (_, terminal):
            shown = read_until(terminal, rb'x{100}').split(b'\r')
        # The last one stays, and may be longer.
        lines = [line.replace(b'\x1b[K', b'') for line in shown[1:-2]]
        assert lines and {len(line) for line in lines} == {79}, lines


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
        written = list(range(0, PAGES, 3))
        assert sorted(r.pages(private)) == written, r.pages(private)
        # Of shared memory that came, what is empty is told of, too, when it is found, and only then.
        found = r.pages(shared)
        assert set(written) <= set(found), found
        others = [where for page, where in found.items() if page not in written]
        assert all(where == [found[0][0]] for where in others), found
        assert not others or len(found) == PAGES, found


def test_one_execve_after_another():
    """What follows at once upon an execve(2) may be the next one, which is no error."""
    need_tracking()
    with directory() as path:
        for _ in range(3):
            done = run('record', '-i', '2ms', '--force', '-o', f'{path}/x', '--', writer, 'exec')
            assert done.returncode == 7 and 'cannot' not in done.stderr, done
            r = Recording(f'{path}/x')
            assert r.end == [1, 7] and r.intervals[-1][2] == 1, (r.end, r.intervals)
        with subprocess.Popen([writer, 'exec', '500']) as p:
            done = run('top', '-d', '10ms', p.pid)
        assert done.returncode == 0 and ') has ended' in done.stdout, done


def test_traced_at_its_execve():
    """As long as another traces it, nothing is known; behind that, it goes on."""
    need_tracking()
    if not shutil.which('strace'):
        raise Skip('no strace, to be in the way')
    with directory() as path, subprocess.Popen(['sh', '-c', 'read line; exec sleep 60'],
                                               stdin=subprocess.PIPE) as p:
        with recording(f'{path}/x', '-i', '20ms', p.pid) as record:
            with subprocess.Popen(['strace', '-o', f'{path}/trace', '-p', str(p.pid)],
                                  stderr=subprocess.PIPE) as strace:
                assert b'attached' in strace.stderr.readline()
                p.stdin.write(b'\n')
                p.stdin.flush()
                time.sleep(0.3)
                strace.terminate()
            time.sleep(0.3)
            record.send_signal(signal.SIGTERM)
            record.communicate(timeout=30)
        p.kill()
        flags = [i[2] for i in Recording(f'{path}/x').intervals]
        assert record.returncode == 0 and sum(flags) > 3 and flags[-1] == 0, flags


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
