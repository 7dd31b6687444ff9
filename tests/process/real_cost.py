# SPDX-License-Identifier: MIT
"""real_cost.py REAL DIRECTORY WRITEWATCH: what being watched costs a redis-server under load.

Throughput of redis-benchmark with nobody watching and with 'WRITEWATCH record' ten times a second,
in turn, and for how long attaching stops the server. Where WRITEWATCH cannot record, REAL watches.
It should be under 5 % and 1 ms. The server's own time for a request depends less than the
throughput on what else the machine does.
"""
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

from real_run import Skip, in_own_folder, run, start, wait_until
from real_small import Redis

ROUNDS = 15
REQUESTS = 60000
ATTACHES = 50
# How many keys are written to, at random; one is redis-benchmark's own way.
KEYS = [1, 1000, 10000, 100000]


def command(keys, requests):
    return ['redis-benchmark', '-s', 'redis.sock', '-q', '-t', 'set', '-d', '100', '-n',
            str(requests), *(['-r', str(keys)] if keys > 1 else [])]


def server_ns(pid):
    with open(f'/proc/{pid}/task/{pid}/schedstat', encoding='ascii') as file:
        return int(file.read().split()[0])


def measure_load(pid, keys):
    """Requests a second, and nanoseconds of the server for each."""
    before = server_ns(pid)
    out = run(command(keys, REQUESTS)).stdout.replace('\r', '\n')
    rate = re.findall(r'SET: ([\d.]+) requests per second', out)
    return float(rate[-1]), (server_ns(pid) - before) / REQUESTS


def measure_watched(watcher, pid, keys):
    process = start(watcher, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL)
    # It is attached once it has the userfaultfd of the server.
    wait_until(lambda: process.poll() is not None or has_userfaultfd(process.pid), 'attaching')
    result = measure_load(pid, keys)
    assert process.poll() is None, 'the watcher has ended'
    process.send_signal(signal.SIGINT)
    process.wait(10)
    return result


def has_userfaultfd(pid):
    for name in os.listdir(f'/proc/{pid}/fd'):
        try:
            if 'userfaultfd' in os.readlink(f'/proc/{pid}/fd/{name}'):
                return True
        except FileNotFoundError:
            pass
    return False


def show(keys, alone, watched):
    def cost(i, sign):
        return statistics.median(100 * sign * (w[i] / a[i] - 1) for a, w in zip(alone, watched))

    rates = [statistics.median(rate for rate, _ in side) for side in (alone, watched)]
    times = [statistics.median(ns for _, ns in side) for side in (alone, watched)]
    print(f'{keys:8d} {rates[0]:9.0f} {rates[1]:9.0f} {100 * (1 - rates[1] / rates[0]):7.1f} '
          f'{cost(0, -1):7.1f} {times[0]:9.0f} {times[1]:9.0f} {cost(1, 1):7.1f}', flush=True)


def show_pauses(program, pid):
    load = threading.Thread(target=lambda: run(command(100000, 4 * REQUESTS)))
    load.start()
    out = run([program, 'pause', str(pid), str(ATTACHES)]).stdout
    load.join()
    times = dict(map(str.split, out.splitlines()))
    print(f'stopped by attaching, {ATTACHES} times: median {times["median_us"]} us, '
          f'{times["least_us"]} to {times["most_us"]} us')


def measure(program, writewatch):
    server = Redis()
    watcher = [program, 'follow', str(server.pid), '100']
    if run([writewatch, 'record', '--help'], check=False).returncode == 0:
        watcher = [writewatch, 'record', '-i', '100ms', '--force', '-o', 'record', str(server.pid)]
    print(f'Watched by {os.path.basename(watcher[0])} {watcher[1]}; {ROUNDS} rounds of {REQUESTS} '
          'requests a side, medians.\nThe cost is that of the medians, and the median of the pairs.'
          '\n             requests a second        cost in %   ns of the server   cost'
          '\n    keys     alone   watched medians   pairs     alone   watched    in %', flush=True)
    for keys in KEYS:
        measure_load(server.pid, keys)
        alone, watched = [], []
        for _ in range(ROUNDS):
            alone.append(measure_load(server.pid, keys))
            watched.append(measure_watched(watcher, server.pid, keys))
        show(keys, alone, watched)
    show_pauses(program, server.pid)
    server.check()
    return 0


def main():
    program, directory, writewatch = map(os.path.abspath, sys.argv[1:])
    try:
        return in_own_folder('cost', directory, lambda: measure(program, writewatch))
    except Skip as why:
        print(why)
        return 77


sys.exit(main())
