#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a test under valgrind and fails if any of its processes has anything to report. The exit code
# alone tells nothing: Criterion runs each test in a child and does not look at how that ends.
# lax-ioctls: valgrind does not know the ioctls of userfaultfd.
# vex-iropt-register-updates: a handler that mends a fault returns to the instruction that caused it,
# whose registers would be out of date.
# vgdb=no: its files are in the way of tests that fork or change their user.
set -u

logs=$(mktemp -d "$PWD/valgrind.XXXXXX") || exit 99
trap 'rm -rf "$logs"' EXIT
trap 'exit 99' HUP INT TERM

valgrind --quiet --trace-children=yes --sim-hints=lax-ioctls --vgdb=no \
	--vex-iropt-register-updates=allregs-at-mem-access \
	--leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--log-file="$logs/%p" "$@"
status=$?

for log in "$logs"/*; do
	# System calls that it does not know, userfaultfd(2) among them, fail: not a mistake.
	sed '/WARNING: unhandled .* syscall: [0-9]*$/,+4d' "$log" > "$log.left"
	[ -s "$log.left" ] || continue
	cat "$log.left" >&2
	[ "$status" -ne 0 ] || status=1
done
exit "$status"
