#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Tests launch, which tools/kernels.sh relies on: launch.sh LAUNCH. Prints TAP.

launch=$1
backends=$(dirname "$launch")/backends
number=0

# check NAME EXPECTED ACTUAL
check() {
	number=$((number + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '%s\n' "expected: $2" "actual: $3" | sed 's/^/# /'
	fi
}

skip() {
	number=$((number + 1))
	echo "ok $number - $1 # SKIP $2"
}

unset WRITEWATCH_BACKEND
echo "TAP version 13"
"$launch" sh -c true 2>/dev/null
check "a program that is not there" 125 $?
"$launch" /bin/sh -c 'exit 7'
check "the status of the program" 7 $?
"$launch" /bin/sh -c 'kill -9 $$'
check "the signal that ended it" 137 $?
check "a limit for the program" 124 "$("$launch" --seconds 1 /bin/sleep 60 2>/dev/null; echo $?)"
check "a limit for its children" "went on" \
	"$("$launch" --test-seconds 1 /bin/sh -c '/bin/sleep 60; echo went on' 2>/dev/null)"
check "no huge pages" 0 \
	"$("$launch" --no-huge-pages /bin/sed -n 's/^THP_enabled:[[:space:]]*//p' /proc/self/status)"
check "userfaultfd is denied" "" \
	"$("$launch" --deny-userfaultfd "$backends" | grep -E '^backend (pagemap-scan|uffd)')"
check "and is not otherwise" "backend" "$("$launch" "$backends" | grep -oE '^backend')"
check "one processor" 0 \
	"$("$launch" --cpus 1 /bin/sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)"
if [ "$(id -u)" -eq 0 ]; then
	check "another user" 65534 "$("$launch" --uid 65534 /bin/sh -c 'id -u')"
	check "nor can root open the device" "closed" "$("$launch" --deny-userfaultfd /bin/sh -c \
		'(: <>/dev/userfaultfd) 2>/dev/null && echo open || echo closed')"
else
	skip "another user" "needs root"
	skip "nor can root open the device" "needs root"
fi
echo "1..$number"
