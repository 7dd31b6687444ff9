#!/bin/sh
# SPDX-License-Identifier: MIT
#
# record.sh PROGRAMS: in a virtual machine, where busybox is all there is, a short version of
# tests/command/record.py: records what the program "writer" writes, and looks at it with top and
# report. Which way it is tracked is told by all of them, and is the one that 'writewatch probe' finds
# usable. Ends with 0 if the pages are those that were written.

programs=$1
pages=256
page=4096
processes=

end() {
	# shellcheck disable=SC2086 # a list
	kill -9 $processes 2>/dev/null
	cd / && rm -rf "$folder"
	exit "$1"
}

fail() {
	echo "$*"
	head -n 12 wanted found recorded ./*.err 2>/dev/null
	end 1
}

# wait_for WHAT COMMAND...: until it succeeds.
wait_for() {
	what=$1
	shift
	for _ in $(seq 300); do
		"$@" 2>/dev/null && return
		sleep 0.1
	done
	fail "waited in vain for $what"
}

# expect TEXT FILE
expect() {
	grep -q "$1" "$2" || fail "$2 does not say: $1"
}

# The pages from the address on that are in the ranges which recording-print printed.
recorded_from() {
	first=$((0x$1)) end=$((0x$1 + pages * page))
	while read -r word from to; do
		[ "$word" = range ] || continue
		from=$((0x$from)) to=$((0x$to))
		for at in $(seq $((from > first ? from : first)) $page $(((to < end ? to : end) - 1))); do
			echo $(((at - first) / page))
		done
	done <recorded
}

folder=$PWD/record-$$
mkdir "$folder" && cd "$folder" || exit 1
"$programs/writewatch" probe >probe
if grep -q '^pagemap-scan *usable' probe; then
	way=exactly
else
	way='by soft-dirty bits'
fi
"$programs/writer" once >addresses &
writer=$!
processes=$writer
wait_for 'the writer' [ -s addresses ]
read -r shared private <addresses

# The writer writes every third page of both mappings. All of it is one interval: soft-dirty bits miss what is written while they are read and cleared.
"$programs/writewatch" record -i 10m -o recording "$writer" >record.out 2>record.err &
record=$!
processes="$processes $record"
wait_for 'the recording' [ -s recording ]
kill -USR1 "$writer"
wait_for 'the writes' grep -q 'done' addresses
kill -INT "$record"
wait "$record" || fail "record ended with $?"
"$programs/recording-print" recording >recorded || fail 'the recording cannot be read'
seq 0 3 $((pages - 1)) >wanted
for address in $shared $private; do
	recorded_from "$address" >found
	cmp -s wanted found || fail "not what was written from $address on"
done

"$programs/writewatch" report recording >report || fail "report ended with $?"
expect "^tracked  *$way" report
"$programs/writewatch" top -n 2 -d 0.2 "$writer" >top 2>top.err || fail "top ended with $?"
expect "$way" top
[ "$(grep -c TracerPid:.0 "/proc/$writer/status")" = 1 ] || fail 'somebody traces it still'
! grep -q 'VmFlags:.* uw' "/proc/$writer/smaps" || fail 'somebody watches it still'
echo "tracked $way: $(grep -c range recorded) ranges"
end 0
