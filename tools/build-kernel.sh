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
# line printed is the path of the image; beside it are its configuration and, as "selftest", what the series
# brings to test it. It is kept by what went into it, so that nothing is built twice. Needs apt, patch,
# gcc, make, flex, bison, bc, libelf-dev, xz-utils; no root.

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

say() {
	printf '# build-kernel: %s\n' "$*" >&2
}

die() {
	printf 'build-kernel: %s\n' "$*" >&2
	exit 1
}

usage() {
	sed -n 's/^# \{0,1\}//;4,/^$/p' "$0" >&2
	exit 2
}

# shellcheck source=tools/kernels/packages.sh
. "$tools/packages.sh"

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

# The archive of the package's source, downloaded.
find_archive() {
	local version directory

	version=$(package_version linux-source-6.1)
	if [[ -z $version ]]; then
		use_private_lists
		version=$(package_version linux-source-6.1)
	fi
	directory=$work/packages/source-6.1_$version
	mkdir -p "$work/packages"
	if [[ -z $version ]] || ! download "$directory" linux-source-6.1; then
		directory=$(printf '%s\n' "$work/packages"/source-6.1_*/root | sort -V | tail -n 1)
		directory=${directory%/root}
		[[ -d $directory ]] || return
		say "the archive cannot be reached, using ${directory##*/}"
	fi
	echo "$directory/root/usr/src/linux-source-6.1.tar.xz"
}

configs() {
	printf '%s\n' "$patches/test.config"
	[[ $flavour != debug ]] || printf '%s\n' "$patches/debug.config"
	[[ -z $extra ]] || printf '%s\n' "$extra"
}

patch_files() {
	sed "s|^|$patches/|" "$series"
}

# What the image depends on; of the source its name, which has the version.
key() {
	{
		printf '%s\n' "${archive:-$source}" "$flavour"
		gcc --version | head -n 1
		mapfile -t files < <(configs && patch_files)
		cat "${files[@]}" tools/build-kernel.sh
	} | sha256sum | cut -c1-16
}

unpack_source() {
	rm -rf "$tree" && mkdir -p "$tree" || return
	if [[ $source ]]; then
		cp -a "$source/." "$tree"
	else
		tar -xf "$archive" -C "$tree" --strip-components=1
	fi
}

apply_series() {
	local file

	while read -r file; do
		patch -d "$tree" -p1 -s --fuzz=0 <"$file" || die "$file does not apply"
	done < <(patch_files)
}

# Every option has to be what the fragments say; one that depends on what is off would just be gone.
check_config() {
	local line gone=0

	while read -r line; do
		case $line in
		CONFIG_*=n) ! grep -q "^${line%=n}=" "$tree/.config" ;;
		CONFIG_*) grep -qxF "$line" "$tree/.config" ;;
		*) continue ;;
		esac || { say "not in the configuration: $line" && gone=1; }
	done < <(configs | xargs cat)
	return $gone
}

configure() {
	mapfile -t fragments < <(configs)
	make -s -C "$tree" tinyconfig &&
		(cd "$tree" && scripts/kconfig/merge_config.sh -m .config "${fragments[@]}") &&
		make -s -C "$tree" olddefconfig && check_config
}

# build_selftest FILE: the plain kernel has none.
build_selftest() {
	local file=$tree/tools/testing/selftests/vm/pagemap_scan.c

	[[ -f $file ]] || return 0
	make -s -C "$tree" headers && gcc -O2 -static -isystem "$tree/usr/include" -o "$1" "$file"
}

archive=
if [[ -z $source ]]; then
	archive=$(find_archive) || die 'cannot fetch linux-source-6.1 from the package archive'
fi
# Two of these may want the same kernel at the same time.
exec 9>"$work/build-kernel.lock"
flock 9
name=$flavour
[[ $series != /dev/null ]] || name+=-plain
image=$work/kernels/$name-$(key)/bzImage
if [[ ! -f $image ]]; then
	tree=$work/kernels/tree-$name
	began=$SECONDS
	mkdir -p "${image%/*}" || exit
	log=${image%/*}/build.log
	say "building Linux 6.1, $name (log: $log)"
	{ unpack_source && apply_series && configure; } >"$log" 2>&1 ||
		die "the source cannot be prepared: $(tail -n 3 "$log")"
	{ make -s -C "$tree" -j"$(nproc)" bzImage && build_selftest "${image%/*}/selftest"; } \
		>>"$log" 2>&1 || die "the build failed: $(tail -n 5 "$log")"
	cp "$tree/.config" "${image%/*}/config" && cp "$tree/System.map" "${image%/*}" &&
		make -s -C "$tree" kernelrelease >"${image%/*}/release" &&
		mv "$tree/arch/x86/boot/bzImage" "$image" && rm -rf "$tree"
	say "took $((SECONDS - began)) s"
fi
printf '%s\n' "$image"
