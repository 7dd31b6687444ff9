#!/bin/sh
# SPDX-License-Identifier: MIT
# exports.sh -D|-g LIBRARY HEADER...: what the shared library or archive exports is exactly what the
# headers declare public. (Sanitizers and compilers add names that begin with two underscores.)
which=$1 library=$2
shift 2
declared=$(cat "$@" | tr '\n' ' ' | grep -o 'WW_PUBLIC [^;]*;' | grep -o 'ww_[a-z0-9_]* *(' | tr -d ' (' | sort -u)
names=$(nm "$which" --defined-only "$library" | awk 'NF == 3 { sub(/@.*/, "", $3); print $2, $3 }' | grep -v ' __')
exported=$(echo "$names" | awk '$1 == "T" { print $2 }' | sort -u)
others=$(echo "$names" | awk '$1 != "T" && $1 != "A" { print $2 }')
if [ "$declared" != "$exported" ] || [ -n "$others" ] || [ -z "$declared" ]; then
  echo "declared: $declared"
  echo "exported: $exported"
  echo "other symbols: $others"
  exit 1
fi
