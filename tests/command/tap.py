# SPDX-License-Identifier: MIT
"""The least of a test framework: speaks TAP."""


class Skip(Exception):
    pass


def main(names):
    """Runs the functions among them whose names begin with test_."""
    tests = [(name, f) for name, f in names.items() if name.startswith('test_')]
    print(f'TAP version 13\n1..{len(tests)}')
    for number, (name, function) in enumerate(tests, 1):
        title = f'{number} - {name[len("test_"):]}'
        try:
            function()
            print(f'ok {title}')
        except Skip as why:
            print(f'ok {title} # SKIP {why}')
        except Exception as error:  # pylint: disable=broad-except
            line = error.__traceback__.tb_next.tb_lineno
            print(f'not ok {title}\n# line {line}: {type(error).__name__}: {error}')
