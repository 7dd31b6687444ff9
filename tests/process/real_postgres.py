# SPDX-License-Identifier: MIT
"""A PostgreSQL of our own, whose folder and socket are where it is started."""
import contextlib
import glob
import os
import signal
import subprocess
import time

from real_run import Skip, need, run, start, wait_until

NOBODY = '65534'
SECONDS = 120 # it is ended before
# The folder that a process is in, whatever the name of that and whoever may reach it.
HERE = '/proc/self/cwd'
CONFIGURATION = f'''
listen_addresses = ''
unix_socket_directories = '{HERE}'
shared_buffers = 16MB
max_connections = 10
dynamic_shared_memory_type = mmap
fsync = off
synchronous_commit = off
autovacuum = off
max_parallel_workers_per_gather = 0
'''
# Sorts in memory of its own.
SORT = 'select max(n) from (select row_number() over (order by abalance, aid) as n ' \
       'from pgbench_accounts where aid < 20000) as sorted;\n'
# epoll_wait(2); the first process waits in pselect(2), or in newer versions like the others.
WAITING = ('232', '270')


class Postgres:
    """One process of it, the one that serves pgbench."""
    least, least_shared, alone, can_be_alone = 20, 50, False, True

    def __init__(self):
        found = sorted(glob.glob('/usr/lib/postgresql/*/bin/postgres'))
        if not found:
            raise Skip('PostgreSQL is not installed')
        self.bin = os.path.dirname(found[-1])
        self.account = []
        self.env = {'LC_ALL': 'C', 'PATH': os.environ['PATH'], 'PGHOST': HERE, 'PGUSER': 'test',
                    'PGDATABASE': 'postgres', 'PGCONNECT_TIMEOUT': '10'}
        if os.geteuid() == 0:
            self.account = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups']
            os.chown('.', int(NOBODY), int(NOBODY))
        need('setpriv')
        self.make()
        self.server = self.start('postgres', '-D', HERE, ending=signal.SIGQUIT)
        wait_until(lambda: self.run('psql', '-c', 'select 1', check=False).returncode == 0,
                   'starting postgres')
        self.run('pgbench', '-i', '-q', '-n')
        with open('pgbench.log', 'w', encoding='utf-8') as log:
            self.load = self.start('pgbench', '-n', '-c', '1', '-T', str(SECONDS), '-P', '1', '-b',
                                   'tpcb-like@20', '-f', 'sort.sql@1', stdout=log)
        self.pid = self.find_backend()

    def start(self, program, *args, **more):
        more.setdefault('stdout', subprocess.DEVNULL)
        return start([f'{self.bin}/{program}', *args], self.account, env=self.env,
                     stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, **more)

    def run(self, program, *args, **more):
        return run(['setpriv', *self.account, '--', f'{self.bin}/{program}', *args],
                   env=self.env, **more)

    def make(self):
        self.run('initdb', '-D', HERE, '-U', 'test', '-A', 'trust', '-N', '-E', 'UTF8')
        with open('postgresql.conf', 'a', encoding='utf-8') as file:
            file.write(CONFIGURATION)
        with open('sort.sql', 'w', encoding='utf-8') as file:
            file.write(SORT)
        os.chmod('sort.sql', 0o644)

    def find_backend(self):
        # It has another connection at first, to look at the tables.
        query = "select pid from pg_stat_activity where query like 'UPDATE pgbench%'"
        found = []

        def ask():
            found[:] = self.run('psql', '-A', '-t', '-c', query).stdout.split()
            return found
        wait_until(ask, 'starting pgbench')
        return int(found[0])

    def others(self):
        with open(f'/proc/{self.server.pid}/task/{self.server.pid}/children',
                  encoding='utf-8') as file:
            return [int(pid) for pid in file.read().split() if int(pid) != self.pid]

    @contextlib.contextmanager
    def others_stopped(self):
        """Stopped where they wait for work, as they could hold a lock elsewhere."""
        # The first process starts no other once it is stopped itself.
        stopped = []
        try:
            for pid in [self.server.pid, *self.others()]:
                stopped.append(pid)
                wait_until(lambda pid=pid: stop_waiting(pid), 'stopping the other processes')
            yield
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def ask(self):
        """pgbench does all the asking."""
        time.sleep(0.1)
        return 1

    def check(self):
        # It ends by itself when a transaction fails, in whatever way but a conflict.
        assert self.load.poll() is None, 'pgbench has ended'
        self.load.terminate()
        self.load.wait(10)
        with open('pgbench.log', encoding='utf-8') as log:
            progress = [line for line in log if line.startswith('progress:')]
        assert progress, 'no progress'
        assert all(line.endswith(' 0 failed\n') for line in progress), progress
        accounts, history = (self.run('psql', '-A', '-t', '-c', query).stdout for query in (
            'select sum(abalance) from pgbench_accounts', 'select sum(delta) from pgbench_history'))
        assert accounts == history, 'what was written is not what was asked for'


def stop_waiting(pid):
    os.kill(pid, signal.SIGSTOP)
    for _ in range(100):
        with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
            if file.read().rsplit(')', 1)[1].split()[0] == 'T':
                break
        time.sleep(0.001)
    with open(f'/proc/{pid}/syscall', encoding='utf-8') as file:
        if file.read().split()[0] in WAITING:
            return True
    os.kill(pid, signal.SIGCONT)
    return False
