#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs the tests on other kernels, in virtual machines, and on the one that is here:
#
#   tools/kernels.sh [OPTION...] [KERNEL[:THP]...]
#
# KERNEL is 6.1, 6.12 (Debian's newest of that series), 6.12-oldest, patched, which is 6.1 with the
# series in kernel-patches/, or own, the kernel that is here; THP says whether the kernel gives out
# huge pages, always or never. By default all are run but the oldest and the patched, two at a time.
# What is run in each is a table below.
#
#   --tap         TAP, for one machine; without it a line for each program, and in the last line
#                 everything added up
#   --build DIR   where the programs are built; without it they are built in build-kernels/build
#   --work DIR    where packages and logs are kept; without it build-kernels/
#   --only REGEX  only the lines of the plan whose name it matches
#   --programs REGEX  only the programs whose whole name it matches
#   --plan        only prints what would be run
#   --results     only prints the results of the last run, as tables for the README
#
# The exit status is 0 if nothing failed; under --tap the rows tell: what cannot be run at all is a skip,
# with CI=true a failure. Needs apt, kmod, python3, busybox-static, qemu-system-x86, cpio and e2fsprogs,
# but neither root nor KVM; installs nothing.
# The patched kernel is built by tools/build-kernel.sh, whose head says what that needs.
#
# WW_OPS, in place of the table's, and WW_SECONDS size the tests: the machines are emulated, and
# slow. KERNELS_LIMIT is how many seconds a machine may take.

set -u
cd "$(dirname "$0")/.." || exit 1
exec </dev/null
export LC_ALL=C.UTF-8
PATH=$PATH:/usr/sbin:/sbin

# What is run: on each kernel of the first column, with huge pages as in the second, as which user, with
# userfaultfd allowed, denied, or granted to everybody, with enough memory (roomy), also with a swap that
# nothing is pressed into (calm), or under pressure with a swap, on how many processors, and with how
# many operations in each random test; "auto=x" is the automatic choice, which has to be x, and anything
# else is forced. The suites are those of tests/meson.build, with a + the tests in them that are for no
# backend in particular, and with a - what is left out; what has a = is a variable for the tests. The
# kernel that is here has whatever it has: what cannot be used there is skipped. One processor is for
# what wakes a thread for every fault, which takes milliseconds between two emulated ones. Everything is
# run on what each kernel's own choice is where userfaultfd is allowed, and on soft-dirty where it is
# the oldest.
core=backends,conformance,oracle,stress
every=$core,demo,winapi,badinput,pitfalls,fuzz
plain=unit+,support+,abi+,kernel+,pitfalls+,process+
read -r -d '' table <<EOF
# kernels     thp           user  uffd     memory  cpus  ops    backend            suites
6.12          always        root  allowed  roomy   2     10000  auto=pagemap-scan  $every,probe,$plain,record,yama,-slow
6.12          always        user  allowed  roomy   2     10000  auto=pagemap-scan  $core,probe,process+,record,-slow
6.12          never         root  allowed  roomy   2     10000  auto=pagemap-scan  $core,probe,kernel+
6.12          always        root  allowed  roomy   1     2000   uffd-thread        $core
6.12          never         root  allowed  roomy   1     2000   uffd-thread        $core
6.12          always        user  allowed  roomy   2     2000   uffd-sigbus        $core
6.12          never         user  allowed  roomy   2     2000   uffd-sigbus        $core
6.1           always        root  allowed  roomy   1     2000   auto=uffd-thread   $every,probe,process+,record
6.1           never         root  allowed  roomy   1     2000   auto=uffd-thread   $core,probe
6.1           always        user  granted  roomy   1     2000   auto=uffd-thread   backends,probe,conformance
6.1           always        user  allowed  roomy   2     2000   auto=uffd-sigbus   $core,probe,process+,record,-slow
6.1           never         user  allowed  roomy   2     2000   auto=uffd-sigbus   $every,probe
all           always        root  denied   roomy   2     2000   auto=mprotect      backends,probe,demo
6.1,6.12      always        user  denied   roomy   2     2000   auto=mprotect      $core,probe
6.1           never         user  denied   roomy   2     2000   auto=mprotect      $core,probe,demo,pitfalls
6.12          never         user  denied   roomy   2     2000   auto=mprotect      $core,probe
6.1,6.12      always        user  allowed  roomy   2     2000   soft-dirty         $core
6.1           never         user  allowed  roomy   2     2000   soft-dirty         $core,winapi,badinput,pitfalls,fuzz
6.1           never         user  allowed  roomy   2     2000   soft-dirty         faults,WW_FEW_FAULTS=1,WW_TEST_LIMIT=300
6.12          never         user  allowed  roomy   2     2000   soft-dirty         $core
6.12          never         user  allowed  roomy   2     2000   soft-dirty         stress,WW_SECONDS=60
own           always        user  allowed  roomy   2     3000   soft-dirty         backends
6.12          always        root  allowed  calm    2     3000   auto=pagemap-scan  layouts+
6.1           always        root  allowed  calm    2     3000   auto=uffd-thread   layouts+
6.12          always        user  allowed  swap    2     3000   auto=pagemap-scan  $core,real
6.1,6.12      always        root  allowed  swap    1     1000   uffd-thread        $core
6.1,6.12      always        user  allowed  swap    2     1000   uffd-sigbus        $core
6.1           always        user  denied   swap    2     1000   auto=mprotect      $core
6.12          always        user  denied   swap    2     1000   auto=mprotect      backends
6.12          always        root  allowed  swap    2     3000   soft-dirty         $core
own           always        user  allowed  roomy   2     10000  auto=pagemap-scan  $core,demo,winapi
own           always        user  allowed  roomy   2     3000   uffd-sigbus        $core,demo,winapi
own           always        user  denied   roomy   2     3000   auto=mprotect      backends,conformance,demo
patched       always        root  allowed  calm    2     1000   auto=pagemap-scan  selftest
patched       always        root  allowed  roomy   2     10000  auto=pagemap-scan  $every,$plain,real,record
patched       always        user  allowed  roomy   2     2000   auto=pagemap-scan  $every
patched       never         root  allowed  roomy   2     10000  auto=pagemap-scan  $core,kernel+,pitfalls+,selftest
patched       never         user  allowed  roomy   2     10000  auto=pagemap-scan  $every
patched       always        user  allowed  swap    2     3000   auto=pagemap-scan  $core
patched       never         root  allowed  swap    2     3000   auto=pagemap-scan  $core
patched       never         root  allowed  roomy   1     1000   uffd-thread        $core
patched       never         user  allowed  roomy   2     1000   uffd-sigbus        $core
EOF
machines='6.12:always 6.1:always 6.12:never 6.1:never own:always'
export WW_SECONDS=${WW_SECONDS:-2}

