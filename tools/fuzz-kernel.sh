#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Fuzzes the kernel with the series of kernel-patches/, in a virtual machine:
#
#   tools/fuzz-kernel.sh [OPTION...]
#
#   --minutes N   how long; 10 by default
#   --seed N      where the fuzzer starts; something else every time by default
#   --test        the kernel's test flavour instead of the one that watches itself
#   --image FILE  this kernel, which was built already
#   --build DIR   where the programs are built; without it they are built in build-kernels/build
#   --work DIR    where kernels and logs are kept; without it build-kernels/
#
# Fails if the fuzzer finds a violation (tests/vm/scan_fuzz.c), if the kernel complains, if
# something has not come back after all processes are gone, if what should have disturbed the fuzzed
# memory never happened, or if memory hardly ever ran out. The last line is PASS or FAIL, and the
# exit status says the same. Needs what tools/build-kernel.sh and tools/kernels.sh need.

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin

tools=$PWD/tools/kernels
work=$PWD/build-kernels
minutes=10
seed=$RANDOM
flavour=--debug
image=
build=

# Counters that have to come back, and by how many kB or pages they may differ: the machine has
# other processes, and the kernel frees some things late.
same='PageTables 64
AnonPages 1024
AnonHugePages 0
Shmem 64
Mlocked 0
Unevictable 64
SwapUsed 1024
SwapCached 0
HugePages_Total 0
HugePages_Free 0
HugePages_Rsvd 0
HugePages_Surp 0
Slab 98304
nr_page_table_pages 16
nr_isolated_anon 0
nr_isolated_file 0'
# And those that have to grow, as otherwise nothing disturbed the fuzzer.
grown='pswpout pswpin pgmigrate_success compact_isolated numa_hint_faults thp_fault_alloc
thp_collapse_alloc thp_split_pmd thp_split_page'
# Of the kernel's messages, and what they may be about.
trouble='WARNING:|BUG:|Oops|Kernel panic|general protection fault|UBSAN|KASAN:|rcu.*stall'
trouble+='|soft lockup|blocked for more than|Bad (page|rss)|bad page|Out of memory|oom-kill'
trouble+='|possible .* detected|suspicious RCU|inconsistent lock state'
trouble+='|non-zero pgtables|list_(add|del) corruption'

die() {
	printf 'fuzz-kernel: %s\nFAIL\n' "$*"
	exit 1
}

usage() {
	sed -n 's/^# \{0,1\}//;4,/^$/p' "$0" >&2
	exit 2
}

# shellcheck source=tools/kernels/machine.sh
. "$tools/machine.sh"

while (($# > 0)); do
	case $1 in
	--test) flavour= ;;
	--minutes | --seed | --image | --build | --work)
		(($# > 1)) || usage
		declare "${1#--}=$2"
		shift
		;;
	*) usage ;;
	esac
	shift
done
mkdir -p "$work" && work=$(cd "$work" && pwd) || die "cannot write to $work"
logs=$work/logs/fuzz

build_programs() {
	[[ $build ]] && return
	build=$work/build
	if [[ ! -f $build/build.ninja ]]; then
		meson setup "$build" -Dtests=enabled >"$work/build.log" 2>&1 || return
	fi
	ninja -C "$build" tests/vm/{scan_fuzz,reclaim,launch} >"$work/build.log" 2>&1
}

fuzz_initramfs() {
	local root=$logs/root files=("$build"/tests/vm/{scan_fuzz,reclaim,launch})

	rm -rf "$root" && mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,tests,lib} || return
	cp "${files[@]}" "$root/tests" && cp "$(command -v busybox)" "$root/bin/busybox" &&
		cp "$tools/init" "$root/init" && cp "$tools/fuzz.sh" "$root/run.sh" || return
	ldd "${files[@]}" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*[^ :]' | sort -u | xargs cp -Lt "$root/lib"
	ln -s lib "$root/lib64"
	: >"$root/modules.order"
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$logs/initramfs" && rm -r "$root"
}

counter() {
	sed -n "s/^@@ counter $1 $2 //p" "$logs/output"
}

failed=0
fail() {
	printf 'failed: %s\n' "$*"
	failed=1
}

check_counters() {
	local name allowed before after

	while read -r name allowed; do
		before=$(counter before "$name") after=$(counter after "$name")
		printf 'counter %-22s before %9s  after %9s\n' "$name" "${before:-?}" "${after:-?}"
		if [[ -z $before || -z $after ]]; then
			fail "$name is not known"
		elif ((after - before > allowed || before - after > allowed)); then
			fail "$name did not come back"
		fi
	done <<<"$same"
	for name in $grown; do
		before=$(counter before "$name") after=$(counter after "$name")
		printf 'happened %-21s %9d times\n' "$name" $((${after:-0} - ${before:-0}))
		((${after:-0} > ${before:-0})) || fail "$name: it never happened"
	done
	grep -qE '^@@ merged [1-9]' "$logs/output" || fail 'no page was merged'
}

# Of calls for which memory was to run out some have to fail; only debug.config has what it takes.
check_starved() {
	local line times

	[[ $flavour ]] || return 0
	for line in 'starved scans' 'starved userfaultfd' 'count model_starve'; do
		# Of the second run, as all that is reported.
		times=$(grep "^$line " "$logs/output" | sed -n '2s/.* //p')
		((${times:-0} >= minutes * 2)) || fail "$line: ${times:-none} failed by that"
	done
}

report() {
	# Of the second run; the first is there to have everything allocated that stays.
	awk '/^seed/ {n++} n > 1 && /^(seed|count|scans|starved|pages)/' "$logs/output"
	check_counters
	check_starved
	grep -E '^(violation|  before:)|^@@ trouble' "$logs/output" && fail 'see above'
	(($(grep -c '^@@ status 0' "$logs/output") == 2)) || fail 'the fuzzer'
	grep -q '^@@ done' "$logs/output" || fail 'the machine stopped before the end'
	grep -q '^@@ machine 6\.1\.' "$logs/output" || fail 'the machine is another'
	if grep -qE "$trouble" "$logs/console"; then
		grep -nE -A 40 "$trouble" "$logs/console" | head -n 200
		fail 'the kernel complains'
	fi
	printf 'messages and output are in %s\n' "$logs"
}

if [[ -z $image ]]; then
	image=$(tools/build-kernel.sh $flavour --work "$work" | tail -n 1)
fi
[[ -f $image ]] || die 'no kernel'
rm -rf "$logs" && mkdir -p "$logs" && : >"$logs/output" || die "cannot write to $logs"
build_programs || die "the build failed, see $work/build.log"
fuzz_initramfs || die 'cannot make the initramfs'
WW_SECONDS=$((minutes * 60))
# Emulated, with everything checked, starting and ending alone take minutes.
machine_limit=$((WW_SECONDS * 2 + 1200))
# With everything checked the firmware's tables take longer to read than the kernel waits for;
# without noirq the disk would then have no interrupt. With five levels of page tables KASAN
# complains of an interrupt that comes while the processor's features are looked up.
boot "$logs" always "ww_seed=$seed page_poison=1 acpi=noirq" -smp 2,sockets=2 \
	-cpu max,la57=off \
	-object memory-backend-ram,id=m0,size=1G -object memory-backend-ram,id=m1,size=1G \
	-numa node,cpus=0,memdev=m0 -numa node,cpus=1,memdev=m1
report
((failed)) && echo FAIL || echo PASS
exit $failed
