# SPDX-License-Identifier: MIT
"""Starts programs, and stops every one of them."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

processes = []


class Skip(Exception):
    pass


def tell(*words):
    print('#', *words, flush=True)


def need(*programs, hint=''):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f'{program} is not installed{hint}')


def start(args, account=(), ending=signal.SIGKILL, **more):
    """Gets the signal 'ending' by stop_all(), or when this script ends without it."""
    need('setpriv')
    process = subprocess.Popen(['setpriv', *account, '--pdeathsig', ending.name[3:], '--', *args],
                               text=True, **more)
    processes.append((process, ending))
    return process


def run(args, check=True, timeout=60, **more):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False, **more)
    if check:
        assert done.returncode == 0, (args, done.returncode, done.stdout, done.stderr)
    return done


def wait_until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f'{what} takes more than {seconds} s')


def stop_all():
    while processes:
        process, ending = processes.pop()
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(ending)
        process.wait(10)


def in_own_folder(name, directory, body):
    """Calls body() in a new folder, and removes that, with what was started, in any case."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix=f'real-{name}-', dir=os.path.abspath(directory))
    os.chdir(folder)
    try:
        return body()
    finally:
        stop_all()
        os.chdir('/')
        shutil.rmtree(folder, ignore_errors=True)
