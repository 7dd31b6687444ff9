#!/bin/sh
# SPDX-License-Identifier: MIT
#
# probe.sh PROGRAMS [BACKEND]: where busybox is all there is, a short version of
# tests/command/probe.py: what 'writewatch probe' tells, as text and as JSON, and whether the automatic
# choice is the backend. Ends with 0 if so, with 77 if only the text could be looked at.

backend=${2:-.*}
names='pagemap-scan uffd-thread uffd-sigbus mprotect soft-dirty'
command="$1/writewatch probe"
unset WRITEWATCH_BACKEND

fail() {
	printf '%s\n' "$*" "$text" "$json"
	exit 1
}

json=
text=$($command 2>&1) || fail "the text ended with $?"
for name in $names; do
	printf '%s\n' "$text" | grep -qE "^$name +(usable|not usable: .+)" || fail "nothing of $name"
done
chosen=$(printf '%s\n' "$text" | sed -n 's/^choice  *\([^;]*\);.*/\1/p')
printf '%s\n' "$chosen" | grep -qx -- "$backend" || fail "the choice is $chosen, not $backend"
[ "$(printf '%s\n' "$text" | sed -n 's/ *usable, and the automatic choice$//p')" = "$chosen" ] ||
	fail "$chosen is not said to be the choice"
usable=$(printf '%s\n' "$text" | sed -nE 's/^([a-z-]+) +usable(,.*)?$/\1/p')

json=$($command --json 2>&1)
status=$?
if [ $status -eq 1 ] && printf '%s\n' "$json" | grep -q jansson; then
	echo "the choice is $chosen; JSON is not built in"
	exit 77
fi
[ $status -eq 0 ] || fail "JSON ended with $status"
printf '%s\n' "$json" | grep -q "\"choice\": \"$chosen\"" || fail "JSON has another choice"
in_json=$(printf '%s\n' "$json" | awk -F '"' '
	$2 == "name" {name = $4}
	$2 == "usable" && $3 ~ /true/ {print name}')
[ "$in_json" = "$usable" ] || fail "usable in JSON: $in_json"
echo "the choice is $chosen"
