#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Checks the series in kernel-patches/ for what the kernel's maintainers ask of patches:
#
#   tools/check-series.sh [OPTION...] [STEP...]
#
# The steps, all of them by default, are
#
#   apply       git am, and patch without fuzz, with the same result
#   checkpatch  the kernel's own checkpatch.pl --strict; what it finds has to be in
#               kernel-patches/accepted.txt, where the reason is
#   sparse      nothing that sparse did not say of these files before, or that is in there
#   warnings    nor the compiler with W=1
#   prefixes    each patch on top of those before it builds, and boots
#   configs     it builds without what it needs or deals with, for 32 bits, and for arm64
#
#   --work DIR    where source and builds are kept; without it build-kernels/
#   --source DIR  this source instead of Debian's; it is copied, not changed
#   --only REGEX  of prefixes and configs only those whose name it matches
#
# Prints a line for each check, and in the last line how many there were. Needs what build-kernel.sh
# needs, git, perl, sparse, qemu-system-x86, busybox-static, cpio and gcc-aarch64-linux-gnu; no root.

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8

tools=$PWD/tools/kernels
patches=$PWD/kernel-patches
work=$PWD/build-kernels
source=
only=.
all_steps='apply checkpatch sparse warnings prefixes configs'
steps=()
passed=0
failed=0

# shellcheck source=tools/kernels/say.sh
. "$tools/say.sh"
# shellcheck source=tools/kernels/packages.sh
. "$tools/packages.sh"
# shellcheck source=tools/kernels/source.sh
. "$tools/source.sh"
# shellcheck source=tools/kernels/guest.sh
. "$tools/guest.sh"
# shellcheck source=tools/kernels/series.sh
. "$tools/series.sh"

while (($# > 0)); do
	case $1 in
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
	*)
		[[ " $all_steps " == *" $1 "* ]] || usage
		steps+=("$1")
		;;
	esac
	shift
done
((${#steps[@]} > 0)) || read -ra steps <<<"$all_steps"
mkdir -p "$work/series/logs" || exit
work=$(realpath "$work") || exit
tree=$work/series/tree
out=$work/series/out
logs=$work/series/logs
for tool in git perl sparse qemu-system-x86_64 busybox cpio aarch64-linux-gnu-gcc; do
	command -v "$tool" >/dev/null || die "$tool is missing"
done

# result STATUS STEP WHAT [NOTE]
result() {
	if (($1 == 0)); then
		passed=$((passed + 1))
		printf 'ok      %-11s %s%s\n' "$2" "$3" "${4:+ ($4)}"
	else
		failed=$((failed + 1))
		printf 'not ok  %-11s %s%s\n' "$2" "$3" "${4:+ ($4)}"
	fi
}

find_archive || die 'cannot fetch linux-source-6.1 from the package archive'
exec 9>"$work/series/lock"
flock 9
prepare_tree || die 'the source cannot be prepared'
for step in "${steps[@]}"; do
	[[ $step == apply ]] || need_series
	"check_$step"
done
printf '%d checks, %d failed\n' $((passed + failed)) "$failed"
((failed == 0))
