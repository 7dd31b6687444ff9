#!/bin/sh
# SPDX-License-Identifier: MIT
# check_readme.sh README minimal.c minimal: the README's first example is what minimal.c does, and
# prints what the README says.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

sh "$(dirname "$0")/check_block.sh" "$1" "$2"
awk '/^```/ { n++; next } n == 3' "$1" >"$dir/expected"
"$3" | diff "$dir/expected" - || {
  echo "$3 does not print the second block of $1"
  exit 1
}