tools=$PWD/tools/kernels
work=$PWD/build-kernels
build=
tap=
only=.
programs='.*'
machine_limit=${KERNELS_LIMIT:-2000}

say() {
	printf '# kernels: %s\n' "$*"
}

# give_up WHY: nothing could be run, and that must not look like a success. A developer's machine may
# lack what it takes, that of CI may not.
give_up() {
	if [[ $tap && ${CI:-} == true ]]; then
		printf 'TAP version 13\n1..1\nnot ok 1 - %s\n' "$*"
		printf '# failed: %s\n' "$*" >&2
		exit 0
	elif [[ $tap ]]; then
		printf 'TAP version 13\n1..0 # SKIP %s\n' "$*"
		exit 0
	fi
	printf 'kernels: %s\n' "$*" >&2
	exit 1
}

usage() {
	sed -n 's/^# \{0,1\}//;5,/^$/p' "$0" >&2
	exit 2
}

# shellcheck source=tools/kernels/packages.sh
. "$tools/packages.sh"
# shellcheck source=tools/kernels/machine.sh
. "$tools/machine.sh"

has() {
	[[ $1 == all || ,$1, == *,$2,* ]]
}

# programs_of SUITES BACKEND: the names of the test programs, as tests/meson.build has them; with an
# @ at the end those that are told to use the backend.
programs_of() {
	python3 - "$build" "$1" "$2" "$programs" <<'EOF'
import json, os, re, sys

build, wanted, backend, pattern = sys.argv[1], sys.argv[2].split(','), sys.argv[3], sys.argv[4]
names = [name for name in ('backends', 'demo', 'probe', 'selftest', 'real', 'record', 'yama')
         if name in wanted]
with open(os.path.join(build, 'meson-info', 'intro-tests.json'), encoding='utf-8') as file:
    for test in json.load(file):
        suites = {suite.split(':')[-1] for suite in test['suite']}
        program = os.path.basename(test['cmd'][0])
        forced = '@' + backend in test['name']
        if not forced:
            suites = {suite + '+' for suite in suites if '@' not in test['name']}
        if any('-' + suite.rstrip('+') in wanted for suite in suites):
            continue
        # What is leaky should fail; it tests the checkers.
        if program.startswith('test-') and suites & set(wanted) and program != 'test-leaky':
            names.append(program[5:] + ('@' if forced else ''))
print(*(name for name in dict.fromkeys(names) if re.fullmatch(pattern, name.rstrip('@'))))
EOF
}

