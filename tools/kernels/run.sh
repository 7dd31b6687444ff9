#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs a plan of tools/kernels.sh, in a virtual machine (busybox) or where it is called:
#
#   run.sh PROGRAMS PLAN [CGROUP]
#
# PROGRAMS is a directory, CGROUP a control group whose memory is taken back while a line of the
# plan asks for memory pressure. Prints what the programs print, between lines that begin with @@;
# report.py reads them. A line of the plan is
#
#   name|options of launch|roomy, calm, swap, or skip:why not|settings|how|backend|programs
#
# Settings are VARIABLE=VALUE, for the environment; with a dot in its name the variable is one of the
# kernel, and is put back. How is forced, auto where the automatic choice has to be that backend, or any
# where it may be another. Programs with an @ at the end are told to use the backend, whatever would be
# chosen.

programs=$1 plan=$2 cgroup=${3:-}

now() {
	cut -d. -f1 /proc/uptime
}

swapped() {
	awk '$1 == "pswpout" {out = $2} $1 == "pswpin" {back = $2} END {print out, back}' /proc/vmstat
}

# The messages of the kernel since the last call, or why they cannot be read.
seen=0
messages() {
	echo "@@ messages"
	if ! text=$(dmesg ${cgroup:+-c} 2>&1); then
		echo "@@ unread $(printf '%s\n' "${text:-dmesg failed}" | tail -n 1)"
	else
		printf '%s\n' "$text" | tail -n "+$((seen + 1))"
		[ -n "$cgroup" ] || seen=$(printf '%s\n' "$text" | wc -l)
	fi
	echo "@@ end messages"
}

command_of() {
	case $1 in
	backends) echo "$programs/backends $([ "$how" = any ] || echo "$backend")" ;;
	demo) echo "$programs/writewatch demo --size 16M --seconds 3" ;;
	probe) echo "/bin/sh $programs/probe.sh $programs $([ "$how" = auto ] && echo "$backend")" ;;
	selftest) echo "$programs/selftest" ;;
	real | record | yama) echo "/bin/sh $programs/$1.sh $programs" ;;
	fuzz-replay@) echo "$programs/test-fuzz-replay $programs/../corpus" ;;
	*) echo "$programs/test-${1%@} -j1 --verbose --color=never" ;;
	esac
}

# run NAME: returns its exit status.
run() {
	began=$(now)
	limits="--seconds ${WW_PROGRAM_LIMIT:-300} --test-seconds ${WW_TEST_LIMIT:-120}"
	unset WRITEWATCH_BACKEND
	case $how$1 in
	forced* | *@) export WRITEWATCH_BACKEND="$backend" ;;
	esac
	echo "@@ begin ${1%@}"
	# shellcheck disable=SC2046,SC2086 # lists of words
	"$programs/launch" $options $limits $(command_of "$1") </dev/null 2>&1
	status=$?
	# The mark begins a line, whatever the program ended with.
	printf '\n@@ end %s %d %d\n' "${1%@}" $status $(($(now) - began))
	return $status
}

run_programs() {
	for program in $names; do
		if ! run "$program" && [ "$program" = backends ] && [ "$status" -eq 3 ]; then
			echo "@@ unusable"
			return
		fi
	done
}

run_with_swap() {
	swapon "$WW_SWAP"
	run_programs
	swapoff "$WW_SWAP"
}

run_under_pressure() {
	swapon "$WW_SWAP"
	before=$(swapped)
	options="$options --cgroup $cgroup"
	"$programs/reclaim" "$cgroup" "${WW_RECLAIM_MS:-200}" </dev/null 2>&1 &
	pressure=$!
	run_programs
	kill $pressure
	wait $pressure 2>/dev/null
	echo "@@ swapped $before $(swapped)"
	swapoff "$WW_SWAP"
}

# set_kernel SETTING: and how it is put back, in undo.
set_kernel() {
	undo="$undo ${1%%=*}=$(sysctl -n "${1%%=*}")"
	sysctl -w "$1" >/dev/null || echo "@@ trouble not set: $1"
}

messages
while IFS='|' read -r name options memory settings how backend names <&3; do
	echo "@@ config $name"
	# The next line has other settings.
	(
		undo=
		for setting in $settings; do
			case ${setting%%=*} in
			*.*) set_kernel "$setting" ;;
			*) export "${setting?}" ;;
			esac
		done
		case $memory in
		roomy) run_programs ;;
		calm) run_with_swap ;;
		swap) run_under_pressure ;;
		skip:*) echo "@@ skip ${memory#skip:}" ;;
		esac
		for setting in $undo; do
			sysctl -w "$setting" >/dev/null
		done
	)
	messages
done 3<"$plan"
echo "@@ done"
