# SPDX-License-Identifier: MIT
"""real.py PROGRAM NAME DIRECTORY: lets PROGRAM attach to a server at work; speaks TAP.

NAME is redis, postgres, python or sqlite. Everything happens in a new folder of DIRECTORY that is
removed, with sockets there and nothing of the machine's own configuration.
"""
import os
import sys
import threading
import time

import real_postgres
import real_small
from real_run import Skip, in_own_folder, run, tell

REFUSED = 77
MILLISECONDS = 2000
SERVERS = {'redis': real_small.Redis, 'postgres': real_postgres.Postgres,
           'python': real_small.Python, 'sqlite': real_small.Sqlite}


class Load(threading.Thread):
    """Asks the server until it is told to end."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.ending, self.error, self.requests = server, False, None, 0

    def run(self):
        try:
            while not self.ending:
                self.requests += self.server.ask()
        except Exception as error:  # pylint: disable=broad-except
            self.error = f'{type(error).__name__}: {error}'

    def end(self):
        self.ending = True
        self.join(20)
        assert not self.is_alive(), 'a request is not answered'
        assert self.error is None, self.error
        assert self.requests > 0


def compare(program, pid, alone):
    done = run([program, 'compare', str(pid), str(MILLISECONDS), 'alone' if alone else 'shared'],
               check=False, timeout=20)
    for line in done.stderr.splitlines():
        tell(line)
    if done.returncode == REFUSED:
        raise Skip(done.stderr.strip())
    counts = {name: int(value) for name, value in map(str.split, done.stdout.splitlines())}
    tell(f'stopped for {counts.pop("stopped_us", 0)} us')
    for kind in 'private', 'shared':
        of_kind = {name.split('_', 1)[1]: counts.pop(name) for name in list(counts)
                   if name.startswith(kind)}
        tell(f'{kind} pages:', ', '.join(f'{n} {name}' for name, n in of_kind.items()))
        counts[kind] = of_kind
    assert done.returncode == 0, f'ended with {done.returncode}'
    tell(f'{counts["in_last"]} in the last get, {counts["watched"]} mappings watched, '
         f'{counts["skipped"]} not')
    assert counts['while_stopped'] == 0, 'pages are reported while nobody runs'
    return counts


def enough(counts, server, alone):
    return (counts['private']['differ'] >= server.least and
            (not alone or counts['shared']['differ'] >= server.least_shared))


def check_pages(program, server, alone):
    """Nothing is missing, and there was something to find, which takes time where others run, too."""
    for _ in range(5):
        counts = compare(program, server.pid, alone)
        assert counts['skipped'] == 0
        if enough(counts, server, alone):
            return
    assert False, 'too little happened'


def check_requests(load):
    load.end()
    tell(load.requests, 'requests')
    load.server.check()


def serve(program, server):
    load = Load(server)
    load.start()
    time.sleep(0.5)
    yield 'no write is missed', lambda: check_pages(program, server, server.alone)
    if server.can_be_alone:
        with server.others_stopped():
            yield ('no write to shared memory is missed',
                   lambda: check_pages(program, server, True))
    yield 'no request failed', lambda: check_requests(load)


def run_tests(program, name):
    failed = 0
    number = 0
    try:
        server = SERVERS[name]()
        for what, check in serve(program, server):
            number += 1
            try:
                check()
                print(f'ok {number} - {name}: {what}', flush=True)
            except AssertionError as error:
                failed = 1
                tell(error)
                print(f'not ok {number} - {name}: {what}', flush=True)
        print(f'1..{number}')
    except Skip as why:
        print(f'1..0 # SKIP {why}')
    return failed


def main():
    program, name, directory = sys.argv[1:]
    program = os.path.abspath(program)
    return in_own_folder(name, directory, lambda: run_tests(program, name))


sys.exit(main())