# plan KERNEL THP: the table's lines for it, as run.sh wants them.
plan() {
	local kernels thp user uffd memory cpus ops backend suites name options how settings

	while read -r kernels thp user uffd memory cpus ops backend suites; do
		if ! has "$kernels" "${1%-oldest}" || ! has "$thp" "$2"; then
			continue
		fi
		how=forced
		if [[ $backend == auto=* ]]; then
			how=auto
			# Whatever is chosen here is right here.
			[[ $1 != own ]] || how=any
		fi
		name="$user $uffd $memory $backend cpus=$cpus"
		name=${name/ cpus=2/} name=${name/ allowed/} name=${name/ roomy/}
		settings=$(tr , '\n' <<<"$suites" | grep '=' | tr '\n' ' ') settings=${settings% }
		name+=${settings:+ $settings}
		[[ $how != any ]] || name=${name/auto=/auto, }
		[[ $name =~ $only ]] || continue
		options=
		backend=${backend#auto=}
		if [[ $user == user && ($1 != own || $EUID == 0) ]]; then
			options+=' --uid 65534'
		elif [[ $user == root && $1 == own && $EUID != 0 ]]; then
			memory='skip:needs root'
		fi
		[[ $uffd == denied ]] && options+=' --deny-userfaultfd'
		if [[ $uffd == granted ]]; then
			settings="vm.unprivileged_userfaultfd=1${settings:+ $settings}"
			# What is for everybody else here stays as it is.
			[[ $1 != own ]] || memory='skip:needs a virtual machine'
		fi
		((cpus == 2)) || options+=" --cpus $cpus"
		[[ $1:$2 == own:never ]] && options+=' --no-huge-pages'
		printf '%s|%s|%s|%s|%s|%s|%s\n' "$name" "$options" "$memory" \
			"WW_OPS=${WW_OPS:-$ops}${settings:+ $settings}" \
			"$how" "$backend" "$(programs_of "$suites" "$backend")"
	done <<<"$(grep -v '^#' <<<"$table")"
}

# run_machine KERNEL:THP
run_machine() {
	local kernel=${1%:*} thp=${1#*:} logs=$work/logs/${1/:/-} own=() which=newest
	local image release modules_root kernel_version

	rm -rf "$logs" && mkdir -p "$logs" && : >"$logs/output" || return
	plan "$kernel" "$thp" >"$logs/plan"
	[[ -s $logs/plan ]] || give_up "nothing is planned for $1"
	if [[ $kernel == own ]]; then
		release=$(uname -r) kernel_version="own (${release%%-*})" own=(--own)
		run_here "$logs"
	elif [[ $kernel == patched ]]; then
		image=$("$tools/../build-kernel.sh" --work "$work" | tail -n 1)
		[[ -f $image ]] || give_up 'cannot build the patched kernel'
		release=$(<"${image%/*}/release") kernel_version="$release, patched" modules_root=
		initramfs "$logs" || give_up 'cannot make the initramfs'
		boot "$logs" "$thp" 'hugepages=16 WW_MOVES=exact'
	else
		[[ $kernel == *-oldest ]] && which=oldest
		{
			flock 9
			unpack "${kernel%-oldest}" "$which" ||
				give_up "cannot fetch Linux ${kernel%-oldest} from the package archive"
		} 9>"$work/lock"
		initramfs "$logs" || give_up 'cannot make the initramfs'
		boot "$logs" "$thp"
	fi
	python3 "$tools/report.py" $tap "${own[@]}" "$kernel_version" "$release" "$thp" "$logs"
}

build_programs() {
	[[ $build ]] && return
	build=$work/build
	if [[ ! -f $build/build.ninja ]]; then
		meson setup "$build" -Dtests=enabled >"$work/build.log" 2>&1 ||
			give_up "meson failed, see $work/build.log"
	fi
	ninja -C "$build" >"$work/build.log" 2>&1 || give_up "the build failed, see $work/build.log"
}

# Two at a time; each prints its report when it is done.
run_machines() {
	local machine

	for machine; do
		while (($(jobs -rp | wc -l) >= 2)); do
			wait -n
		done
		(
			(run_machine "$machine") >"$work/report-${machine/:/-}" 2>&1
			flock 8
			cat "$work/report-${machine/:/-}"
		) 8>"$work/print.lock" &
	done
	wait
}

results=
while (($# > 0)) && [[ $1 == --* ]]; do
	case $1 in
	--tap) tap=--tap ;;
	--plan) results=plan ;;
	--results) results=tables ;;
	--build | --work | --only | --programs)
		(($# > 1)) || usage
		declare "${1#--}=$2"
		shift
		;;
	*) usage ;;
	esac
	shift
done
# shellcheck disable=SC2086 # a list of words
(($# > 0)) || set -- $machines
mkdir -p "$work" && work=$(cd "$work" && pwd) || give_up "cannot write to $work"
if [[ $results == tables ]]; then
	exec python3 "$tools/table.py" "$work"/logs/*/result.json
fi
for tool in apt-get qemu-system-x86_64 busybox cpio depmod modprobe mkfs.ext4 python3; do
	command -v "$tool" >/dev/null || [[ "$*" == own:* ]] || give_up "$tool is missing"
done
[[ $(uname -m) == x86_64 ]] || give_up 'this is for x86-64'
build_programs
expanded=()
for machine; do
	if [[ $machine == *:* ]]; then
		expanded+=("$machine")
	else
		expanded+=("$machine:always" "$machine:never")
	fi
done
if [[ $results == plan ]]; then
	for machine in "${expanded[@]}"; do
		printf '%s\n' "$machine" && plan "${machine%:*}" "${machine#*:}" | sed 's/^/  /'
	done
	exit 0
fi
if [[ $tap ]]; then
	run_machine "${expanded[0]}"
	exit 0
fi
trap 'kill $(jobs -p) 2>/dev/null' EXIT
trap 'exit 130' HUP INT TERM
rm -f "$work"/logs/*/result.json
run_machines "${expanded[@]}"
trap - EXIT
python3 "$tools/table.py" --sum "${#expanded[@]}" "$work"/logs/*/result.json
