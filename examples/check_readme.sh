#!/bin/sh
# SPDX-License-Identifier: MIT
# check_readme.sh README minimal.c minimal: the README's first example is what minimal.c does, and
# prints what the README says.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# block N: the N-th fenced block of the README
block() {
  awk -v want="$1" '/^```/ { inside = !inside; n += inside; next } inside && n == want' "$readme"
}

readme=$1
block 1 | sed '/^[ \t]*$/d; s/^[ \t]*//' >"$dir/lines"
test "$(wc -l <"$dir/lines")" -ge 8
sed '/^[ \t]*$/d; s/^[ \t]*//' "$2" >"$dir/source"
tail -n +"$(grep -nxF -m 1 "$(head -n 1 "$dir/lines")" "$dir/source" | cut -d: -f1)" "$dir/source" |
  head -n "$(wc -l <"$dir/lines")" | diff "$dir/lines" - || {
  echo "the first block of $1 differs from $2"
  exit 1
}
block 2 >"$dir/expected"
"$3" | diff "$dir/expected" - || {
  echo "$3 does not print the second block of $1"
  exit 1
}
