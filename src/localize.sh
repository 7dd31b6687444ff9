#!/bin/sh
# SPDX-License-Identifier: MIT
# localize.sh OBJCOPY AR ARCHIVE OUTPUT WORK-DIR CC...: makes one object of the archive, its hidden
# names local, and an archive of that.
set -e
objcopy=$1 ar=$2 archive=$3 output=$4 dir=$5
shift 5
mkdir -p "$dir"
"$@" -r -nostdlib -o "$dir/writewatch.o" -Wl,--whole-archive "$archive" -Wl,--no-whole-archive
"$objcopy" --localize-hidden "$dir/writewatch.o"
rm -f "$output"
"$ar" rcs "$output" "$dir/writewatch.o"
