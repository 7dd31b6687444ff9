#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs the tests of memory management that Linux 6.1 itself has (tools/testing/selftests/vm) without
# the series in kernel-patches/ and with it:
#
#   tools/kernel-selftests.sh [OPTION...] [PLAIN PATCHED]
#
# PLAIN and PATCHED are images; without them tools/build-kernel.sh builds both.
#
#   --work DIR    where source, kernels and results are kept; without it build-kernels/
#   --source DIR  this source instead of Debian's; it is copied, not changed
#   --only REGEX  only the tests whose command it matches
#   --results     only prints the results of the last run
#
# Prints a table in Markdown. The exit status is 1 if something passes without the series and does
# not with it. Needs what build-kernel.sh needs, rsync, libcap-dev, libnuma-dev, qemu-system-x86,
# busybox-static and cpio; no root.

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8

tools=$PWD/tools/kernels
# shellcheck disable=SC2034 # for source.sh
patches=$PWD/kernel-patches
work=$PWD/build-kernels
source=
only=.
results=
images=()

# What is run; /huge is of hugetlbfs. What goes on for ever has to be alive after that many seconds.
read -r -d '' commands <<'END'
hugepage-mmap
hugepage-shm
map_hugetlb
hugepage-mremap /huge/mremap
hugepage-vmemmap
hugetlb-madvise /huge/madvise
map_fixed_noreplace
userfaultfd anon 20 4
userfaultfd hugetlb 64 4
userfaultfd hugetlb_shared 64 4 /huge/uffd
userfaultfd shmem 20 4
userfaultfd anon:dev 20 4
userfaultfd hugetlb:dev 64 4
userfaultfd hugetlb_shared:dev 64 4 /huge/uffd
userfaultfd shmem:dev 20 4
compaction_test
as-nobody on-fault-limit
map_populate
migration
mlock-random-test
mlock2-tests
mrelease_test
mremap_test
mremap_dontunmap
madv_populate
memfd_secret
thuge-gen
virtual_address_range
va_128TBswitch
ksm_tests -M -p 10
ksm_tests -U
ksm_tests -Z -p 10 -z 0
ksm_tests -Z -p 10 -z 1
ksm_tests -N -m 1
ksm_tests -N -m 0
ksm_tests -C
khugepaged all:anon
khugepaged all:shmem
soft-dirty
split_huge_page_test
gup_test -u
gup_test -ct -F 0x1 0 19 0x1000
protection_keys_64
for-ever 20 transhuge-stress 64
pagemap_scan
END

# shellcheck source=tools/kernels/say.sh
. "$tools/say.sh"
# shellcheck source=tools/kernels/packages.sh
. "$tools/packages.sh"
# shellcheck source=tools/kernels/source.sh
. "$tools/source.sh"
# shellcheck source=tools/kernels/guest.sh
. "$tools/guest.sh"

while (($# > 0)); do
	case $1 in
	--results) results=1 ;;
	--work | --source | --only)
		(($# > 1)) || usage
		case $1 in
		--work) work=$2 ;;
		--source) source=$(realpath "$2") || exit ;;
		--only) only=$2 ;;
		esac
		shift
		;;
	-*) usage ;;
	*) images+=("$(realpath "$1")") || exit ;;
	esac
	shift
