#!/bin/sh
# SPDX-License-Identifier: MIT
#
# yama.sh PROGRAMS: in a virtual machine, as root: what record says where the security module yama
# keeps processes of one user from attaching to each other. Ends with 0 if it is the reason and the
# way out, with 77 if there is no yama.

programs=$1
scope=/proc/sys/kernel/yama/ptrace_scope
failed=0

# nobody COMMAND...
nobody() {
	"$programs/launch" --uid 65534 --seconds 60 "$@"
}

# expect STATUS TEXT COMMAND...: as it ends, and what it says.
expect() {
	wanted=$1 text=$2
	shift 2
	"$@" >said 2>&1
	status=$?
	if [ $status -ne "$wanted" ] || ! grep -q "$text" said; then
		echo "yama $(cat $scope): $*: ended with $status, and said:"
		cat said
		failed=1
	fi
}

if [ ! -w $scope ]; then
	echo "there is no yama"
	exit 77
fi
before=$(cat $scope)
folder=$PWD/yama-$$
mkdir "$folder" && chmod 777 "$folder" && cd "$folder" || exit 1
nobody "$programs/writer" once >writer.out &
for _ in $(seq 100); do
	[ -s writer.out ] && break
	sleep 0.1
done
writer=$(pidof writer)
record="$programs/writewatch record -t 200ms"

# shellcheck disable=SC2086 # a command
{
	echo 0 >$scope
	expect 0 intervals nobody $record -o 0 "$writer"
	echo 1 >$scope
	expect 1 'ptrace_scope is 1.*ancestors.*CAP_SYS_PTRACE' nobody $record -o 1 "$writer"
	expect 7 intervals nobody $record -o own -- "$programs/writer" exit
	expect 0 intervals $record -o root "$writer"
	echo 2 >$scope
	expect 1 'ptrace_scope is 2: it takes CAP_SYS_PTRACE' nobody $record -o 2 "$writer"
	expect 0 intervals $record -o root-2 "$writer"
}

echo "$before" >$scope
kill "$writer"
wait
cd / && rm -rf "$folder"
exit $failed
