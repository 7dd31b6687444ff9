#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a test of a sanitizer build and fails if any of its processes has anything to report. The
# exit code alone tells nothing: Criterion runs each test in a child and does not look at how that
# ends, and LeakSanitizer speaks up at the very end of it.
# handle_segv: some tests expect a SIGSEGV of their own.
# die_after_fork: children of processes with threads start some; they are not looked into.
set -u

logs=$(mktemp -d "$PWD/sanitizer.XXXXXX") || exit 99
trap 'rm -rf "$logs"' EXIT
trap 'exit 99' HUP INT TERM

with_log() { # <what the caller's environment asks for> <what this test needs>
	echo "${1:+$1:}$2:log_path=$logs/log"
}
ASAN_OPTIONS=$(with_log "${ASAN_OPTIONS-}" detect_leaks=1:handle_segv=0:allow_user_segv_handler=1)
LSAN_OPTIONS=$(with_log "${LSAN_OPTIONS-}" print_suppressions=0)
UBSAN_OPTIONS=$(with_log "${UBSAN_OPTIONS-}" print_stacktrace=1)
TSAN_OPTIONS=$(with_log "${TSAN_OPTIONS-}" handle_segv=0:second_deadlock_stack=1:die_after_fork=0)
export ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

"$@"
status=$?

for log in "$logs"/*; do
	[ -s "$log" ] || continue
	cat "$log" >&2
	[ "$status" -ne 0 ] || status=1
done
exit "$status"
