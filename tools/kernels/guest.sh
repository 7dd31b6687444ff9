# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Part of the tools for kernel-patches/: a small virtual machine that runs one script.

# guest_root ROOT SCRIPT [FILE...]: what the machine has: busybox, the files in /, their libraries.
guest_root() {
	local root=$1 script=$2 libraries
	shift 2

	rm -rf "$root" && mkdir -p "$root"/{bin,dev,proc,sys,tmp,lib,etc} || return
	cp "$(command -v busybox)" "$root/bin/busybox" && cp "$tools/guest-init" "$root/init" &&
		cp "$script" "$root/script" && chmod +x "$root/init" && ln -s lib "$root/lib64" || return
	printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
	(($# > 0)) || return 0
	cp "$@" "$root" || return
	mapfile -t libraries < <(ldd "$@" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*[^ :]' | sort -u)
	((${#libraries[@]} == 0)) || cp -Lt "$root/lib" "${libraries[@]}"
}

# guest ROOT IMAGE OUTPUT SECONDS [QEMU-OPTION...]: what the script prints is in OUTPUT, what the
# kernel says in OUTPUT.console. Fails if the script was not done in time.
guest() {
	local root=$1 image=$2 output=$3 seconds=$4
	shift 4

	(cd "$root" && find . | cpio -o -H newc --quiet) >"$output.initramfs" || return
	timeout --foreground -s KILL "$seconds" qemu-system-x86_64 -cpu max -nodefaults \
		-display none -no-reboot -kernel "$image" -initrd "$output.initramfs" \
		-serial file:"$output.console" -serial file:"$output" \
		-append "console=ttyS0 panic=-1" "$@" </dev/null >"$output.qemu" 2>&1
	rm -f "$output.initramfs"
	[[ $(tail -n 1 "$output") == '@@ done' ]]
}
