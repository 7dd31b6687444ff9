#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the fuzzer in a virtual machine (busybox), in the place of run.sh:
#
#   fuzz.sh PROGRAMS PLAN CGROUP
#
# There is no plan; WW_SECONDS and ww_seed, of the kernel's command line, say for how long, and from
# which seed on. Prints what the fuzzer prints, and counters of the kernel from before and after,
# each time with every process gone and the caches empty.

programs=$1 cgroup=$3
mm=/sys/kernel/mm

# Often and at once: huge pages, merging, waits that are too long. What is missing will be seen in
# the counters.
prepare() {
	echo 0 >$mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
	echo 0 >$mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs
	echo 4096 >$mm/transparent_hugepage/khugepaged/pages_to_scan
	echo advise >$mm/transparent_hugepage/shmem_enabled
	echo "${ww_hugepages:-64}" >/proc/sys/vm/nr_hugepages
	[ ! -w /proc/sys/kernel/hung_task_timeout_secs ] ||
		echo 60 >/proc/sys/kernel/hung_task_timeout_secs
}

# Of threads that ask for it, one allocation in four fails, and nothing is said about it.
starve() {
	mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
	for faults in /sys/kernel/debug/failslab /sys/kernel/debug/fail_page_alloc; do
		# The test flavour has none.
		[ -d $faults ] || return
		echo Y >"$faults/task-filter"
		echo N >"$faults/ignore-gfp-wait"
		echo 0 >"$faults/verbose"
		echo 1 >"$faults/interval"
		echo 2147483647 >"$faults/times"
		echo 25 >"$faults/probability"
	done
	echo N >"$faults/ignore-gfp-highmem"
	echo 0 >"$faults/min-order"
}

# What works on the pages of all processes, but for swapping, which reclaim has done.
disturb() {
	while :; do
		echo 1 >/proc/sys/vm/compact_memory
		echo 1 >$mm/ksm/run
		sleep 2
		echo "@@ merged $(cat $mm/ksm/pages_sharing)"
		echo 3 >/proc/sys/vm/drop_caches
		sleep 1
		# Takes apart what was merged.
		echo 2 >$mm/ksm/run
	done
}

fuzz() {
	swapon "$WW_SWAP"
	"$programs/reclaim" "$cgroup" 1000 </dev/null &
	pressure=$!
	disturb &
	disturber=$!
	# Back from a call for which memory ran out, a thread is killed if what it has registered
	# for rseq is not there.
	GLIBC_TUNABLES=glibc.pthread.rseq=0 \
		"$programs/launch" --cgroup "$cgroup" --seconds $(($1 + 300)) \
		"$programs/scan_fuzz" "$1" "${ww_seed:--}" strict </dev/null
	echo "@@ status $?"
	kill $pressure $disturber
	wait $pressure $disturber 2>/dev/null
}

# counters WHEN: an entry of the swap that is nobody's keeps swapoff from ending.
counters() {
	echo 2 >$mm/ksm/run
	sleep 5
	echo "@@ counter $1 SwapUsed $(awk '$1 == "SwapTotal:" {n += $2}
		$1 == "SwapFree:" {n -= $2} END {print n}' /proc/meminfo)"
	swapoff "$WW_SWAP" &
	sleeping=60
	while kill -0 $! 2>/dev/null && [ $sleeping -gt 0 ]; do
		sleep 1
		sleeping=$((sleeping - 1))
	done
	grep -q "^$WW_SWAP" /proc/swaps && echo "@@ trouble the swap is still in use"
	sync
	for _ in 1 2 3; do
		echo 3 >/proc/sys/vm/drop_caches
		echo 1 >/proc/sys/vm/compact_memory
		sleep 1
	done
	awk -v when="$1" '{sub(":", "", $1); print "@@ counter", when, $1, $2}' \
		/proc/meminfo /proc/vmstat
}

prepare
starve
fuzz "${ww_warm:-20}"
counters before
fuzz "$WW_SECONDS"
counters after
echo "@@ done"
