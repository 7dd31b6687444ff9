# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Part of tools/kernels.sh: runs a plan in a virtual machine, or on the kernel that is here.

# What a cloud kernel has as modules and the machine needs: a disk, for files, and a swap in memory.
modules='virtio_pci virtio_blk ext4 crc32c_generic lzo-rle zram'

# copy_programs ROOT: without what only a debugger reads.
copy_programs() {
	local files

	mapfile -t files < <(find "$build/tests" -maxdepth 1 -type f -name 'test-*')
	files+=("$build"/tests/vm/{launch,reclaim,backends} "$build/cmd/writewatch"
		"$build/tests/fuzz/test-fuzz-replay")
	files+=("$build"/tests/command/{writer,recording-print} tests/vm/{probe,record,yama}.sh)
	# Servers to attach to, those that are installed.
	files+=("$build/tests/process/real" tests/vm/real.sh)
	mapfile -t -O ${#files[@]} files < <(command -v redis-server redis-benchmark sqlite3)
	# The patched kernel's own.
	[[ -z ${image:-} || ! -f ${image%/*}/selftest ]] || files+=("${image%/*}/selftest")
	mkdir -p "$1/tests" "$1/lib" && cp "${files[@]}" "$1/tests" &&
		cp -r tests/fuzz/corpus "$1/corpus" || return
	ldd "${files[@]}" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*[^ :]' | xargs realpath -s | sort -u |
		xargs cp -Lt "$1/lib"
	strip -g "$1"/tests/* 2>/dev/null
	return 0
}

# Most of the time that a test takes to start, see tests/vm/lazy_git.c.
replace_libgit2() {
	local library

	for library in "$1"/lib/libgit2.so.*; do
		[[ -f $library ]] || continue
		mv "$library" "$1/lib/libgit2-real.so" &&
			cp "$build/tests/vm/liblazy_git.so" "$library"
	done
}

# The kernel's modules, if it has any, and the order to load them in.
copy_modules() {
	local root=$1 module path

	: >"$root/modules.order"
	[[ $modules_root ]] || return 0

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
}

# initramfs LOGS
initramfs() {
	local root=$1/root

	rm -rf "$root" && mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,modules} || return
	copy_programs "$root" || return
	replace_libgit2 "$root"
	ln -s lib "$root/lib64"
	cp "$(command -v busybox)" "$root/bin/busybox"
	printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
	copy_modules "$root"
	cp "$tools/init" "$tools/run.sh" "$1/plan" "$root"
	chmod +x "$root/init"
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$1/initramfs" && rm -r "$root"
}

# An emulated processor stores byte by byte where a real one clears a page with one instruction, and
# has no speculation to be guarded against: both would be a sixth of the time.
processor='max,erms=off'
kernel_arguments='console=ttyS0 panic=-1 mitigations=off'

# boot LOGS THP [ARGUMENT [OPTION...]]: until the machine is done, or has taken too long; the argument
# is for the kernel, the options are for the emulator.
boot() {
	local logs=$1 thp=$2 argument=${3:-} machine

	shift $(($# < 3 ? $# : 3))
	rm -f "$logs/disk" && truncate -s 1G "$logs/disk" && mkfs.ext4 -q "$logs/disk" || return
	# In the background, because a trap waits for what is in the foreground.
	timeout --foreground "$machine_limit" qemu-system-x86_64 -accel tcg,thread=multi \
		-cpu "$processor" -m 2G -smp 2 -nodefaults -display none -no-reboot -kernel "$image" \
		-initrd "$logs/initramfs" -serial file:"$logs/console" -serial file:"$logs/output" \
		-drive file="$logs/disk",format=raw,if=virtio,cache=unsafe \
		-append "$kernel_arguments ww_thp=$thp WW_SECONDS=$WW_SECONDS $argument" \
		"$@" >"$logs/qemu" 2>&1 &
	machine=$!
	# shellcheck disable=SC2064 # what it is now
	trap "kill $machine 2>/dev/null" EXIT
	wait "$machine"
	trap - EXIT
	rm -f "$logs/disk" "$logs/initramfs"
}

# run_here LOGS: with copies, as the user that has no rights may not reach the build directory. In a
# /tmp of its own, if that may be: a killed test leaves Criterion's socket, named after its process,
# in the way of any other user's.
run_here() {
	local logs=$1 copies status apart=()

	# shellcheck disable=SC2016 # expanded by the inner shell
	if unshare -m true 2>/dev/null; then
		apart=(unshare -m sh -c 'mount -t tmpfs -o mode=1777 tmpfs /tmp && exec "$@"' sh)
	fi
	copies=$(mktemp -d /var/tmp/writewatch-XXXXXX) && chmod 755 "$copies" || return
	mkdir -m 1777 "$copies/work" && copy_programs "$copies" || return
	cp "$tools/run.sh" "$logs/plan" "$copies"
	# The C library has to be the one that is here.
	find "$copies/lib" ! -name 'libwritewatch*' -type f -delete
	(
		cd "$copies/work" || exit
		export WW_SECONDS LD_LIBRARY_PATH=$copies/lib
		exec timeout --foreground "$machine_limit" "${apart[@]}" \
			sh "$copies/run.sh" "$copies/tests" "$copies/plan"
	) >"$logs/output" 2>&1
	status=$?
	rm -rf "$copies"
	return $status
}
