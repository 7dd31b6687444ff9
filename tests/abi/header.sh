#!/bin/sh
# SPDX-License-Identifier: MIT
# header.sh INCLUDE-DIR HEADER LANGUAGE STANDARD COMPILER-AND-FLAGS...: includes it alone, twice.
dir=$1 header=$2 language=$3 standard=$4
shift 4
printf '#include <writewatch/%s>\n#include <writewatch/%s>\n' "$header" "$header" |
  "$@" "$standard" -I"$dir" -x "$language" -
