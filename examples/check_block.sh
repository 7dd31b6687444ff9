#!/bin/sh
# SPDX-License-Identifier: MIT
# check_block.sh DOCUMENT SOURCE: the document's first fenced block is a part of the source, but for
# indentation and empty lines.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

awk '/^```/ { n++; next } n == 1' "$1" | sed '/^[ \t]*$/d; s/^[ \t]*//' >"$dir/lines"
test "$(wc -l <"$dir/lines")" -ge 8
sed '/^[ \t]*$/d; s/^[ \t]*//' "$2" >"$dir/source"
tail -n +"$(grep -nxF -m 1 "$(head -n 1 "$dir/lines")" "$dir/source" | cut -d: -f1)" "$dir/source" |
  head -n "$(wc -l <"$dir/lines")" | diff "$dir/lines" - || {
  echo "the first block of $1 differs from $2"
  exit 1
}
