# SPDX-License-Identifier: MIT
"""probe.py COMMAND json|no-json plain|checked: runs 'COMMAND probe' in many ways; speaks TAP.

'checked' is a command that was built with sanitizers.
"""
import ctypes
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

import tap
from tap import Skip

BACKENDS = ['pagemap-scan', 'uffd-thread', 'uffd-sigbus', 'mprotect', 'soft-dirty']
GUARANTEES = ['exact', 'atomic_reset', 'ranged_reset', 'kernel_writes', 'no_signal_handler',
              'no_thread', 'survives_fork']
EMFILE, EPERM = 24, 1
NOBODY = 65534
LIMIT_MS = 50

command = sys.argv[1]
has_json = sys.argv[2] == 'json'
is_checked = sys.argv[3] == 'checked'


def run(*args, before=(), **more):
    env = {k: v for k, v in os.environ.items() if k != 'WRITEWATCH_BACKEND'}
    env.update(more.pop('env', {}))
    more.setdefault('stdout', subprocess.PIPE)
    return subprocess.run([*before, command, 'probe', *args], stderr=subprocess.PIPE, env=env,
                          timeout=30, check=False, **more)


def need_json():
    if not has_json:
        raise Skip('built without jansson')


def run_json(**more):
    need_json()
    done = run('--json', **more)
    assert done.returncode in (0, 3), (done.returncode, done.stderr)
    report = json.loads(done.stdout)
    assert [b['name'] for b in report['backends']] == BACKENDS
    assert (done.returncode == 0) == (report['choice'] is not None), done.returncode
    # The choice is the first that is usable, and never soft-dirty.
    usable = [b['name'] for b in report['backends'][:4] if b['usable']]
    assert (usable + [None])[0] == report['choice'], (usable, report['choice'])
    return report


def backend(report, name):
    return next(b for b in report['backends'] if b['name'] == name)


def changes(report, name):
    return ' '.join(backend(report, name)['changes'])


def as_nobody():
    if os.geteuid() != 0:
        raise Skip('only root can become another user')
    user = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
    try:
        run('--help', **user)
    except PermissionError:
        raise Skip('another user cannot run the command: its directory is private') from None
    return user


def test_text():
    done = run()
    lines = done.stdout.decode('ascii').splitlines()
    assert done.returncode in (0, 3) and not done.stderr, (done.returncode, done.stderr)
    assert [l.split()[0] for l in lines if l.split() and l.split()[0] in BACKENDS] == BACKENDS
    for name in BACKENDS:
        line = next(l for l in lines if l.startswith(name + ' '))
        assert line.split(None, 1)[1].startswith(('usable', 'not usable: ')), line
    assert max(map(len, lines)) < 80
    chosen = [l.split()[0] for l in lines if l.endswith('usable, and the automatic choice')]
    words = next(l for l in lines if l.startswith('choice ')).split()
    assert chosen == ([words[1].rstrip(';')] if done.returncode == 0 else []), chosen
    assert platform.release() in lines[0]
    assert 'WRITEWATCH_BACKEND is not set' in done.stdout.decode()


def test_json_machine():
    report = run_json()
    machine, user = report['machine'], report['user']
    assert machine['release'] == platform.release()
    assert machine['architecture'] == platform.machine()
    assert machine['page_size'] == resource.getpagesize()
    with open('/proc/sys/vm/max_map_count', encoding='ascii') as file:
        assert machine['max_map_count'] == int(file.read())
    assert machine['transparent_hugepage'] in ('always', 'madvise', 'never', None)
    assert user['uid'] == os.geteuid()
    with open('/proc/self/status', encoding='ascii') as file:
        status = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
    assert user['cap_sys_ptrace'] == bool(int(status['CapEff'], 16) >> 19 & 1)
    assert user['seccomp_filter'] == (status['Seccomp'].strip() != '0')
    assert user['dumpable'] is True
    assert report['environment'] is None


