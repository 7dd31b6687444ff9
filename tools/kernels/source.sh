# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Part of the tools for kernel-patches/: the source of Linux 6.1, the series, the configuration. Wants
# $work, $patches, $source (a directory, or empty for Debian's), say and packages.sh.

archive=

# Sets archive, if it is Debian's source that is wanted: the package, downloaded.
find_archive() {
	local version directory

	[[ -z $source ]] || return 0
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
	archive=$directory/root/usr/src/linux-source-6.1.tar.xz
}

# unpack_source TREE
unpack_source() {
	rm -rf "$1" && mkdir -p "$1" || return
	if [[ $source ]]; then
		cp -a "$source/." "$1"
	else
		tar -xf "$archive" -C "$1" --strip-components=1
	fi
}

# patch_files SERIES: the paths.
patch_files() {
	grep -v '^#' "$1" | sed "s|^|$patches/|"
}

# What tells one version of the series from another.
series_key() {
	patch_files "$patches/series" | xargs cat | sha256sum | cut -c1-16
}

# apply_series TREE SERIES
apply_series() {
	local file

	while read -r file; do
		patch -d "$1" -p1 -s --fuzz=0 <"$file" || {
			echo "$file does not apply"
			return 1
		}
	done < <(patch_files "$2")
}

# check_config FILE FRAGMENT...: every option has to be what the fragments say; one that depends on
# what is off would just be gone. The last fragment that names an option counts.
check_config() {
	local file=$1 line gone=0
	shift

	while read -r line; do
		case $line in
		*=n) ! grep -q "^${line%=n}=" "$file" ;;
		*) grep -qxF "$line" "$file" ;;
		esac || { say "not in the configuration: $line" && gone=1; }
	done < <(awk -F= '/^CONFIG_/ {value[$1] = $0} END {for (name in value) print value[name]}' "$@")
	return $gone
}

# configure TREE OUTPUT FRAGMENT...: on top of what is as small as can be; for $ARCH.
configure() {
	local tree=$1 output=$2
	shift 2

	mkdir -p "$output" && make -s -C "$tree" O="$output" tinyconfig &&
		(cd "$tree" && scripts/kconfig/merge_config.sh -m -O "$output" "$output/.config" "$@") &&
		make -s -C "$tree" O="$output" olddefconfig && check_config "$output/.config" "$@"
}
