#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Tables for the README from what report.py saved: table.py [--sum MACHINES] RESULT.json...

With --sum only the last line of tools/kernels.sh: everything added up, a machine without a result
being a failure.
"""
import argparse
import json
import re
import sys

BACKENDS = ('pagemap-scan', 'uffd-thread', 'uffd-sigbus', 'mprotect', 'soft-dirty')
USERS = {'root': 'root', 'user': 'unprivileged', 'root denied': 'root, `userfaultfd` denied',
         'user denied': 'unprivileged, `userfaultfd` denied'}
OVER = re.compile(r'over (.*): (\d+) of (\d+)$')


def version_key(name):
    return [int(n) for n in re.findall(r'\d+', name)]


def cells_of(results):
    """(kernel, user) -> backend chosen; (situation, backend) -> {kernel: {(count, pages)}}"""
    chosen, over = {}, {}
    for result in results:
        kernel = result['kernel']
        for config in result['configs']:
            backend = next((line.split()[1] for line in config['found']
                            if line.startswith('backend ')), None)
            if backend is None:
                continue
            user = ' '.join(word for word in config['name'].split()
                            if word in ('root', 'user', 'denied', 'granted'))
            if config['how'] != 'forced':
                chosen.setdefault((kernel, user), set()).add(backend)
            for match in filter(None, map(OVER.match, config['found'])):
                situation, count, pages = match[1], int(match[2]), int(match[3])
                over.setdefault((situation, backend), {}).setdefault(kernel, set()).add(
                    (count, pages))
    return chosen, over


def print_table(header, rows):
    print('| ' + ' | '.join(header) + ' |')
    print('|' + '---|' * len(header))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')


def over_cell(by_kernel):
    """What was found on all kernels: {kernel: {(count, pages)}}"""
    if not by_kernel:
        return '–'
    worst = {kernel: max(found) for kernel, found in by_kernel.items()}
    count, pages = max(worst.values())
    if count == 0:
        return 'none'
    touched = sorted((kernel for kernel in worst if worst[kernel][0]), key=version_key)
    steady = all(len(by_kernel[kernel]) == 1 and worst[kernel] == (count, pages)
                 for kernel in touched)
    text = f'{count} of {pages}' if steady else f'up to {count} of {pages}'
    return text if len(touched) == len(worst) else f'{text} ({", ".join(touched)})'


def print_tables(results):
    chosen, over = cells_of(results)
    kernels = sorted({result['kernel'] for result in results}, key=version_key)
    users = [user for user in USERS if any((kernel, user) in chosen for kernel in kernels)]
    print_table(['Linux'] + [USERS[user] for user in users],
                [[kernel] + [', '.join(f'`{b}`' for b in sorted(chosen.get((kernel, user), ())))
                             for user in users] for kernel in kernels])
    backends = [b for b in BACKENDS if any(key[1] == b for key in over)]
    situations = dict.fromkeys(situation for situation, _ in over)
    print('\nPages reported although nothing was written to them:\n')
    print_table([''] + [f'`{backend}`' for backend in backends],
                [[situation] + [over_cell(over.get((situation, backend))) for backend in backends]
                 for situation in situations])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--sum', type=int)
    parser.add_argument('results', nargs='*')
    args = parser.parse_args()
    results = []
    for path in args.results:
        try:
            with open(path, encoding='utf-8') as file:
                results.append(json.load(file))
        except FileNotFoundError:
            # The shell's pattern, when nothing matches it.
            pass
    if args.sum is None:
        print_tables(results)
        return 0
    total = {kind: sum(result[kind] for result in results)
             for kind in ('passed', 'failed', 'skipped')}
    total['failed'] += args.sum - len(results)
    print('passed {passed}  failed {failed}  skipped {skipped}'.format(**total))
    return total['failed'] > 0


sys.exit(main())
