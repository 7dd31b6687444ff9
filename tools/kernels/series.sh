# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Part of tools/check-series.sh: the checks. In $tree is a git repository of the source, with the tags
# plain and series; $out is where it is built.

in_tree() {
	git -C "$tree" -c user.name=check-series -c user.email=check-series@localhost \
		-c gc.auto=0 -c commit.gpgsign=false -c advice.detachedHead=false "$@"
}

# The tree is kept, as long as it is that source.
prepare_tree() {
	local want=${archive:-$source}

	[[ $(cat "$work/series/source" 2>/dev/null) != "$want" ]] || return 0
	say 'unpacking the source'
	rm -f "$work/series/source"
	unpack_source "$tree" && rm -rf "$tree/.git" && in_tree init -q &&
		in_tree add -fA . && in_tree commit -q -m plain && in_tree tag plain || return
	echo "$want" >"$work/series/source"
}

checkout() {
	in_tree checkout -q -f "$1" || die "cannot check out $1"
}

# As git am has it. Nothing is touched if it is there already, so that no more is built than needs be.
need_series() {
	local key

	key=$(series_key)
	if [[ $(cat "$work/series/applied" 2>/dev/null) != "$key" ]]; then
		apply_by_git || die "git am fails, see $logs/git-am"
	fi
}

apply_by_git() {
	local files

	rm -f "$work/series/applied"
	in_tree am -q --abort 2>/dev/null
	checkout plain
	# What an interrupted run has left is ignored, as Debian's source ignores all.
	in_tree clean -fdxq || return
	mapfile -t files < <(patch_files "$patches/series")
	in_tree am -q "${files[@]}" >"$logs/git-am" 2>&1 && in_tree tag -f series >/dev/null &&
		series_key >"$work/series/applied"
}

touched() {
	in_tree diff --name-only plain series
}

# Into a copy of the touched files.
apply_by_patch() {
	local copy=$work/series/patched file

	rm -rf "$copy" && mkdir "$copy" || return
	touched | while read -r file; do
		mkdir -p "$copy/$(dirname "$file")"
		in_tree show "plain:$file" >"$copy/$file" 2>/dev/null || rm "$copy/$file"
	done
	while read -r file; do
		patch -d "$copy" -p1 --fuzz=0 <"$file" || return
	done < <(patch_files "$patches/series") >"$logs/patch" 2>&1
	touched | while read -r file; do
		in_tree show "series:$file" | cmp - "$copy/$file" || return
	done >>"$logs/patch" 2>&1
}

check_apply() {
	local status

	diff <(grep -v "^#" "$patches/series") <(cd "$patches" && ls -- *.patch) >"$logs/series"
	result $? apply 'the file series lists all patches, in order'
	apply_by_git
	status=$?
	result $status apply "git am of $(grep -c "\.patch$" "$patches/series") patches" \
		"$( ((status == 0)) || echo "see $logs/git-am")"
	((status == 0)) || return
	apply_by_patch
	result $? apply 'patch -p1 --fuzz=0 has the same result' \
		"$(grep -c 'offset' "$logs/patch") hunks at an offset"
}

