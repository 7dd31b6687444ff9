# SPDX-License-Identifier: MIT
"""demo.py COMMAND: runs 'COMMAND demo' where its first choice is refused; TAP."""
import os
import re
import subprocess
import sys

import tap
from tap import Skip

command = os.path.abspath(sys.argv[1])
NOBODY = 65534
NO_BACKEND = 3


def test_lines_have_80_columns():
    if os.geteuid() != 0:
        raise Skip('only root can become another user')
    user = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
    env = {**os.environ, 'WRITEWATCH_BACKEND': 'uffd', 'LC_ALL': 'C.UTF-8'}
    try:
        done = subprocess.run([command, 'demo', '--size', '2M', '--seconds', '2'], env=env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=50, check=False, text=True, **user)
    except PermissionError:
        raise Skip('another user cannot run the command: its directory is private') from None
    if done.returncode == NO_BACKEND:
        raise Skip('userfaultfd is denied, or does not write-protect')
    assert done.returncode == 0 and 'All right' in done.stdout, done
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80, lines
    if 'no thread' not in done.stdout:
        raise Skip('every user may handle faults of the kernel here')
    # The words are all there, and nothing else is between them.
    assert re.search('^not used +uffd-thread: handling faults of the kernel is denied: it takes '
                     'CAP_SYS_PTRACE, access to /dev/userfaultfd, or '
                     'vm.unprivileged_userfaultfd=1$',
                     re.sub('\n {10}', ' ', done.stdout), re.M), done.stdout


tap.main(globals())