def test_json_backends():
    report = run_json()
    for b in report['backends']:
        if b['usable']:
            assert list(b['guarantees']) == GUARANTEES, b
            assert all(isinstance(v, bool) for v in b['guarantees'].values()), b
            assert b['measure_error'] is None, b
            # Less is no fault of a page; more is no backend.
            assert 50 < b['first_write_ns'] < 1e7, b
            assert 0 < b['clean_get_ns_per_page'] < 1e6, b
            # soft-dirty may report what became its neighbour; mprotect only beyond these few pages.
            assert b['over_reported_pages'] == 0 or b['name'] == 'soft-dirty', b
            assert b['reason'] is None and b['error'] is None and b['changes'] == [], b
        else:
            assert b['guarantees'] is None and b['first_write_ns'] is None, b
            assert b['error']['errno'] > 0 and b['error']['message'], b
    assert [b['name'] for b in report['backends'] if b['chosen']] == (
        [report['choice']] if report['choice'] else [])


def test_text_and_json_agree():
    report = run_json()
    text = ' '.join(run().stdout.decode().split())
    for b in report['backends']:
        assert (f"{b['name']} not usable: " in text) == (not b['usable']), b
        if b['reason']:
            assert b['reason'] in text, b
        for change in b['changes']:
            assert ' '.join(change.split()) in text, change


def test_environment():
    plain = run_json()
    off = run_json(env={'WRITEWATCH_BACKEND': 'off'})
    assert off['environment']['WRITEWATCH_BACKEND'] == 'off'
    assert off['environment']['backend'] is None and off['environment']['error']['errno'] > 0
    assert off['choice'] == plain['choice']
    if plain['choice']:
        name = plain['choice']
        wished = run_json(env={'WRITEWATCH_BACKEND': name})['environment']
        assert wished['backend'] == name.split('-t')[0].split('-sig')[0] and not wished['error']
    unknown = run_json(env={'WRITEWATCH_BACKEND': 'nonsense'})
    assert unknown['environment']['error']['errno'] == 22
    assert unknown['choice'] == plain['choice']
    assert run_json(env={'WRITEWATCH_BACKEND': ''})['environment'] is None
    text = run(env={'WRITEWATCH_BACKEND': 'off'}).stdout.decode()
    assert 'WRITEWATCH_BACKEND is "off": programs' in text


def test_environment_is_made_printable():
    bad = b'\x1b[31m\xff"' + b'x' * 5000
    done = run(env={'WRITEWATCH_BACKEND': bad})
    assert done.stdout.isascii() and b'\x1b' not in done.stdout
    report = run_json(env={'WRITEWATCH_BACKEND': bad})
    assert report['environment']['WRITEWATCH_BACKEND'].startswith('?[31m?"xxx')


def test_usage():
    assert run('--help').returncode == 0
    assert max(map(len, run('--help').stdout.splitlines())) < 80
    for args in (['--nonsense'], ['pagemap-scan'], ['--json=1']):
        done = run(*args)
        assert done.returncode == 2 and not done.stdout and done.stderr, args


def test_full_disk():
    for args in [[], ['--json']] if has_json else [[]]:
        with open('/dev/full', 'wb') as full:
            done = run(*args, stdout=full)
        assert done.returncode == 1 and b'cannot write' in done.stderr, (args, done)


def test_closed_output():
    for args in [[], ['--json']] if has_json else [[]]:
        done = run(*args, before=['sh', '-c', 'exec "$@" >&-', 'sh'])
        assert done.returncode in (0, 3) and not done.stderr, (args, done)


def test_without_jansson():
    if has_json:
        raise Skip('built with jansson')
    done = run('--json')
    assert done.returncode == 1 and not done.stdout and b'jansson' in done.stderr, done


def test_few_descriptors():
    few = (4, 4)
    report = run_json(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few))
    refused = backend(report, 'pagemap-scan')
    assert not refused['usable'] and refused['error']['errno'] == EMFILE, refused
    assert 'open files (ulimit -n) than 4' in changes(report, 'pagemap-scan')


def test_little_address_space():
    if is_checked:
        raise Skip('sanitizers need address space themselves')
    for mib in (12, 16, 24):
        size = (mib << 20, mib << 20)
        run_json(preexec_fn=lambda limit=size: resource.setrlimit(resource.RLIMIT_AS, limit))


