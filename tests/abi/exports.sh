#!/bin/sh
# SPDX-License-Identifier: MIT
# exports.sh LIBRARY HEADER...: what the library exports is exactly what the headers declare public.
library=$1
shift
declared=$(cat "$@" | tr '\n' ' ' | grep -o 'WW_PUBLIC [^;]*;' | grep -o 'ww_[a-z0-9_]* *(' | tr -d ' (' | sort -u)
exported=$(nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u)
others=$(nm -D --defined-only "$library" | awk '$2 != "T" && $2 != "A" { print $3 }')
if [ "$declared" != "$exported" ] || [ -n "$others" ] || [ -z "$declared" ]; then
  echo "declared: $declared"
  echo "exported: $exported"
  echo "other symbols: $others"
  exit 1
fi
