# SPDX-License-Identifier: MIT
"""Runs 'COMMAND report', where the arguments of the script are COMMAND json|no-json."""
import json
import os
import subprocess
import sys
import tempfile

import brute
import synthetic
from tap import Skip

RECORDINGS = 40

command = sys.argv[1]
has_json = sys.argv[2] == 'json'
folder = tempfile.TemporaryDirectory(prefix='writewatch-report-')


def path_of(content):
    path = os.path.join(folder.name, 'recording')
    with open(path, 'wb') as file:
        file.write(content)
    return path


def run(*args, before=(), **more):
    more.setdefault('stdout', subprocess.PIPE)
    return subprocess.run([*before, command, 'report', *args], stderr=subprocess.PIPE, timeout=60,
                          check=False, **more)


def report(content, *args, status=0, said=b''):
    done = run(*args, path_of(content))
    assert done.returncode == status, (done.returncode, done.stderr)
    assert said in done.stderr and bool(said) == bool(done.stderr), done.stderr
    return done.stdout


def report_json(content, *args, **more):
    if not has_json:
        raise Skip('built without jansson')
    return json.loads(report(content, '--json', *args, **more))


def recordings():
    """Random ones, each with what is to be said of its being cut off."""
    for seed in range(RECORDINGS):
        recording = brute.Recording(seed)
        end = synthetic.end(recording.duration, recording.intervals)
        yield recording, b'' if recording.bytes.endswith(end) else b'before its end record'
