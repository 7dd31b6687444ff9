#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs the demo and all tests on other kernels, in virtual machines: tools/kernels.sh [PATTERN...]
#
# A pattern is an extended regular expression for whole names of Debian's kernel packages. Of the
# packages that match, the oldest and the newest are booted, each with transparent huge pages and
# without. Kernels before 6.8.10 have to be refused by the library; there only the demo is run.
#
# Prints a line for each program and adds everything up in the last line; the exit status is 0 if
# nothing failed. Packages, logs and a build of its own are kept in build-kernels/. Needs apt, kmod,
# qemu-system-x86, busybox-static, cpio and e2fsprogs, but neither root nor KVM; installs nothing.
#
# WW_OPS and WW_SECONDS size the tests (the machines are emulated, and slow), KERNELS_TIMEOUT is how
# many seconds a machine may take, KERNELS_ONLY an extended regular expression for test programs.

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin

work=$PWD/build-kernels
build=$work/build
timeout=${KERNELS_TIMEOUT:-300}
only=${KERNELS_ONLY:-.*}
# What a cloud kernel has as modules and the machine needs: a disk to swap to and read files from.
modules='virtio_pci virtio_blk ext4 crc32c_generic'
bad_news='WARNING:|BUG:|Oops|Kernel panic|general protection fault|UBSAN|blocked for more than'
bad_news+='|rcu.*stall'
machine=
trap '[[ -z $machine ]] || kill "$machine"' EXIT
trap 'exit 130' HUP INT TERM
total_passed=0 total_failed=0 total_skipped=0

die() {
	printf 'kernels: %s\n' "$*" >&2
	exit 1
}

# The oldest and the newest package that a pattern matches; meta-packages have no kernel inside.
packages_of() {
	local found

	found=$(apt-cache pkgnames linux-image- | grep -xE -- "$1" |
		grep -vE -- '-(dbg|unsigned)$|^linux-image-([0-9.]+-)?[a-z]' | sort -V)
	[[ $found ]] && sed -n '1p;$p' <<<"$found" | uniq
}

# unpack PACKAGE: sets image and release.
unpack() {
	local version dir

	version=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: //p')
	dir=$work/packages/$1_$version
	if [[ ! -d $dir/root/boot ]]; then
		rm -rf "$dir" && mkdir -p "$dir" || return
		(cd "$dir" && apt-get download -q "$1") >"$work/download.log" 2>&1 || return
		dpkg -x "$dir"/*.deb "$dir/root" || return
	fi
	image=$(echo "$dir"/root/boot/vmlinuz-*)
	release=${image##*/vmlinuz-}
	modules_root=$dir/root
	[[ -d $dir/root/lib/modules ]] || modules_root=$dir/root/usr
	[[ -f $image ]] && depmod -b "$modules_root" "$release"
}

# copy_with_libraries ROOT PROGRAM...
copy_with_libraries() {
	local root=$1

	shift
	cp "$@" "$root/tests/"
	ldd "$@" | grep -oE '/[^ ]+\.so[^ ]*[^ :]' | sort -u | xargs cp -Lt "$root/lib"
}

# The first process of the machine. What the programs say goes to the second serial line, where no
# message of the kernel gets in between.
write_init() {
	cat >"$1/init" <<-'EOT'
		#!/bin/busybox sh
		/bin/busybox --install -s /bin
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs devtmpfs /dev
		mkdir -p /dev/shm /disk
		mount -t tmpfs tmpfs /tmp
		mount -t tmpfs tmpfs /dev/shm
		chmod 1777 /tmp /dev/shm
		ln -s /proc/self/fd /dev/fd
		ln -s fd/1 /dev/stdout
		exec </dev/null >/dev/ttyS1 2>&1
		stty -F /dev/ttyS1 -opost
		while read -r module; do insmod "$module"; done </modules.order
		mount -t ext4 /dev/vda /disk && cd /disk || echo "kernels: no disk"
		echo "$ww_thp" >/sys/kernel/mm/transparent_hugepage/enabled
		echo "kernel $(uname -r) thp $(cat /sys/kernel/mm/transparent_hugepage/enabled)"
		export LC_ALL=C.UTF-8
		set -o pipefail
		while read -r name command; do
			echo "begin $name"
			timeout 200 $command 2>&1 | cat
			echo "end $name $?"
		done </commands
		sync
		poweroff -f
	EOT
	chmod +x "$1/init"
}

# initramfs COMMANDS: for the kernel that unpack() found, of $tests, into $work/initramfs.
initramfs() {
	local root=$work/root module path

	rm -rf "$root" && mkdir -p "$root"/{bin,dev,proc,sys,tmp,tests,etc,lib,modules} || return
	ln -s lib "$root/lib64"
	cp "$(command -v busybox)" "$root/bin/busybox"
	printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
	copy_with_libraries "$root" "$build/cmd/writewatch" "${tests[@]}"
	for module in $modules; do
		modprobe -d "$modules_root" -S "$release" --show-depends "$module" 2>/dev/null
	done | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r path; do
		if [[ $path == *.xz ]]; then
			xz -dc "$path" >"$root/modules/$(basename "$path" .xz)"
		else
			cp "$path" "$root/modules/"
		fi
		echo "/modules/$(basename "$path" .xz)"
	done >"$root/modules.order"
	printf '%s\n' "$1" >"$root/commands"
	write_init "$root"
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"
}

