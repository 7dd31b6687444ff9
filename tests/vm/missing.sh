#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Tests what tools/kernels.sh says where it cannot run anything: missing.sh KERNELS.SH. Prints TAP.

kernels=$1
number=0
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
# All the tools that there are.
mkdir "$folder/bin" && ln -s "$(command -v dirname)" "$(command -v mkdir)" "$folder/bin" || exit 1

# check NAME CI EXPECTED: the last line of what it says.
check() {
	number=$((number + 1))
	said=$(CI=$2 PATH=$folder/bin /bin/bash "$kernels" --tap --work "$folder/work" 6.1:never \
		2>"$folder/errors" | tail -n 1)
	if [ "$said" = "$3" ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		printf '%s\n' "expected: $3" "actual: $said" | sed 's/^/# /'
		sed 's/^/# /' "$folder/errors"
	fi
}

echo "TAP version 13"
check "a skip" "" "1..0 # SKIP apt-get is missing"
check "a failure of CI" true "not ok 1 - apt-get is missing"
echo "1..$number"
