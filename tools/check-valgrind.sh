#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a test under valgrind and fails if any of its processes has anything to report. The exit code
# alone tells nothing: Criterion runs each test in a child and does not look at how that ends.
# lax-ioctls: valgrind does not know the ioctls of userfaultfd.
set -u

logs=$(mktemp -d "$PWD/valgrind.XXXXXX") || exit 99
trap 'rm -rf "$logs"' EXIT
trap 'exit 99' HUP INT TERM

valgrind --quiet --trace-children=yes --sim-hints=lax-ioctls \
	--leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--log-file="$logs/%p" "$@"
status=$?

for log in "$logs"/*; do
	# It does not know userfaultfd(2), for which the library then finds another way.
	sed '/unhandled amd64-linux syscall: 323$/,+4d' "$log" > "$log.left"
	[ -s "$log.left" ] || continue
	cat "$log.left" >&2
	[ "$status" -ne 0 ] || status=1
done
exit "$status"