done
((${#images[@]} == 0 || ${#images[@]} == 2)) || usage
mkdir -p "$work/selftests" || exit
work=$(realpath "$work") || exit
own=$work/selftests
tree=$own/tree

# Against the headers of the source they come with; the one that the series adds against its own.
# What was built of the same is kept.
build() {
	local vm=tools/testing/selftests/vm key

	find_archive || die 'cannot fetch linux-source-6.1 from the package archive'
	key="${archive:-$source} $(series_key)"
	[[ $(cat "$own/built" 2>/dev/null) != "$key" ]] || return 0
	rm -f "$own/built"
	rm -rf "$own/plain" "$own/patched" && unpack_source "$tree" || return
	make -s -C "$tree" O="$own/plain" headers &&
		make -s -C "$tree/$vm" OUTPUT="$own/plain" top_srcdir="$tree" -k \
			KHDR_INCLUDES="-isystem $own/plain/usr/include"
	[[ -x $own/plain/userfaultfd ]] || return
	apply_series "$tree" "$patches/series" || return
	make -s -C "$tree" O="$own/patched" headers &&
		make -s -C "$tree/$vm" OUTPUT="$own/patched" top_srcdir="$tree" \
			KHDR_INCLUDES="-isystem $own/patched/usr/include" "$own/patched/pagemap_scan" &&
		cp "$own/patched/pagemap_scan" "$own/plain" && echo "$key" >"$own/built"
}

write_script() {
	cat <<'END'
cd /
mkdir /huge && mount -t hugetlbfs none /huge
mount -t debugfs none /sys/kernel/debug 2>/dev/null
echo 268435456 >/proc/sys/kernel/shmmax
echo 1G >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
as_nobody() {
	su -s /bin/sh nobody -c "$*"
}
for_ever() {
	seconds=$1
	shift
	timeout "$seconds" "$@"
	[ $? -eq 143 ]
}
run() {
	echo "@@ begin $*"
	# What one of them leaves behind must not be in the way of another.
	rm -f /huge/*
	echo 128 >/proc/sys/vm/nr_hugepages
	prefix=
	case $1 in
	as-nobody) prefix=as_nobody; shift ;;
	for-ever) prefix="for_ever $2"; shift 2 ;;
	esac
	program=/$1
	shift
	if [ -z "$prefix" ]; then
		timeout -s KILL 240 "$program" "$@" 2>&1
	else
		$prefix "$program" "$@" 2>&1
	fi
	status=$?
	echo
	echo "@@ end $status"
}
END
	grep -E "$only" <<<"$commands" | sed 's/^/run /'
}

# run_in NAME IMAGE: two nodes and three processors, as a few of them want that.
run_in() {
	guest "$own/root" "$2" "$own/$1.log" 3000 -m 4G -smp 3,sockets=3 -accel tcg,thread=multi \
		-object memory-backend-ram,id=a,size=2G -object memory-backend-ram,id=b,size=2G \
		-numa node,cpus=0-1,memdev=a -numa node,cpus=2,memdev=b ||
		say "the machine did not end, see $own/$1.log"
}

# results_of NAME: lines "COMMAND|RESULT".
results_of() {
	awk '
	/^@@ begin / {command = substr($0, 10); ok = bad = 0}
	/^ok [0-9]/ && !/# SKIP/ {ok++}
	/^not ok [0-9]/ {bad++}
	/^@@ end / {
		result = $3 == 0 ? "pass" : $3 == 4 ? "skip" : "fail (" $3 ")"
		if (ok || bad)
			result = result ", " ok " of " ok + bad
		print command "|" result
	}' "$own/$1.log"
	grep -cE 'WARNING|BUG:|Oops|Call Trace|soft lockup' "$own/$1.log.console" |
		sed 's/^0$/pass/;s/^/no warnings of the kernel|/'
}

if [[ -z $results ]]; then
	if ((${#images[@]} == 0)); then
		images[0]=$(tools/build-kernel.sh --work "$work" --plain | tail -n 1)
		images[1]=$(tools/build-kernel.sh --work "$work" | tail -n 1)
	fi
	[[ -f ${images[0]} && -f ${images[1]} ]] || die 'there are not two images'
	build >"$own/build.log" 2>&1 || die "the tests cannot be built, see $own/build.log"
	write_script >"$own/script"
	mapfile -t programs < <(find "$own/plain" -maxdepth 1 -type f -executable ! -name '*_32')
	# libgcc_s is loaded by what ends a thread.
	guest_root "$own/root" "$own/script" "${programs[@]}" &&
		cp -L "$(gcc -print-file-name=libgcc_s.so.1)" "$own/root/lib" || exit
	run_in plain "${images[0]}"
	run_in patched "${images[1]}"
fi
join -t '|' -a 1 -a 2 -e 'did not end' -o 0,1.2,2.2 <(results_of plain | sort -t '|' -k 1,1) \
	<(results_of patched | sort -t '|' -k 1,1) | awk -F '|' '
	BEGIN {
		print "| test | without the series | with it |"
		print "|---|---|---|"
	}
	{
		printf "| `%s` | %s | %s |\n", $1, $2, $3
		if ($2 ~ /^pass/ && $3 !~ /^pass/)
			worse++
	}
	END {
		printf "\n%d tests, %d of them pass without the series only.\n", NR, worse
		exit worse > 0 || !NR
	}'
