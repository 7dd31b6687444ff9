#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Whether the patched kernel has to be built and tested again:
#
#   tools/kernel-landed.sh            exit status 0 if what it and its tests are made of is what
#                                     landed last; prints what it found
#   tools/kernel-landed.sh --record   says that it is, in kernel-patches/landed; to be committed
#                                     after a change of it has landed, and not before

set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C

record=kernel-patches/landed

# The series and its configuration, the scripts, and the backend.
current() {
	find kernel-patches tools/build-kernel.sh tools/kernels.sh tools/kernels tests/vm src/uapi \
		src/backend_pagemap_scan.c src/pagemap* -type f ! -name README.md ! -path $record \
		! -name '*.pyc' | sort | xargs -d '\n' sha256sum | sha256sum | cut -d ' ' -f 1
}

case ${1-} in
--record)
	printf '# SPDX-License-Identifier: GPL-2.0-only\n%s\n' "$(current)" >$record
	;;
'')
	if grep -qxF "$(current)" $record 2>/dev/null; then
		echo 'the series, its scripts and the backend are what was tested when they landed'
		exit 0
	fi
	echo 'the series, its scripts or the backend changed since they landed'
	exit 1
	;;
*)
	sed -n 's/^# \{0,1\}//;4,/^$/p' "$0" >&2
	exit 2
	;;
esac
