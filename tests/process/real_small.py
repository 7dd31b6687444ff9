# SPDX-License-Identifier: MIT
"""Servers that need no account of their own."""
import os
import socket
import subprocess
import sys

from real_run import need, run, start, wait_until


class Redis:
    """Under redis-benchmark, with a client whose answers are known, and one save by fork."""
    least, alone, can_be_alone = 1000, False, False

    def __init__(self):
        need('redis-server', 'redis-benchmark')
        self.server = start(['redis-server', '--port', '0', '--unixsocket', 'redis.sock', '--save',
                             '', '--dir', '.', '--daemonize', 'no'],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.pid = self.server.pid
        wait_until(lambda: os.path.exists('redis.sock'), 'starting redis-server')
        self.client = socket.socket(socket.AF_UNIX)
        self.client.settimeout(10)
        self.client.connect('redis.sock')
        self.answers = self.client.makefile('rb')
        self.rounds = 0

    def command(self, *words):
        words = [str(word).encode() for word in words]
        self.client.sendall(b'*%d\r\n' % len(words) + b''.join(
            b'$%d\r\n%s\r\n' % (len(word), word) for word in words))
        head = self.answers.readline()
        assert head[:1] in b'+:$', head
        if head[:1] != b'$':
            return head[1:-2].decode()
        text = self.answers.read(int(head[1:]) + 2)
        return text[:-2].decode()

    def ask(self):
        tests, count = 'set,get,incr,lpush,lpop,sadd,hset,zadd', 5000
        done = run(['redis-benchmark', '-s', 'redis.sock', '-q', '-t', tests, '-n', str(count),
                    '-r', '100000', '-d', '200', '-P', '4'], timeout=15)
        assert 'rror' not in done.stdout + done.stderr, done.stdout
        self.rounds += 1
        for i in range(200):
            assert self.command('set', f'own:{i}', f'{i} of {self.rounds}' * 50) == 'OK'
        for i in range(200):
            assert self.command('get', f'own:{i}') == f'{i} of {self.rounds}' * 50
        if self.rounds == 2:
            assert self.command('bgsave') == 'Background saving started'
        return count * len(tests.split(',')) + 400

    def check(self):
        assert 'errorstat' not in self.command('info', 'errorstats')
        assert 'rdb_last_bgsave_status:ok' in self.command('info', 'persistence')
        assert self.server.poll() is None


class Lines:
    """A program that answers each line with one."""
    can_be_alone = False

    def __init__(self, args, **more):
        self.server = start(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)
        self.pid = self.server.pid
        self.sum = self.count = 0

    def line(self, text):
        self.server.stdin.write(text + '\n')
        self.server.stdin.flush()
        answer = self.server.stdout.readline().strip()
        assert answer or self.server.poll() is None, 'the server has ended'
        return answer

    def check(self):
        assert self.server.poll() is None
        self.server.stdin.close()
        assert self.server.wait(10) == 0


PROGRAM = '''
import sys, threading
kept, total, lists = {}, 0, []

def turn_over():
    while True:
        lists.append([str(i) for i in range(5000)])
        if len(lists) > 20:
            del lists[0]

threading.Thread(target=turn_over, daemon=True).start()
for line in sys.stdin:
    n = int(line)
    total += n - kept.get(n % 20000, [0])[0]
    kept[n % 20000] = [n, bytes(n % 3000)]
    print(total, len(kept), flush=True)
'''


class Python(Lines):
    """With a second thread that makes and drops objects."""
    least, alone = 300, True
    least_shared = 0

    def __init__(self):
        super().__init__([sys.executable, '-c', PROGRAM])
        self.kept = {}

    def ask(self):
        self.count += 1
        n = self.count * 7919
        self.sum += n - self.kept.get(n % 20000, 0)
        self.kept[n % 20000] = n
        assert self.line(str(n)) == f'{self.sum} {len(self.kept)}'
        return 1


class Sqlite(Lines):
    """With its write-ahead log, whose index is a shared mapping of a file on disk."""
    least, alone = 100, True
    least_shared = 1

    def __init__(self):
        need('sqlite3', 'stdbuf')
        # Output to a pipe is held back otherwise.
        super().__init__(['stdbuf', '-oL', 'sqlite3', '-batch', '-bail', '-init', os.devnull,
                          'test.db'])
        assert self.line('pragma journal_mode=wal;') == 'wal'
        self.server.stdin.write('pragma synchronous=off; pragma temp_store=memory; '
                                'pragma cache_size=20000;\n'
                                'create table t(n integer primary key, v integer, s text);\n'
                                'create temp table m(n integer, s text);\n')

    def ask(self):
        self.count += 1
        first = self.count * 50
        old = self.count * 7919 % first
        rows = f'with recursive r(n) as (select {first} union all ' \
               f'select n + 1 from r where n < {first + 49}) '
        answer = self.line(
            f'begin; {rows} insert into t select n, n, hex(randomblob(100)) from r; '
            f'update t set s = hex(randomblob(100)) where n between {old} and {old + 50}; '
            f'{rows} insert into m select n, hex(randomblob(50)) from r; commit; '
            f'select count(*), sum(v) from t where n >= {first - 1000};')
        last = range(max(50, first - 1000), first + 50)
        assert answer == f'{len(last)}|{sum(last)}', answer
        return 1
