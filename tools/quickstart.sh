#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what is missing (Debian and its relatives), builds, and runs the demo or the tests.
#
#   sh tools/quickstart.sh [demo] [OPTION...]   options are for 'writewatch demo'
#   sh tools/quickstart.sh test [OPTION...]     options are for 'meson test'
#   sh tools/quickstart.sh deps-ci              only installs, also what .ci/run needs on top
#
# MESON_SETUP_ARGS: options for 'meson setup', used when build/ is configured for the first time.

set -u

packages='gcc g++ libc6-dev dpkg-dev meson ninja-build pkg-config libcriterion-dev liburing-dev
  libjansson-dev libncurses-dev scdoc'
ci_packages='valgrind clang libclang-rt-14-dev libsigsegv-dev qemu-system-x86 busybox-static cpio kmod
  e2fsprogs xz-utils patch flex bison bc libelf-dev redis-server redis-tools postgresql
  postgresql-contrib sqlite3 strace'

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
build=$root/build
log=$build/quickstart.log
PATH=${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
export PATH

say() {
  printf '==> %s\n' "$*"
}

die() {
  printf 'quickstart: %s\n' "$*" >&2
  exit 1
}

# Runs a command with its output in the log; shows the end of the log when it fails.
logged() {
  printf '\n$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null && return 0
  tail -n 30 "$log" >&2
  return 1
}

# The packages among the arguments that are not installed.
missing_packages() {
  installed=" $(dpkg-query -W -f='${db:Status-Status}=${Package} ' "$@" 2>/dev/null)"
  for package in "$@"; do
    case $installed in
    *" installed=$package "*) ;;
    *) printf ' %s' "$package" ;;
    esac
  done
}

# Sets changed=yes if something was installed.
install_missing() {
  changed=no
  if ! command -v dpkg-query >/dev/null; then
    say "no dpkg here: expecting the like of these packages to be installed: $*"
    return
  fi
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  by_hand="apt-get update && apt-get install -y --no-install-recommends$missing"
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif command -v sudo >/dev/null; then
    as_root=sudo
    # Asks for the password while the terminal can be seen.
    sudo true || die "sudo refused; as root, run: $by_hand"
  else
    die "neither root nor sudo; as root, run: $by_hand"
  fi
  say "installing$missing (log: $log)"
  logged $as_root apt-get update || say "apt-get update failed: trying with the lists there are"
  # shellcheck disable=SC2086 # a list of words
  logged $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends $missing ||
    die "cannot install$(missing_packages "$@"); the whole log: $log
as root, try: $by_hand"
  changed=yes
}

# Compilers, meson and apt-get want some place for temporary files.
find_tmp() {
  for dir in "${TMPDIR:-/tmp}" /var/tmp "$build/tmp"; do
    [ "$dir" != "$build/tmp" ] || mkdir -p "$dir" || die "cannot write to $build"
    if [ -d "$dir" ] && [ -w "$dir" ]; then
      TMPDIR=$dir
      export TMPDIR
      return
    fi
  done
  die "no writable directory for temporary files: set TMPDIR"
}

build_failed() {
  die "$1 failed, see above; the whole log: $log
to begin anew: rm -r $build"
}

configure_and_build() {
  if [ ! -f "$build/build.ninja" ]; then
    say "configuring $build"
    # shellcheck disable=SC2086 # a list of words
    logged meson setup "$build" "$root" $1 ${MESON_SETUP_ARGS:-} || build_failed "meson setup"
  elif [ "$changed" = yes ]; then
    say "configuring $build again: packages were installed"
    logged meson setup --reconfigure "$build" "$root" || build_failed "meson setup --reconfigure"
  fi
  say "building (log: $log)"
  logged ninja -C "$build" || build_failed "the build"
}

run_demo() {
  say "running $build/cmd/writewatch demo${*:+ $*}"
  exec "$build/cmd/writewatch" demo "$@"
}

run_tests() {
  [ -n "$(meson test -C "$build" --list 2>/dev/null)" ] ||
    die "no tests are configured in $build: is Criterion missing? To begin anew: rm -r $build"
  set -- meson test -C "$build" --no-rebuild --print-errorlogs "$@"
  # Criterion has its socket in /tmp, whatever TMPDIR says.
  if [ ! -w /tmp ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v mount >/dev/null; then
      die "Criterion needs a writable /tmp to run the tests"
    fi
    say "/tmp is not writable: the tests get one of their own"
    # shellcheck disable=SC2016 # expanded by the inner shell
    set -- unshare -m sh -c 'mount -t tmpfs tmpfs /tmp && exec "$@"' sh "$@"
  fi
  say "running the tests of $build"
  exec "$@"
}

mode=demo
case ${1:-} in
demo | test | deps-ci)
  mode=$1
  shift
  ;;
'' | -*) ;;
*)
  printf 'usage: sh tools/quickstart.sh [demo [OPTION...] | test [OPTION...] | deps-ci]\n' >&2
  exit 2
  ;;
esac

if ! mkdir -p "$build" || ! true >"$log"; then
  die "cannot write to $build"
fi
find_tmp
# shellcheck disable=SC2086 # lists of words
case $mode in
deps-ci)
  install_missing $packages $ci_packages
  say "everything is installed"
  ;;
test)
  install_missing $packages
  configure_and_build -Dtests=enabled
  run_tests "$@"
  ;;
demo)
  install_missing $packages
  configure_and_build ''
  run_demo "$@"
  ;;
esac
