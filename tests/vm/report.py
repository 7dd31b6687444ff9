#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Tests tools/kernels/report.py, which must not take anything for a success that is not: report.py
REPORT. Each case is what a machine printed, and the rows that have to come of it. Prints TAP.
"""
import os
import subprocess
import sys
import tempfile

PLAN = 'user auto||roomy|100|auto|mprotect|backends one@ two\n'
SWAP_PLAN = 'user swap auto||swap|100|auto|mprotect|one\n'
START = '@@ machine 6.1.0 always /dev/zram0\n@@ messages\n[ 0.0] Linux\n@@ end messages\n'
CONFIG = '@@ config user auto\n'
BACKENDS = '@@ begin backends\nbackend mprotect\n\n@@ end backends 0 1\n'
ONE = ('@@ begin one\n[RUN ] s::a\n[PASS] s::a: (0.00s)\n[RUN ] s::b\n[SKIP] s::b: needs root\n'
       '[====] Synthesis\n\n@@ end one 0 1\n')
TWO = '@@ begin two\n[RUN ] s::c\n[PASS] s::c: (0.00s)\n\n@@ end two 0 1\n'
QUIET = '@@ messages\n[ 1.0] fine\n@@ end messages\n'
DONE = '@@ done\n'
REAL_PLAN = 'user auto||roomy|100|auto|mprotect|real\n'
REAL = START + CONFIG + '@@ begin real\nnot there\n\n@@ end real 77 1\n' + QUIET + DONE
GOOD = START + CONFIG + BACKENDS + ONE + TWO + QUIET + DONE

# name: plan, output, options, rows that must be there, how many may fail
CASES = {
    'a good run': (PLAN, GOOD, [], [
        'ok - 6.1 thp=always user auto one: s::a',
        'ok - 6.1 thp=always user auto one: s::b # SKIP needs root',
        'ok - 6.1 thp=always user auto two: s::c',
        'ok - 6.1 thp=always user auto: the kernel does not complain'], 0),
    'servers that are not installed': (REAL_PLAN, REAL, [], [
        'ok - 6.1 thp=always user auto real: nothing is missed of servers at work '
        '# SKIP not there'], 0),
    'a write that is missed': (REAL_PLAN, REAL.replace('real 77', 'real 1'), [], [
        'not ok - 6.1 thp=always user auto real: nothing is missed of servers at work'], 1),
    'a skip of what never is': (PLAN, GOOD.replace('@@ end backends 0', '@@ end backends 77'), [], [
        'not ok - 6.1 thp=always user auto backends: the backend is the right one and loses '
        'nothing'], 1),
    'a failed test': (PLAN, GOOD.replace('[PASS] s::c: (0', '[----] why\n[FAIL] s::c: (0'), [], [
        'not ok - 6.1 thp=always user auto two: s::c', '#   [----] why'], 1),
    'a crash': (PLAN, GOOD.replace('[PASS] s::c: (0.00s)', 'partial[FAIL] s::c: CRASH!'), [], [
        'not ok - 6.1 thp=always user auto two: s::c'], 1),
    'a program that stops in a test': (
        PLAN, GOOD.replace('[PASS] s::c: (0.00s)\n\n@@ end two 0', '\n@@ end two 124'), [], [
            'not ok - 6.1 thp=always user auto two: s::c',
            '#   the program ended with status 124 meanwhile'], 1),
    'a program without tests': (
        PLAN, GOOD.replace('[RUN ] s::c\n[PASS] s::c: (0.00s)\n', ''), [], [
            'not ok - 6.1 thp=always user auto two: the program as a whole'], 1),
    'a bad status after good tests': (PLAN, GOOD.replace('@@ end two 0', '@@ end two 1'), [], [
        'not ok - 6.1 thp=always user auto two: the program as a whole'], 1),
    'a warning of the kernel': (
        PLAN, GOOD.replace('fine', 'WARNING: CPU: 0 PID: 1 at mm/memory.c:1'), [], [
            'not ok - 6.1 thp=always user auto: the kernel does not complain'], 1),
    'a warning at the start': (PLAN, GOOD.replace('Linux', 'BUG: unable'), [], [
        'not ok - 6.1 thp=always start: the kernel does not complain'], 1),
    'messages that cannot be read': (PLAN, GOOD.replace('[ 1.0] fine', '@@ unread not permitted'), [], [
        'not ok - 6.1 thp=always user auto: the kernel does not complain',
        '#   its messages cannot be read: not permitted'], 1),
    'messages that cannot be read here': (
        PLAN, GOOD.replace('[ 1.0] fine', '@@ unread not permitted'), ['--own'], [
            'ok - 6.1 thp=always user auto: the kernel does not complain # SKIP not permitted'], 0),
    'another kernel': (PLAN, GOOD.replace('6.1.0 always', '6.2.0 always'), [], [
        'not ok - 6.1 thp=always machine: is the one wanted, to the end'], 1),
    'other huge pages': (PLAN, GOOD.replace('6.1.0 always', '6.1.0 never'), [], [
        'not ok - 6.1 thp=always machine: is the one wanted, to the end'], 1),
    'trouble in the machine': (PLAN, '@@ trouble no disk\n' + GOOD, [], [
        'not ok - 6.1 thp=always machine: is the one wanted, to the end'], 1),
    'a machine that stops early': (
        PLAN, START + CONFIG + BACKENDS + '@@ begin one\n[RUN ] s::a\n', [], [
        'not ok - 6.1 thp=always machine: is the one wanted, to the end',
        'not ok - 6.1 thp=always user auto one: s::a',
        'not ok - 6.1 thp=always user auto two: the program as a whole',
        'not ok - 6.1 thp=always user auto: the kernel does not complain'], 4),
    'a machine that says nothing': (PLAN, '', [], [
        'not ok - 6.1 thp=always machine: is the one wanted, to the end'], 6),
    'the wrong backend': (PLAN, GOOD.replace('@@ end backends 0', '@@ end backends 1'), [], [
        'not ok - 6.1 thp=always user auto backends: '
        'the backend is the right one and loses nothing'], 1),
    'no backend where there has to be one': (
        PLAN, START + CONFIG + BACKENDS.replace('backends 0', 'backends 3') + '@@ unusable\n' +
        QUIET + DONE, [], [
            'not ok - 6.1 thp=always user auto backends: '
            'the backend is the right one and loses nothing',
            'ok - 6.1 thp=always user auto two: all tests # SKIP the backend is not usable here'],
        1),
    'no backend on the kernel that is here': (
        PLAN, CONFIG + BACKENDS.replace('backends 0', 'backends 3') + '@@ unusable\n' +
        QUIET + DONE, ['--own'], [
            'ok - 6.1 thp=always user auto two: all tests # SKIP the backend is not usable here'],
        0),
    'what is skipped': (PLAN, START + CONFIG + '@@ skip needs root\n' + QUIET + DONE, [], [
        'ok - 6.1 thp=always user auto two: all tests # SKIP needs root'], 0),
    'pressure that swaps nothing': (
        SWAP_PLAN, START + '@@ config user swap auto\n' + ONE + '@@ swapped 10 10 10 10\n' + QUIET +
        DONE, [], ['not ok - 6.1 thp=always user swap auto: pages are swapped out and in'], 1),
    'pressure that swaps': (
        SWAP_PLAN, START + '@@ config user swap auto\n' + ONE + '@@ swapped 10 10 9999 9999\n' +
        QUIET + DONE, [], ['ok - 6.1 thp=always user swap auto: pages are swapped out and in'], 0),
}


def run(report, plan, output, options):
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (('plan', plan), ('output', output)):
            with open(os.path.join(directory, name), 'w', encoding='utf-8') as file:
                file.write(text)
        done = subprocess.run(
            [sys.executable, report, '--tap', *options, '6.1', '6.1.0', 'always', directory],
            capture_output=True, text=True, check=False)
    return done.stdout.splitlines() + done.stderr.splitlines()


def without_number(row):
    words = row.split(' ')
    if words[0] in ('ok', 'not'):
        words = [word for word in words if not word.isdigit()]
    return ' '.join(words)


def main():
    print(f'TAP version 13\n1..{len(CASES)}')
    for number, (name, (plan, output, options, wanted, failures)) in enumerate(CASES.items(), 1):
        lines = run(sys.argv[1], plan, output, options)
        rows = [without_number(line) for line in lines]
        missing = [row for row in wanted if row not in rows]
        failed = sum(row.startswith('not ok') for row in rows)
        count = sum(row.startswith(('ok ', 'not ok ')) for row in rows)
        good = not missing and failed == failures and f'1..{count}' in rows
        print(f'{"ok" if good else "not ok"} {number} - {name}')
        if not good:
            print(f'# missing {missing}, {failed} failures and not {failures}, of:')
            print('\n'.join('#   ' + line for line in lines))


main()
