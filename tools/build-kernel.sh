#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Builds the small kernel that the series in kernel-patches/ is tested with:
#
#   tools/build-kernel.sh [OPTION...]
#
#   --debug       the flavour that watches itself: KASAN, lockdep and others
#   --plain       without the series, to compare with
#   --config FILE options on top, as in kernel-patches/test.config
#   --work DIR    where source and kernels are kept; without it build-kernels/
#   --source DIR  this source instead of Debian's; it is copied, not changed
#
# The source is that of Debian's package linux-source-6.1, whatever version the archive has. The last
# line printed is the path of the image; beside it are its configuration and, as "selftest", what the
# series brings to test it. It is kept by what went into it, so that nothing is built twice. Needs apt,
# patch, gcc, make, flex, bison, bc, libelf-dev, xz-utils; no root.

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8

tools=$PWD/tools/kernels
patches=$PWD/kernel-patches
work=$PWD/build-kernels
flavour='test'
series=$patches/series
source=
extra=

# shellcheck source=tools/kernels/say.sh
. "$tools/say.sh"
# shellcheck source=tools/kernels/packages.sh
. "$tools/packages.sh"
# shellcheck source=tools/kernels/source.sh
. "$tools/source.sh"

while (($# > 0)); do
	case $1 in
	--debug) flavour=debug ;;
	--plain) series=/dev/null ;;
	--work | --source | --config)
		(($# > 1)) || usage
		case $1 in
		--work) work=$2 ;;
		--source) source=$2 ;;
		--config) extra=$(realpath "$2") || exit ;;
		esac
		shift
		;;
	*) usage ;;
	esac
	shift
done
mkdir -p "$work" && work=$(cd "$work" && pwd) || die "cannot write to $work"
[[ $(uname -m) == x86_64 ]] || die 'this is for x86-64'
for tool in gcc make patch flex bison bc xz tar sha256sum; do
	command -v "$tool" >/dev/null || die "$tool is missing"
done

configs() {
	printf '%s\n' "$patches/test.config"
	[[ $flavour != debug ]] || printf '%s\n' "$patches/debug.config"
	[[ -z $extra ]] || printf '%s\n' "$extra"
}

# What the image depends on; of the source its name, which has the version.
key() {
	{
		printf '%s\n' "${source:-${archive#"$work/"}}" "$flavour"
		gcc --version | head -n 1
		mapfile -t files < <(configs && patch_files "$series")
		cat "${files[@]}"
	} | sha256sum | cut -c1-16
}

# build_selftest FILE: the plain kernel has none.
build_selftest() {
	local file=$tree/tools/testing/selftests/vm/pagemap_scan.c

	[[ -f $file ]] || return 0
	make -s -C "$tree" headers && gcc -O2 -static -isystem "$tree/usr/include" -o "$1" "$file"
}

find_archive || die 'cannot fetch linux-source-6.1 from the package archive'
name=$flavour
[[ $series != /dev/null ]] || name+=-plain
image=$work/kernels/$name-$(key)/bzImage
if [[ ! -f $image ]]; then
	# Two of these may want the same kernel at the same time.
	exec 9>"$work/build-kernel.lock"
	flock 9
fi
if [[ ! -f $image ]]; then
	tree=$work/kernels/tree-$name
	began=$SECONDS
	mkdir -p "${image%/*}" || exit
	log=${image%/*}/build.log
	say "building Linux 6.1, $name (log: $log)"
	mapfile -t fragments < <(configs)
	{
		unpack_source "$tree" && apply_series "$tree" "$series" &&
			configure "$tree" "$tree" "${fragments[@]}"
	} >"$log" 2>&1 ||
		die "the source cannot be prepared: $(tail -n 3 "$log")"
	{ make -s -C "$tree" -j"$(nproc)" bzImage && build_selftest "${image%/*}/selftest"; } \
		>>"$log" 2>&1 || die "the build failed: $(tail -n 5 "$log")"
	cp "$tree/.config" "${image%/*}/config" && cp "$tree/System.map" "${image%/*}" &&
		make -s -C "$tree" kernelrelease >"${image%/*}/release" &&
		mv "$tree/arch/x86/boot/bzImage" "$image" && rm -rf "$tree"
	say "took $((SECONDS - began)) s"
fi
printf '%s\n' "$image"
