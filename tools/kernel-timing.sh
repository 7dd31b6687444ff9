#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Compares what page faults, mprotect, fork and munmap cost with the series in kernel-patches/ and
# without it, in memory that nobody watches:
#
#   tools/kernel-timing.sh [OPTION...] [PLAIN PATCHED]
#
# PLAIN and PATCHED are images; without them tools/build-kernel.sh builds both.
#
#   --work DIR    where source, kernels and results are kept; without it build-kernels/
#   --limit N     how many per cent more are too many; without it 1
#
# The emulated processor's counter counts instructions. Whether it does, and whether a number means
# anything, is seen from a second boot of the plain kernel, which has to give the same numbers. Prints
# a table in Markdown. The exit status is 1 if something costs too much more, or if the two boots
# differ by more than half of that. Needs what build-kernel.sh needs, qemu-system-x86,
# busybox-static and cpio; no root.

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8

tools=$PWD/tools/kernels
work=$PWD/build-kernels
limit=1
images=()

# shellcheck source=tools/kernels/say.sh
. "$tools/say.sh"
# shellcheck source=tools/kernels/guest.sh
. "$tools/guest.sh"

while (($# > 0)); do
	case $1 in
	--work | --limit)
		(($# > 1)) || usage
		case $1 in
		--work) work=$2 ;;
		--limit) limit=$2 ;;
		esac
		shift
		;;
	-*) usage ;;
	*) images+=("$1") ;;
	esac
	shift
done
((${#images[@]} == 0 || ${#images[@]} == 2)) || usage
mkdir -p "$work/timing" || exit
work=$(realpath "$work") || exit
timing=$work/timing
if ((${#images[@]} == 0)); then
	images[0]=$(tools/build-kernel.sh --work "$work" --plain | tail -n 1)
	images[1]=$(tools/build-kernel.sh --work "$work" | tail -n 1)
fi
[[ -f ${images[0]} && -f ${images[1]} ]] || die 'there are not two images'

gcc -O2 -static -D_GNU_SOURCE -o "$timing/kernel_timing" tests/vm/kernel_timing.c || exit
# No randomness, neither in addresses nor in the time.
cat >"$timing/script" <<'END'
echo 0 >/proc/sys/kernel/randomize_va_space
echo 16 >/proc/sys/vm/nr_hugepages
/kernel_timing
END
guest_root "$timing/root" "$timing/script" "$timing/kernel_timing" || exit

# measure NAME IMAGE: without erms clearing a page takes an eighth of the instructions, and leaves
# less for others to hide behind.
measure() {
	guest "$timing/root" "$2" "$timing/$1" 900 -m 512M -smp 1 -cpu max,erms=off \
		-accel tcg,thread=single -icount shift=0,sleep=off -rtc base=2020-01-01,clock=vm ||
		die "the machine did not end, see $timing/$1"
	! grep '^kernel_timing:' "$timing/$1" || die 'not all was measured'
	grep '|' "$timing/$1" >"$timing/$1.numbers"
}

measure plain "${images[0]}"
measure again "${images[0]}"
measure patched "${images[1]}"

paste -d '|' "$timing/plain.numbers" "$timing/patched.numbers" "$timing/again.numbers" |
	awk -F '|' -v limit="$limit" '
	BEGIN {
		print "| instructions | plain | patched | patched / plain |"
		print "|---|---:|---:|---:|"
	}
	{
		ratio = $5 / $2
		apart = $8 > $2 ? $8 / $2 : $2 / $8
		printf "| %s | %.1f | %.1f | %.4f |\n", $1, $2, $5, ratio
		if ($1 != $4 || $1 != $7)
			broken = 1
		if (ratio > worst)
			worst = ratio
		if (apart > spread)
			spread = apart
	}
	END {
		printf "\nThe most: %+.2f %%. The same kernel, booted twice: %.2f %% apart at most.\n",
			(worst - 1) * 100, (spread - 1) * 100
		exit broken || !NR || worst > 1 + limit / 100 || spread > 1 + limit / 200
	}'
