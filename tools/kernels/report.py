#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Turns what run.sh printed into results: report.py [--tap] [--own] LABEL RELEASE THP DIRECTORY

DIRECTORY has plan, output and, of a virtual machine, console. Prints TAP with a row for each test,
or a line for each program and the rows that did not pass. Writes DIRECTORY/result.json: the counts,
and what the program "backends" found, for table.py.
"""
import argparse
import json
import os
import re
import sys

TROUBLE = re.compile(r'WARNING:|BUG:|Oops|Kernel panic|general protection fault|UBSAN|KASAN'
                     r'|blocked for more than|rcu.*stall|Bad (page|rss)|Out of memory|oom-kill')
RUN = re.compile(r'\[RUN \] (\S+)\s*$')
ENDED = re.compile(r'\[(PASS|FAIL|SKIP)\] ([^\s:]+::[^\s:]+): ?(.*)$')
MARK = re.compile(r'@@ (\w+) ?(.*)$')
# What has been swapped out and in again under pressure, at least; otherwise there was none.
SWAPPED = 50
TEXT_LINES = 40
# Programs that are one row each.
WHOLE = {'backends': 'the backend is the right one and loses nothing', 'demo': 'nothing missed',
         'probe': 'tells the backend chosen', 'fuzz-replay': 'nothing missed',
         'selftest': 'the kernel passes its own test',
         'real': 'nothing is missed of servers at work',
         'record': 'record, report and top tell what was written',
         'yama': 'what yama refuses is told'}
# The exit status of a program that lacks what it is about.
UNTRIED = 77


class Row:
    """A result: of a test, or of something else that can go wrong."""

    def __init__(self, config, program, test, result, text=(), reason=''):
        self.config, self.program, self.test = config, program, test
        self.result, self.text, self.reason = result, list(text), reason

    def name(self):
        return ' '.join(filter(None, (self.config, self.program))) + ': ' + self.test


def criterion_rows(config, program, lines, status):
    """The tests of a program, by what Criterion says when it is verbose."""
    rows, running, text = [], None, []
    for line in lines:
        if match := RUN.search(line):
            running, text = match[1], []
            continue
        if match := ENDED.search(line):
            kind, name, rest = match.groups()
            result = {'PASS': 'passed', 'FAIL': 'failed', 'SKIP': 'skipped'}[kind]
            text.append(line)
            rows.append(Row(config, program, name, result,
                            text if result == 'failed' else (), rest))
            running, text = None, []
            continue
        text.append(line)
    if running:
        text.append(f'the program ended with status {status} meanwhile')
        rows.append(Row(config, program, running, 'failed', text))
    elif not rows or (status != 0 and all(row.result != 'failed' for row in rows)):
        text.append(f'exit status {status} after {len(rows)} tests')
        rows.append(Row(config, program, 'the program as a whole', 'failed', text))
    return rows


def program_rows(config, program, lines, status):
    if program not in WHOLE:
        return criterion_rows(config, program, lines, status)
    if program in ('probe', 'real', 'yama') and status == UNTRIED:
        return [Row(config, program, WHOLE[program], 'skipped', (), (lines or ['?'])[-1])]
    result = 'passed' if status == 0 else 'failed'
    return [Row(config, program, WHOLE[program], result, lines + [f'exit status {status}'])]


class Config:
    """A line of the plan, and what became of it."""

    def __init__(self, line):
        fields = line.rstrip('\n').split('|')
        self.name, self.options, self.memory, _, self.how, self.backend, programs = fields
        self.programs = programs.replace('@', '').split()
        self.output, self.status, self.seconds = {}, {}, {}
        self.messages, self.swapped = [], None
        self.skip, self.unusable, self.ended = None, False, False
        self.unread = None

    def swap_row(self):
        if self.memory != 'swap':
            return []
        out, back = self.swapped or (0, 0)
        enough = out >= SWAPPED and back >= SWAPPED
        return [Row(self.name, '', 'pages are swapped out and in', 'passed' if enough else 'failed',
                    [f'{out} pages were swapped out, {back} in'])]

    def message_row(self, own):
        found = [line for line in self.messages if TROUBLE.search(line)]
        if not self.ended:
            found.append('the machine stopped before the end')
        # Somebody else's machine need not tell.
        if self.unread and not own:
            found.append(f'its messages cannot be read: {self.unread}')
        result = 'failed' if found else 'skipped' if self.unread else 'passed'
        return [Row(self.name, '', 'the kernel does not complain', result,
                    (found + self.messages) if found else (), self.unread or '')]

    def rows(self, own):
        if self.skip:
            return [Row(self.name, p, 'all tests', 'skipped', (), self.skip) for p in self.programs]
        rows = []
        unusable = self.unusable and 'the backend is not usable here'
        for program in self.programs:
            if program in self.status:
                found = program_rows(self.name, program, self.output[program],
                                     self.status[program])
                if unusable and own:
                    found = [Row(self.name, program, 'all tests', 'skipped', (), unusable)]
            elif unusable:
                found = [Row(self.name, program, 'all tests', 'skipped', (), unusable)]
            else:
                found = criterion_rows(self.name, program, self.output.get(program, []),
                                       '"none, the machine stopped"')
            rows += found
        return rows + ([] if unusable else self.swap_row()) + self.message_row(own)


def parse(path, configs, machine):
    """Reads what run.sh printed into the configurations; returns what else was said."""
    config = program = None
    in_messages, other = False, []
    start = Config('start||||||')
    for line in open(path, encoding='utf-8', errors='replace'):
        line = line.rstrip('\r\n')
        match = MARK.match(line)
        if not match or (program and match[1] != 'end'):
            target = config or start
            if in_messages:
                target.messages.append(line)
            elif program:
                target.output[program].append(line)
            else:
                other.append(line)
            continue
        kind, rest = match.groups()
        words = rest.split()
        if kind == 'config':
            config = next(c for c in configs if c.name == rest)
        elif kind == 'begin':
            program = rest
            config.output[program] = []
        elif kind == 'end' and rest == 'messages':
            in_messages = False
            (config or start).ended = True
        elif kind == 'end':
            config.status[program], config.seconds[program] = int(words[1]), int(words[2])
            if config.output[program] and not config.output[program][-1]:
                config.output[program].pop()
            program = None
        elif kind == 'messages':
            in_messages = True
        elif kind == 'swapped':
            config.swapped = int(words[2]) - int(words[0]), int(words[3]) - int(words[1])
        elif kind == 'unread':
            (config or start).unread = rest
        elif kind == 'unusable':
            config.unusable = True
        elif kind == 'skip':
            config.skip = rest
        else:
            machine.setdefault(kind, []).append(rest)
    return start, other


def machine_rows(args, machine, start, other):
    """Whether the machine was what was asked for, and came to its end."""
    text = [f'trouble: {line}' for line in machine.get('trouble', ())]
    if not args.own:
        was = machine.get('machine', ['nothing'])[0]
        if not was.startswith(f'{args.release} {args.thp} '):
            text.append(f'it is {was}, not {args.release} {args.thp}')
    if 'done' not in machine:
        text.append('it stopped before the end')
        console = os.path.join(args.directory, 'console')
        if os.path.exists(console):
            text += open(console, encoding='utf-8', errors='replace').read().splitlines()[-30:]
    rows = [Row('', 'machine', 'is the one wanted, to the end', 'failed' if text else 'passed',
                text + other)]
    return rows if args.own else rows + start.message_row(args.own)


def failure_text(row):
    text = [line for line in row.text if line.strip()]
    if len(text) > TEXT_LINES:
        text = text[:TEXT_LINES // 2] + ['...'] + text[-TEXT_LINES // 2:]
    return text


def print_tap(label, rows):
    print('TAP version 13')
    failed = []
    for number, row in enumerate(rows, 1):
        name = f'{label} {row.name()}'.replace('#', '%')
        if row.result == 'skipped':
            print(f'ok {number} - {name} # SKIP {row.reason}')
        elif row.result == 'passed':
            print(f'ok {number} - {name}')
        else:
            print(f'not ok {number} - {name}')
            failed.append(row)
            for line in failure_text(row):
                print(f'#   {line}')
    # Once more, for meson shows nothing else.
    for row in failed:
        print(f'# failed: {label} {row.name()}', file=sys.stderr)
        for line in failure_text(row):
            print(f'#   {line}', file=sys.stderr)
    print(f'1..{len(rows)}')


def print_lines(label, rows):
    groups = {}
    for row in rows:
        groups.setdefault((row.config, row.program or 'as a whole'), []).append(row)
    for (config, program), members in groups.items():
        n = {r: sum(row.result == r for row in members) for r in ('passed', 'failed', 'skipped')}
        print(f'{label + " " + config:<58} {program:<22} passed {n["passed"]:3}  '
              f'failed {n["failed"]:3}  skipped {n["skipped"]:3}')
        for row in members:
            if row.result == 'failed':
                print(f'  not ok {row.test}')
                for line in failure_text(row):
                    print(f'      {line}')
        for reason in dict.fromkeys(r.reason for r in members if r.result == 'skipped'):
            tests = [r.test for r in members if r.result == 'skipped' and r.reason == reason]
            print(f'  skipped {", ".join(tests)}: {reason}')


def save(args, rows, configs):
    result = {'kernel': args.label, 'own': args.own, 'thp': args.thp, 'configs': []}
    for kind in ('passed', 'failed', 'skipped'):
        result[kind] = sum(row.result == kind for row in rows)
    for c in configs:
        result['configs'].append({
            'name': c.name, 'options': c.options, 'memory': c.memory, 'how': c.how,
            'backend': c.backend, 'found': c.output.get('backends', []), 'seconds': c.seconds})
    with open(os.path.join(args.directory, 'result.json'), 'w', encoding='utf-8') as file:
        json.dump(result, file, indent=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--tap', action='store_true')
    parser.add_argument('--own', action='store_true')
    for name in ('label', 'release', 'thp', 'directory'):
        parser.add_argument(name)
    args = parser.parse_args()
    with open(os.path.join(args.directory, 'plan'), encoding='utf-8') as file:
        configs = [Config(line) for line in file]
    machine = {}
    start, other = parse(os.path.join(args.directory, 'output'), configs, machine)
    rows = machine_rows(args, machine, start, other)
    for config in configs:
        rows += config.rows(args.own)
    save(args, rows, configs)
    (print_tap if args.tap else print_lines)(f'{args.label} thp={args.thp}', rows)
    return any(row.result == 'failed' for row in rows) and not args.tap


sys.exit(main())