# boot THP LOGS
boot() {
	local status sizes="WW_OPS=${WW_OPS:-20000} WW_SECONDS=${WW_SECONDS:-10}"

	rm -f "$work/disk" && truncate -s 1G "$work/disk" && mkfs.ext4 -q "$work/disk" || return
	# In the background, because a trap waits for what is in the foreground.
	timeout "$timeout" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 2G -smp 2 \
		-nodefaults -display none -no-reboot -kernel "$image" -initrd "$work/initramfs" \
		-drive file="$work/disk",format=raw,if=virtio,cache=unsafe \
		-serial file:"$2/console" -serial file:"$2/output" \
		-append "console=ttyS0 panic=-1 ww_thp=$1 $sizes" >"$2/qemu" 2>&1 &
	machine=$!
	wait "$machine"
	status=$?
	machine=
	return $status
}

# count LABEL COUNTED PASSED FAILED SKIPPED
count() {
	printf '%-42s %-22s passed %3d  failed %3d  skipped %3d\n' "$@"
	((total_passed += $3, total_failed += $4, total_skipped += $5))
}

# What a program printed between its marks.
output_of() {
	sed -n "/^begin $1\$/,/^end $1 /p" "$2" | sed '1d;/^end /d'
}

status_of() {
	sed -n "s/^end $1 //p" "$2"
}

# report_tests LABEL NAME LOGS
report_tests() {
	local text status passed failed skipped

	text=$(output_of "$2" "$3/output")
	status=$(status_of "$2" "$3/output")
	failed=$(grep -c '^not ok' <<<"$text")
	skipped=$(grep -c '^ok.*# SKIP' <<<"$text")
	passed=$(($(grep -c '^ok' <<<"$text") - skipped))
	# A crash, a timeout or a run without tests must not look like a success.
	if ((failed == 0)) && [[ $status != 0 || $((passed + skipped)) == 0 ]]; then
		failed=1
	fi
	count "$1" "$2" "$passed" "$failed" "$skipped"
	if ((failed > 0)); then
		printf '  exit status %s\n' "${status:-none, the machine stopped before}"
		# The rows of TAP that tell of failures, and what went to stderr.
		awk '/^not ok/ {bad = 1}
			/^ok/ {bad = 0}
			bad || /^\[|^# [^CR]/ {print "  " $0}' <<<"$text"
	fi
	grep '^ok.*# SKIP' <<<"$text" | sed 's/^/  /'
}

# report_machine LABEL LOGS STATUS THP: whether it was what was asked for and came to its end.
report_machine() {
	local failed=0

	if [[ $3 != 0 ]] || ! grep -q "^kernel $release thp .*\\[$4\\]" "$2/output" ||
		grep '^kernels: ' "$2/output"; then
		failed=1
	fi
	count "$1" machine $((!failed)) $failed 0
	if ((failed)); then
		printf '  qemu ended with status %d, see %s\n' "$3" "$2"
	fi
}

# report_demo LABEL LOGS EXPECTED-STATUS
report_demo() {
	local status

	status=$(status_of demo "$2/output")
	count "$1" demo $((${status:-99} == $3)) $((${status:-99} != $3)) 0
	if [[ $status != 0 || $3 != 0 ]]; then
		output_of demo "$2/output" | sed 's/^/  /'
		printf '  exit status %s\n' "${status:-none, the machine stopped before}"
	fi
}

report_kernel() {
	local found

	found=$(grep -cE "$bad_news" "$2/console")
	count "$1" "messages of the kernel" $((found == 0)) $((found > 0)) 0
	grep -E "$bad_news" "$2/console" | sed 's/^/  /'
}

# run_kernel PACKAGE
run_kernel() {
	local thp logs label names commands name tests expected=0

	if ! unpack "$1"; then
		count "$1" unpack 0 1 0
		return
	fi
	commands='demo /tests/writewatch demo --size 16M --seconds 3'
	# Canaries and what is leaky should fail; they test the checkers.
	mapfile -t tests < <(find "$build/tests" -maxdepth 1 -type f -name 'test-*' | sort)
	names=$(printf '%s\n' "${tests[@]##*/test-}" | grep -vE '^canary-|^leaky$' |
		grep -xE -- "$only")
	if [[ $(printf '%s\n' "${release%%[-+]*}" 6.8.10 | sort -V | head -n 1) != 6.8.10 ]]; then
		expected=3 names=
	fi
	for name in $names; do
		commands+=$'\n'"$name /tests/test-$name --tap=/dev/stdout -j1"
	done
	initramfs "$commands" || die 'cannot make the initramfs'
	for thp in always never; do
		label="$release thp=$thp"
		logs=$work/logs/$release-$thp
		rm -rf "$logs" && mkdir -p "$logs"
		boot "$thp" "$logs"
		report_machine "$label" "$logs" $? "$thp"
		report_demo "$label" "$logs" "$expected"
		for name in $names; do
			report_tests "$label" "$name" "$logs"
		done
		report_kernel "$label" "$logs"
	done
}

for tool in apt-get qemu-system-x86_64 busybox cpio depmod modprobe mkfs.ext4; do
	command -v "$tool" >/dev/null || die "$tool is missing"
done
((BASH_VERSINFO[0] >= 4)) || die 'bash is too old'
(($# > 0)) || set -- 'linux-image-6\.1\..*-cloud-amd64' 'linux-image-6\.12\..*-cloud-amd64'
mkdir -p "$work"
if [[ ! -f $build/build.ninja ]]; then
	meson setup "$build" >"$work/build.log" 2>&1 || die "meson failed, see $work/build.log"
fi
ninja -C "$build" >"$work/build.log" 2>&1 || die "the build failed, see $work/build.log"

for pattern; do
	packages=$(packages_of "$pattern") || die "no package matches $pattern"
	for package in $packages; do
		run_kernel "$package"
	done
done
printf 'passed %d  failed %d  skipped %d\n' $total_passed $total_failed $total_skipped
((total_failed == 0))