# accepted.txt has lines "PATCH TYPE COUNT reason"; prints those that differ from what is found.
check_checkpatch() {
	local file name unexpected found

	while read -r file; do
		name=${file##*/}
		(cd "$tree" && scripts/checkpatch.pl --strict --terse --show-types "$file") \
			>"$logs/checkpatch-${name%%-*}" 2>&1
		unexpected=$(diff \
			<(awk -v patch="${name%%-*}" '$1 == patch {print $2, $3}' "$patches/accepted.txt" |
				sort) \
			<(sed -nE 's/.* (ERROR|WARNING|CHECK):([A-Z_]+):.*/\2/p' \
				"$logs/checkpatch-${name%%-*}" | sort | uniq -c | awk '{print $2, $1}' | sort))
		result $? checkpatch "${name%%-*}" "${unexpected//$'\n'/, }"
	done < <(patch_files "$patches/series")
}

test_configs() {
	echo CONFIG_LOCALVERSION_AUTO=n >"$work/series/check.config"
	printf '%s\n' "$patches/test.config" "$work/series/check.config"
}

# said LOG: the first warning or error.
said() {
	grep -v '^\.config:' "$1" |
		grep -m 1 -E 'warning:|error:|^make.*(Error|\*\*\*)|^# check-series: not in'
}

make_tree() {
	make -s -C "$tree" O="$out" -j"$(nproc)" "$@"
}

# The configuration is made once, of the plain source: it has no option that the series adds.
need_config() {
	local fragments

	mapfile -t fragments < <(test_configs)
	if ! sha256sum --quiet --status -c "$out/.fragments"; then
		configure "$tree" "$out" "${fragments[@]}" >"$logs/configure" 2>&1 ||
			die "no configuration, see $logs/configure"
		sha256sum "${fragments[@]}" >"$out/.fragments"
	fi 2>/dev/null
}

# messages REVISION WHAT MAKE-OPTION...: what is said of the touched files, without line numbers.
messages() {
	local revision=$1 log=$logs/$2-$1 objects
	shift 2

	checkout "$revision"
	mapfile -t objects < <(touched | grep -E '^(mm|fs)/.*\.c$' | while read -r file; do
		[[ ! -f $tree/$file ]] || echo "${file%.c}.o"
	done)
	# An object that is there is not looked at.
	(cd "$out" && rm -f "${objects[@]}")
	make_tree "$@" "${objects[@]}" >"$log" 2>&1 || say "make fails, see $log"
	grep -E ': (warning|error):' "$log" | sed -E "s|$tree/||;s/:[0-9]+(:[0-9]+)?:/:/" | sort
}

# check_messages STEP MAKE-OPTION...
check_messages() {
	local step=$1 new

	need_config
	messages plain "$@" >"$logs/$step-before"
	messages series "$@" >"$logs/$step-after"
	new=$(comm -13 "$logs/$step-before" "$logs/$step-after" |
		grep -vxF -f <(sed -n "s/^$step //p" "$patches/accepted.txt"))
	[[ -z $new ]] && ! grep -q '^make.*Error' "$logs/$step-series"
	result $? "$step" "$(touched | grep -cE '^(mm|fs)/.*\.c$') files" \
		"${new:-$(wc -l <"$logs/$step-before") messages before, $(wc -l <"$logs/$step-after") now}"
}

check_sparse() {
	check_messages sparse C=2
}

check_warnings() {
	check_messages warnings W=1
}

# boots NAME
boots() {
	echo 'echo booted' >"$work/series/script"
	guest_root "$work/series/root" "$work/series/script" &&
		guest "$work/series/root" "$out/arch/x86/boot/bzImage" "$logs/boot-$1" 60 -m 256M &&
		grep -qx booted "$logs/boot-$1" &&
		! grep -E 'WARNING|BUG|Oops|Call Trace' "$logs/boot-$1.console"
}

check_prefixes() {
	local number=0 revision name

	need_config
	while read -r revision; do
		name=$number-$(in_tree show -s --format=%f "$revision" | cut -c1-40)
		number=$((number + 1))
		[[ $name =~ $only ]] || continue
		checkout "$revision"
		make_tree bzImage >"$logs/prefix-$name" 2>&1 &&
			! said "$logs/prefix-$name" >/dev/null
		result $? prefixes "$name builds" "$(said "$logs/prefix-$name")"
		mkdir -p "$work/series/images" &&
			cp "$out/arch/x86/boot/bzImage" "$work/series/images/$name"
		boots "$name"
		result $? prefixes "$name boots"
	done < <(in_tree rev-parse plain && in_tree rev-list --reverse plain..series)
}

# What the series may break: the touched files and those that include what only few do; as objects,
# those of them that a configuration has.
objects() {
	local output=$1 file option

	(cd "$tree" && grep -lF '<linux/userfaultfd_k.h>' mm/*.c fs/*.c fs/proc/*.c && touched) |
		grep -E '^(mm|fs)/.*\.c$' | sort -u | while read -r file; do
		option=$(grep -E "[[:space:]]$(basename "$file" .c)\.o" "$tree/$(dirname "$file")/Makefile" |
			grep -oE 'CONFIG_[A-Z_]+' | head -n 1)
		if [[ -z $option ]] || grep -qx "$option=y" "$output/.config"; then
			echo "${file%.c}.o"
		fi
	done
}

# symbols OUTPUT WHICH: the names in these objects that nm has under that option.
symbols() {
	(cd "$1" && objects "$1" | xargs nm "$2" | awk 'NF >= 2 {print $NF}' | sort -u)
}

# The objects are not linked, so what nobody defines has to be found: what the series uses, and these
# files define in the whole kernel, has to be defined here.
undefined() {
	comm -12 <(symbols "$out" --defined-only) \
		<(in_tree diff plain series -- mm fs include | grep '^+' | grep -ow '[a-z_0-9]*' |
			sort -u) >"$logs/symbols-used"
	comm -12 "$logs/symbols-used" \
		<(comm -23 <(symbols "$1" --undefined-only) <(symbols "$1" --defined-only))
}

# name, architecture, what is switched on (+) and off (-). What is on with test.config is on.
cases='no-userfaultfd   x86_64 -USERFAULTFD
no-markers       x86_64 -PTE_MARKER_UFFD_WP
no-thp           x86_64 -TRANSPARENT_HUGEPAGE -TRANSPARENT_HUGEPAGE_MADVISE
no-hugetlb       x86_64 -HUGETLBFS
no-swap          x86_64 -SWAP
no-page-monitor  x86_64 -PROC_PAGE_MONITOR -MEM_SOFT_DIRTY
no-soft-dirty    x86_64 -MEM_SOFT_DIRTY
no-migration     x86_64 -TRANSPARENT_HUGEPAGE -TRANSPARENT_HUGEPAGE_MADVISE -COMPACTION
no-migration    x86_64 -MIGRATION -NUMA -X86_64_ACPI_NUMA -NUMA_BALANCING -KSM -SWAP -HUGETLBFS
device-memory    x86_64 +MEMORY_HOTPLUG +MEMORY_HOTREMOVE +SPARSEMEM_VMEMMAP +ZONE_DEVICE
device-memory    x86_64 +DEVICE_PRIVATE +X86_MCE +MEMORY_FAILURE +DEBUG_KERNEL +DEBUG_VM
i386             i386   +USERFAULTFD +PROC_PAGE_MONITOR +SWAP +SHMEM +HUGETLBFS +KSM
i386-pae         i386   +USERFAULTFD +PROC_PAGE_MONITOR +SWAP +SHMEM +HIGHMEM64G
i386-pae         i386   +TRANSPARENT_HUGEPAGE +HUGETLBFS
arm64            arm64  +USERFAULTFD +PROC_PAGE_MONITOR +SWAP +SHMEM +HUGETLBFS +KSM
arm64            arm64  +TRANSPARENT_HUGEPAGE'

# fragments_of NAME ARCHITECTURE: prints the paths.
fragments_of() {
	local file=$work/series/$1.config

	{
		printf 'CONFIG_%s=y\n' PROC_FS SYSFS BLOCK MULTIUSER
		awk -v name="$1" '$1 == name {for (i = 3; i <= NF; i++) print $i}' <<<"$cases" |
			sed -E 's/^\+(.*)/CONFIG_\1=y/;s/^-(.*)/CONFIG_\1=n/'
	} >"$file"
	if [[ $2 == x86_64 ]]; then
		test_configs
	else
		test_configs >/dev/null
		printf '%s\n' "$work/series/check.config"
	fi
	printf '%s\n' "$file"
}

# build_case NAME ARCHITECTURE: cases of an architecture share what they have in common.
build_case() {
	local output=$out-$2 fragments targets

	[[ $2 != x86_64 || -d $output ]] || cp -a "$out" "$output" || return
	mapfile -t fragments < <(fragments_of "$1" "$2")
	export ARCH=$2
	[[ $2 != arm64 ]] || export CROSS_COMPILE=aarch64-linux-gnu-
	configure "$tree" "$output" "${fragments[@]}" || return
	mapfile -t targets < <(objects "$output")
	make -s -C "$tree" O="$output" -j"$(nproc)" "${targets[@]}"
}

check_configs() {
	local name arch missing targets

	checkout series
	need_config
	mapfile -t targets < <(objects "$out")
	make_tree "${targets[@]}" >"$logs/config-whole" 2>&1 &&
		! said "$logs/config-whole" >/dev/null
	result $? configs test.config "$(said "$logs/config-whole")"
	while read -r name arch; do
		[[ $name =~ $only ]] || continue
		(build_case "$name" "$arch") >"$logs/config-$name" 2>&1 &&
			! said "$logs/config-$name" >/dev/null
		result $? configs "$name" "$(said "$logs/config-$name")"
		missing=$(undefined "$out-$arch")
		[[ -z $missing ]]
		result $? configs "$name, nothing is missing" "${missing//$'\n'/ }"
	done < <(awk '!seen[$1]++ {print $1, $2}' <<<"$cases")
}
