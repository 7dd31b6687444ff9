# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Part of the tools for kernel-patches/: what they say. They run in the root of the repository.

program=$(basename "$0" .sh)

say() {
	printf '# %s: %s\n' "$program" "$*" >&2
}

die() {
	printf '%s: %s\n' "$program" "$*" >&2
	exit 1
}

# The head of the program.
usage() {
	sed -n 's/^# \{0,1\}//;4,/^$/p' "tools/$program.sh" >&2
	exit 2
}