def test_no_proc():
    if is_checked:
        raise Skip('sanitizers need /proc themselves')
    if os.geteuid() != 0 or not shutil.which('unshare'):
        raise Skip('only root can unmount /proc, with unshare(1)')
    alone = ['unshare', '-m', 'sh', '-c', 'umount -l /proc && exec "$@"', 'sh']
    if subprocess.run([*alone, 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip('/proc cannot be unmounted here')
    report = run_json(before=alone)
    assert not backend(report, 'pagemap-scan')['usable']
    assert 'mounted /proc' in changes(report, 'pagemap-scan')
    assert report['machine']['max_map_count'] is None
    assert report['user']['seccomp_filter'] is None


def block_faults():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV, signal.SIGBUS})


def test_blocked_signals():
    """By who starts it: the handlers of some backends are for these."""
    assert run(preexec_fn=block_faults).returncode in (0, 3)
    usable = [b['usable'] for b in run_json()['backends']]
    assert [b['usable'] for b in run_json(preexec_fn=block_faults)['backends']] == usable


def test_unprivileged():
    report = run_json(**as_nobody())
    assert report['user']['uid'] == NOBODY and not report['user']['cap_sys_ptrace']
    uffd = report['userfaultfd']
    if uffd['unprivileged_userfaultfd'] != 0 or not uffd['device']:
        raise Skip('this machine allows userfaultfd to everybody')
    told = changes(report, 'uffd-thread')
    assert 'vm.unprivileged_userfaultfd=1' in told and 'CAP_SYS_PTRACE' in told, told
    if os.path.exists('/dev/userfaultfd'):
        assert 'permission to open /dev/userfaultfd' in told, told


class Filter(ctypes.Structure):
    _fields_ = [('code', ctypes.c_uint16), ('jt', ctypes.c_uint8), ('jf', ctypes.c_uint8),
                ('k', ctypes.c_uint32)]


class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_uint16), ('filter', ctypes.POINTER(Filter))]


def deny_userfaultfd():
    """Filters the system call out of this process: EPERM, as in containers."""
    number = {'x86_64': 323, 'aarch64': 282}[platform.machine()]
    load, jump_if_equal, give = 0x20, 0x15, 0x06
    filters = (Filter * 4)(Filter(load, 0, 0, 0), Filter(jump_if_equal, 0, 1, number),
                           Filter(give, 0, 0, 0x50000 | EPERM), Filter(give, 0, 0, 0x7fff0000))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privs, seccomp, by_filter = 38, 22, 2
    if libc.prctl(no_new_privs, 1, 0, 0, 0) or libc.prctl(
            seccomp, by_filter, ctypes.byref(Program(4, filters))):
        raise OSError(ctypes.get_errno(), 'seccomp')


def test_filtered():
    if platform.machine() not in ('x86_64', 'aarch64'):
        raise Skip('the number of the system call is not known for this machine')
    report = run_json(preexec_fn=deny_userfaultfd, **as_nobody())
    if not report['userfaultfd']['device']:
        raise Skip('this machine allows userfaultfd to everybody, past every filter')
    assert report['user']['seccomp_filter'] is True
    for name in BACKENDS[:3]:
        refused = backend(report, name)
        assert not refused['usable'], refused
        assert 'a seccomp filter that allows userfaultfd(2)' in changes(report, name), refused
    assert 'CAP_SYS_PTRACE' in changes(report, 'uffd-thread')


def measured_ms():
    began = time.monotonic()
    told = run_json()['elapsed_ms']
    assert 0 < told < (time.monotonic() - began) * 1e3
    return told


def test_time():
    if is_checked:
        raise Skip('sanitizers make everything slower')
    # What else the machine does may be half of a series, and is seldom half of several.
    for _ in range(4):
        median = statistics.median(measured_ms() for _ in range(11))
        if median < LIMIT_MS:
            return
    assert median < LIMIT_MS, f'{median} ms'


tap.main(globals())
