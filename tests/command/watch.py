# SPDX-License-Identifier: MIT
"""watch.py COMMAND WRITER PRINTER curses|plain: runs 'COMMAND top', and both when refused; TAP."""
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import tap
from tap import Skip
from watching import (NOBODY, PAGES, children, command, directory, has_curses, is_left_alone,
                      need_tracking, on_terminal, read_until, refused, run, size_of, writer,
                      writing)


def row(lines, name):
    return next(line.split() for line in lines if line.endswith(name))


def need_screen():
    need_tracking()
    if not has_curses:
        raise Skip('built without ncurses')


def test_plain():
    need_tracking()
    with writing('rate') as p:
        done = run('top', '-n', 4, '-d', '0.3', p.pid)
        assert done.returncode == 0 and not done.stderr, done
        assert '\x1b' not in done.stdout
        lines = done.stdout.splitlines()
        assert lines[0] == f'# writer ({p.pid}), every 300 ms', lines[0]
        assert 'exactly' in lines[1]
        # What a mapping is called is not cut.
        assert max(map(len, lines)) <= 90
        others = [line for line in lines if not re.match(' +[0-9.]+ ', line)]
        assert max(map(len, others)) <= 80 and len(others) >= 4 * 3, lines
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


def test_no_proc():
    # As tools/check-sanitizer.sh sets it.
    if 'ASAN_OPTIONS' in os.environ:
        raise Skip('the sanitizers need /proc themselves')
    alone = ['unshare', '-m', 'sh', '-c', 'umount -l /proc && exec "$@"', 'sh']
    if os.geteuid() != 0 or not shutil.which('unshare') or subprocess.run(
            [*alone, 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip('only root can unmount /proc, with unshare(1), and not everywhere')
    with directory() as path:
        for args in (['top'], ['record', '-o', f'{path}/x']):
            done = subprocess.run([*alone, command, *args, str(os.getpid())], check=False,
                                  capture_output=True, text=True, timeout=50)
            assert done.returncode == 3 and '/proc is not mounted' in done.stderr, done


def test_usage():
    for args in (['top'], ['top', 'x'], ['top', '-s', 'heat', '1'], ['record'], ['record', 'x'],
                 ['record', '-i', '0', '1']):
        done = run(*args)
        assert done.returncode == 2 and not done.stdout and '--help' in done.stderr, done
    for name in ('top', 'record'):
        text = run(name, '--help').stdout.splitlines()
        assert len(text) <= 23 and max(map(len, text)) < 80, name


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


def test_screen_shows_no_other_address():
    """Mappings without a name have one, which is another one without its last digits."""
    need_screen()
    with writing('jit') as p:
        address = f'{p.private:x}'
        for columns, shown in ((80, address), (60, address), (48, address),
                               (44, address[:8] + '~')):
            # It cannot be told to repeat a character.
            with on_terminal('top', '-d', '0.2', p.pid, term='vt100', columns=columns) as (
                    _, terminal):
                read_until(terminal, rb'[^0-9a-f]' + shown.encode() + rb'([^0-9a-f~]|$)')
                os.write(terminal, b'q')
        is_left_alone(p.pid)


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


tap.main(globals())
