#!/bin/sh
# SPDX-License-Identifier: MIT
# subproject.sh SOURCE-ROOT WORK-DIR PROGRAM.c CC...: a project that has the library as a subproject
# installs its own program and nothing else, and what it installed runs without its build folder.
set -eu
root=$1 dir=$2/subproject program=$3
shift 3
command -v meson >/dev/null || {
  echo "no meson on the PATH"
  exit 77
}
unset DESTDIR CFLAGS LDFLAGS
export CC="$*"

rm -rf "$dir"
mkdir -p "$dir/outer/subprojects"
trap 'rm -rf "$dir"' EXIT
ln -s "$root" "$dir/outer/subprojects/writewatch"
cp "$program" "$dir/outer/program.c"
cat >"$dir/outer/meson.build" <<'EOF'
project('outer', 'c')
writewatch = dependency('writewatch', fallback: 'writewatch')
executable('program', 'program.c', dependencies: writewatch, install: true)
EOF

# One that is installed on the machine is not what is tested.
{
  meson setup --wrap-mode=forcefallback --prefix=/usr -Doptimization=0 "$dir/build" "$dir/outer" &&
    DESTDIR="$dir/installed" meson install -C "$dir/build"
} >"$dir/log" 2>&1 || {
  cat "$dir/log"
  exit 1
}
rm -rf "$dir/build"

installed=$(cd "$dir/installed" && find . ! -type d)
if [ "$installed" != ./usr/bin/program ]; then
  echo "installed: $installed"
  exit 1
fi
"$dir/installed/usr/bin/program"
