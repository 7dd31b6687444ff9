# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Part of tools/kernels.sh: kernels from Debian's archive, kept in $work/packages.

# Another list of packages than the machine's, for one that has none or an old one. Needs no root.
private_apt=()

use_private_lists() {
	local state=$work/apt

	mkdir -p "$state"/{lists/partial,cache/archives/partial} || return
	private_apt=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache"
		-o Debug::NoLocking=1 -o APT::Sandbox::User=root)
	# An old list names packages that are gone.
	if [[ -n $(find "$state/lists" -maxdepth 1 -name '*Packages*' -mmin -720 | head -n 1) ]]; then
		return
	fi
	timeout 120 apt-get "${private_apt[@]}" -o Acquire::http::Timeout=20 update \
		>>"$work/download.log" 2>&1
}

# candidates SERIES: its packages, old to new. Meta-packages have no kernel inside.
candidates() {
	apt-cache "${private_apt[@]}" pkgnames "linux-image-$1." |
		grep -xE -- "linux-image-${1//./\\.}\.[0-9].*-cloud-amd64" | sort -V
}

package_version() {
	apt-cache "${private_apt[@]}" policy "$1" | sed -n 's/^ *Candidate: //p'
}

download() {
	local directory=$1 package=$2

	[[ -d $directory/root ]] && return
	rm -rf "$directory" "$directory.new" && mkdir -p "$directory.new" || return
	(cd "$directory.new" && apt-get "${private_apt[@]}" download -q "$package") \
		>>"$work/download.log" 2>&1 || return
	dpkg -x "$directory.new"/*.deb "$directory.new/root" &&
		rm "$directory.new"/*.deb && mv "$directory.new" "$directory"
}

# wanted_package SERIES WHICH: prints its name; WHICH is newest or oldest.
wanted_package() {
	candidates "$1" | if [[ $2 == oldest ]]; then head -n 1; else tail -n 1; fi
}

# From the archive, or else what an earlier run left: prints the directory.
find_package() {
	local package version directory

	package=$(wanted_package "$1" "$2")
	if [[ $package ]]; then
		version=$(package_version "$package")
		directory=$work/packages/$1-$2_${package}_$version
		if download "$directory" "$package"; then
			echo "$directory"
			return
		fi
	fi
	return 1
}

# unpack SERIES WHICH: sets image, release (as in uname -r), modules_root and kernel_version.
unpack() {
	local directory

	mkdir -p "$work/packages" || return
	if ! directory=$(find_package "$1" "$2"); then
		use_private_lists
		if ! directory=$(find_package "$1" "$2"); then
			directory=$(printf '%s\n' "$work/packages/$1-$2"_*/root/boot | sort -V | tail -n 1)
			directory=${directory%/root/boot}
			[[ -d $directory ]] || return
			say "the archive cannot be reached, using ${directory##*/}"
		fi
	fi
	image=$(echo "$directory"/root/boot/vmlinuz-*)
	release=${image##*/vmlinuz-}
	kernel_version=${directory##*_}
	kernel_version=${kernel_version%%-*}
	modules_root=$directory/root
	[[ -d $modules_root/lib/modules ]] || modules_root+=/usr
	[[ -f $image ]] && depmod -b "$modules_root" "$release"
}
