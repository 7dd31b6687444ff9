# SPDX-License-Identifier: MIT
"""completion.py COMMAND FILE: what bash completes with FILE is what COMMAND knows; speaks TAP."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tap
from tap import Skip

command, script = sys.argv[1:]

# Words as bash cuts them, the last being completed.
ASK = '''. "$1"; shift
COMP_WORDS=(writewatch "$@") COMP_CWORD=$# COMP_LINE="writewatch $*"
COMP_POINT=${#COMP_LINE}
_writewatch
((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"'''


def complete(*words, **more):
    if not shutil.which('bash'):
        raise Skip('no bash here')
    done = subprocess.run(['bash', '--norc', '-c', ASK, 'bash', script, *words], check=True,
                          capture_output=True, timeout=30, **more)
    assert not done.stderr, done.stderr
    return done.stdout.decode().splitlines()


def help_of(*words):
    return subprocess.run([command, *words, '--help'], capture_output=True, check=True,
                          timeout=30).stdout.decode()


def commands():
    return re.findall(r'^  ([a-z]+) ', help_of(), re.M)


def test_commands():
    assert set(commands()) <= set(complete('')), (commands(), complete(''))
    assert complete('rep') == ['report']
    assert complete('--') == ['--help', '--version']
    assert complete('nonsense', '') == []


def test_options():
    for name in commands():
        known = set(re.findall(r'^ +(?:-\w, )?(--[a-z-]+)', help_of(name), re.M))
        told = {option.rstrip('=') for option in complete(name, '--')}
        assert told == known and '--help' in known, (name, told, known)


def test_helps_fit_a_terminal():
    for words in [(), *((name,) for name in commands())]:
        lines = help_of(*words).splitlines()
        assert max(map(len, lines)) <= 80 and len(lines) <= 24, (words, max(lines, key=len))


def test_values():
    assert complete('report', '--migrate', '10') == ['10Gbit', '100M']
    assert complete('report', '--migrate', '=', '25') == ['25Gbit']
    assert complete('report', '--csv', '--dow') == ['--downtime']
    assert complete('record', '-i', '1') == ['10ms', '100ms', '1s']
    assert complete('demo', '--size', '6') == ['64M']


def test_files_and_processes():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'a recording.wwr')
        open(path, 'wb').close()
        start = os.path.join(folder, 'a')
        for words in (['report', start], ['report', '--svg', '=', start], ['record', '-o', start]):
            assert complete(*words) == [path], words
        assert complete('report', '--svg', start) == [path], 'its file is behind "=" only'
    for name in ('record', 'top'):
        assert str(os.getpid()) in complete(name, str(os.getpid())[:-1])
    assert 'bash' in complete('record', '-i', '1s', '--', 'bas')


def test_loads_with_bash_completion():
    helpers = '/usr/share/bash-completion/bash_completion'
    if not os.path.exists(helpers):
        raise Skip('no bash-completion here')
    ask = f'. {helpers}; ' + ASK
    done = subprocess.run(['bash', '--norc', '-c', ask, 'bash', script, 'record', '--', 'bas'],
                          capture_output=True, check=True, timeout=30)
    # Helpers complain that this is no true completion; what is ours does not.
    assert b'bash\n' in done.stdout and script.encode() not in done.stderr, done


tap.main(globals())
