#!/bin/sh
# SPDX-License-Identifier: MIT
# Breaks the library in one place at a time and checks that a test notices: sh tools/mutants.sh [WORD]
# runs the mutants whose name contains WORD. Works on a copy in build-mutants/, not part of CI.
set -u
top=$(cd "$(dirname "$0")/.." && pwd)
work=$top/build-mutants
wanted=${1:-}
killed=0 survived=0

rm -rf "$work" && mkdir -p "$work/tree" || exit 1
(cd "$top" && tar -cf - --exclude='./build*' --exclude=./.git .) | tar -xf - -C "$work/tree" || exit 1
cd "$work/tree" || exit 1
meson setup build -Db_lto=false >"$work/setup.log" 2>&1 || { cat "$work/setup.log"; exit 1; }
known=$(meson test -C build --list 2>/dev/null | sed 's,.* / ,,')

# mutant NAME FILE SED-EXPRESSION TEST...: the tests are names of meson tests; without a backend, of
# those that have one, pagemap-scan is meant.
mutant() {
  name=$1 file=$2 change=$3 tests=
  shift 3
  for test; do
    printf '%s\n' "$known" | grep -qxF "$test" || test=$test@pagemap-scan
    tests="$tests $test"
  done
  # shellcheck disable=SC2086 # names of tests have no blanks
  set -- $tests
  case $name in *"$wanted"*) ;; *) return ;; esac
  cp "$file" "$work/original"
  sed -i "$change" "$file"
  if cmp -s "$file" "$work/original"; then
    echo "STALE     $name: the expression changes nothing"
    survived=$((survived + 1))
  elif ! ninja -C build >"$work/build.log" 2>&1; then
    echo "STALE     $name: does not build, see $work/build.log"
    survived=$((survived + 1))
  elif WW_OPS=20000 WW_SECONDS=3 timeout 300 meson test -C build --no-rebuild "$@" >"$work/test.log" 2>&1; then
    echo "SURVIVED  $name ($*)"
    survived=$((survived + 1))
  else
    echo "killed    $name: $(sed -n 's/^ *[0-9]*\/[0-9]* *\([^ ].*[^ ]\)  *\(FAIL\|TIMEOUT\|ERROR\).*/\1/p' "$work/test.log" | sort -u | tr '\n' ' ')"
    killed=$((killed + 1))
  fi
  cp "$work/original" "$file"
}

scan=src/pagemap_scan_ioctl.c backend=src/backend_pagemap_scan.c arm=src/pagemap_scan_arm.c uffd=src/uffd.c

mutant 'resume by walk_end alone' $scan 's/\*next = arg.walk_end > .*/*next = arg.walk_end;/' pitfalls-scan
mutant 'stop after one vector' $scan 's/if (\*n < max && .*/if (1)/' pitfalls-scan
mutant 'ignore the room' $scan 's/\.max_pages = max_pages,/.max_pages = 0,/' pitfalls-scan
mutant 'believe the kernel' src/sink.c 's/\tbool ok = v->start >= .*/\tbool ok = true;/; s/ || check.odd & .*)$/)/' pitfalls-scan
mutant 'no distrust after an error' src/api_query.c 's/if (w->backend->ops->settle(w, start, end) < 0)/if (0)/' pitfalls-scan
mutant 'no sticky mark after an error' src/api_query.c 's/r->all_written = true;/;/' pitfalls-scan
mutant 'sticky mark on the last range only' src/api_query.c 's/struct range \*r = registry_first(&w->registry, q->start);/struct range *r = registry_first(\&w->registry, q->end - 1);/' conformance pitfalls-remap pitfalls-scan
mutant 'no check for remapped memory' $backend 's/filter.flags = WWK_PM_SCAN_CHECK_WPASYNC |/filter.flags = 0 |/' pitfalls-remap
mutant 'gaps: no check for remapped memory' src/gaps.c 's/if (at->sure || at->seen >= end)/if (1)/' pitfalls-remap
mutant 'gaps: reset over the gap' src/gaps.c 's/^\tend = earlier(at->range->end, span->end);/\tend = span->end;/' pitfalls-remap
mutant 'lazy with huge pages' src/maps.c 's/sys_madvise(start, end - start, MADV_NOHUGEPAGE)/0/' pitfalls-lazy
mutant 'a huge zero page is a hole' $arm 's/^\t       region->categories & WWK_PAGE_IS_HUGE;/\t       0;/' pitfalls-lazy
mutant 'lazy with merging' src/maps.c 's/sys_madvise(start, end - start, MADV_UNMERGEABLE)/0/' pitfalls-lazy
mutant 'lazy on populated memory' $arm 's/r->mode = armed == r->start ? PS_LAZY : PS_ARMED;/r->mode = PS_LAZY;/' pitfalls-lazy
mutant 'lazy on shared memory' $arm 's/kind == MAPPING_PRIVATE_ANON && //' conformance pitfalls-kernels
mutant 'lazy with discards' $arm 's/ \&\& !(r->flags & WW_DISCARDS)//' conformance
mutant 'everything armed' $arm 's/n = plan(w, r);/;/' pitfalls-lazy
mutant 'small parts are not armed' $arm 's/from - armed >= lazy_hole(w)/from - armed >= 0/' pitfalls-lazy
mutant 'require present' $backend 's/WWK_PAGE_IS_PRESENT | WWK_PAGE_IS_SWAPPED,/WWK_PAGE_IS_PRESENT,/' pitfalls-swap
mutant 'the zero page counts' $backend 's/\.inverted = WWK_PAGE_IS_PFNZERO | w->guard_pages,/.inverted = w->guard_pages,/; s/\.mask = WWK_PAGE_IS_WRITTEN | WWK_PAGE_IS_PFNZERO |/.mask = WWK_PAGE_IS_WRITTEN |/' pitfalls-lazy
mutant 'promote by protecting it all' $backend 's/ps_arm_untouched(w, r, r->start, r->end) == 0) {/uffd_protect(w, r->start, r->end) == 0) {/' pitfalls-lazy pitfalls-scan
mutant 'promote what is stale' $backend 's/if (ps_attached(w, r->start, r->end) != 1)/if (0)/' pitfalls-remap
mutant 'promoting uses the list of a query' $backend '/^static size_t count_populated/,/^}/s/w->regions/w->list/' pitfalls-lazy
mutant 'promote without the zero pages' $arm 's/n = arm_zero_pages(w, start, end);/n = 0;/' pitfalls-lazy
mutant 'promote without the holes' $arm 's/n = arm_holes(w, start, end);/n = 0;/' pitfalls-lazy
mutant 'writes into holes are not looked for' $arm 's/int r = n > 0 ? release_raced.*/int r = n < 0 ? n : 0;/' pitfalls-races
mutant 'reset by protecting' $backend 's/filter.flags = WWK_PM_SCAN_CHECK_WPASYNC | (reset.*/filter.flags = WWK_PM_SCAN_CHECK_WPASYNC; if (reset) uffd_protect(w, start, end);/' pitfalls-scan
mutant 'vec NULL' $scan 's/\.vec_len = max,/.vec_len = 0,/; s/\.vec = (uintptr_t)v,/.vec = 0,/' pitfalls-scan
mutant 'accept every version' src/pagemap_scan_probe.c 's/return major == 6 .*/return false;/' pitfalls-kernels
mutant 'no trial' src/pagemap_scan_probe.c 's/!tracks(w, &lazy)) || !tracks(w, &armed)/0)/' pitfalls-kernels
mutant 'no way around a denied call' $uffd 's/ && open_device(out) == 0)/ \&\& 0)/' pitfalls-kernels
mutant 'privileged userfaultfd' $backend 's/uffd_open(w, WWK_UFFD_USER_MODE_ONLY, features, 0, why)/uffd_open(w, 0, features, 0, why)/' pitfalls-kernels
mutant 'hugetlb is fine' $uffd 's/if (!(reg.ioctls & (1u << WWK_UFFDIO_ZEROPAGE_NR)) ||/if (0 \&\&/' pitfalls-kernels
mutant 'fork goes unnoticed' src/context.c 's/MADV_WIPEONFORK/MADV_DOFORK/' pitfalls-fork
mutant 'the child is clean' src/context.c 's/ops->arm_written(w, p) < 0;/ops->arm(w, p, MAPPING_PRIVATE_ANON) < 0;/' pitfalls-fork
mutant 'the child detaches' src/context.c 's/if (w->guard->own || w->backend.*/if (1)/' pitfalls-fork
mutant 'close whatever it is' src/sys.c '/^bool sys_is_open/,/^}/!b; s/st.st_dev == file->dev/1/; s/st.st_ino == file->ino/1/' pitfalls-fork badinput-process
mutant 'descriptors where they fall' src/sys.c 's/if (fd <= STDERR_FILENO) {/if (0) {/' badinput-process
mutant 'repair arms clean' src/api_watch.c 's/r = ops->arm_written(w, range);/r = ops->arm(w, range, MAPPING_PRIVATE_ANON);/' pitfalls-remap
mutant 'watching again resets' src/api_watch.c 's/if (!(flags & WW_DISCARDS) || range->flags & WW_DISCARDS)/w->backend->ops->arm(w, range, MAPPING_PRIVATE_ANON); if (1)/' conformance
mutant 'a failed watch keeps its pieces' src/api_watch.c 's/if (range->fresh) {/if (0) {/' badinput
mutant 'mark does nothing' $backend 's/return uffd_unprotect(w, start, end);/return 0;/' conformance
mutant 'mark cannot populate' $backend 's/if (end - start > ps_table_span(w) ||/if (1 ||/' pitfalls-lazy
mutant 'discard keeps the state' $backend 's/return r->mode == PS_ARMED ? ps_arm_untouched(w, r, m->start, m->end) : 0;/return 0;/' conformance
mutant 'wrapping ranges' src/context.c 's/(last | mask) == UINTPTR_MAX)/0)/; s/__builtin_add_overflow(first, len - 1, &last)/((last = first + len - 1), 0)/' badinput
mutant 'no need to be covered' src/api_query.c 's/return registry_reaches(first, q->start, q->end) ? first : NULL;/return first;/' badinput conformance
mutant 'ranges are not joined' src/sink.c 's/if (!count || v\[i\].start != last_end) {/if (1) {/' conformance sink
mutant 'split forgets the sticky mark' src/registry.c 's/tail.reported = 0;/tail.all_written = false;/' registry
mutant 'merge whatever touches' src/registry.c 's/return a->end == b->start \&\& .*/return a->end == b->start ||/' registry

sync=src/uffd_sync.c bus=src/backend_uffd_sigbus.c thread=src/backend_uffd_thread.c
mutant 'no_holes: dropped blocks go unseen' $backend 's/if (w->no_holes && r->flags & WW_DISCARDS)/if (0)/' pitfalls-holes
mutant 'no_holes: repaired blocks go unseen' $arm 's/^\tif (w->no_holes)$/\tif (0)/' pitfalls-holes
mutant 'uffd: a reset protects a page more' $sync '/^static int take(/,/^}/s/n = protect(w, start, \*end);/n = protect(w, start, *end + w->page_size);/' conformance@uffd-thread oracle-lazy@uffd-thread
mutant 'uffd: a reset protects nothing' $sync '/^static int take(/,/^}/s/n = protect(w, start, \*end);/n = 0;/' conformance@uffd-thread
mutant 'uffd: remapped memory goes unseen' $sync 's/return r == 0 ? -ESTALE : r;/return r == 0 ? 1 : r;/' pitfalls-remap@uffd-thread
mutant 'uffd: a repair arms clean' $sync '/^int uffd_sync_arm_written/,/^}/s/return uffd_unprotect(w, r->start, r->end);/return protect(w, r->start, r->end);/' pitfalls-remap@uffd-thread
mutant 'uffd: discards hide writes' $sync 's/n = release_raced(w, start, end);/n = 0;/' pitfalls-fork@uffd-thread
mutant 'uffd: discards see no fork' src/forks.c 's/^\treturn false;/\treturn true;/' pitfalls-fork@uffd-thread
mutant 'uffd: a marker hides what was swapped' $sync '/^int uffd_sync_discard/,/^}/s/n = fill(w, m->start, m->end);/n = 0;/; s/if (w->words\[i\] & PM_SWAPPED ||/if (/' pitfalls-swap@uffd-thread
mutant 'shared memory is protected too late' $backend 's/if (m->kind == MAPPING_SHARED && r->mode == PS_ARMED)/if (0)/' pitfalls-swap
mutant 'uffd: holes are reported' $sync 's/if (s->m.start > pos)/if (0)/' conformance@uffd-thread pitfalls-remap@uffd-thread
mutant 'thread: none in a child' $thread 's/if (w->has_thread && w->guard->own) {/if (w->has_thread) {/' pitfalls-fork@uffd-thread
mutant 'sigbus: a real one comes back for ever' $bus 's/(doubtful && !was_protected(w, page))/0/' pitfalls-handlers@uffd-sigbus
mutant 'sigbus: what may not be written' $bus 's/if (doubt && sys_madvise(.*/if (0)/' winapi-protection@uffd-sigbus pitfalls-handlers@uffd-sigbus
fault=src/mprotect_fault.c mscan=src/mprotect_scan.c mrange=src/mprotect_range.c
mutant 'mprotect: resets forget to protect' $mscan 's/r = protect_span(w, v\[0\].start, v\[n - 1\].end);/r = 0;/' conformance@mprotect
mutant 'mprotect: a page more is forgotten' $mscan '/^static void forget_run/,/^}/s/page_states_change(&w->states, run->start, run->end,/page_states_change(\&w->states, run->start, run->end + w->page_size,/' oracle-lazy@mprotect conformance@mprotect
mutant 'mprotect: no lock in a reset' $mscan '/^static int scan_some/,/^}/{s/clients_lock(&old);/(void)old;/;s/clients_unlock(&old);//}' concurrency@mprotect
mutant 'mprotect: never widened' $fault 's/if (w->widens)/if (0)/; s/if (w->splits >= 2 \* w->most_splits)/if (0)/' pitfalls-handlers@mprotect
mutant 'mprotect: widened at once' $fault 's/if (w->widens)/if (1)/' conformance@mprotect
mutant 'mprotect: what the program forbids' $fault 's/if (!(state & STATE_WRITE))/if (0)/' pitfalls-handlers@mprotect
mutant 'mprotect: repair believes everything' $mrange '/^static bool is_as_we_left_it/,/^}/s/return false;/return true;/' pitfalls-remap@mprotect
mutant 'signals: the handler goes under a fault' src/faults.c 's/(!h->stays || sys_is_alone())/1/' pitfalls-endings@mprotect
mutant 'signals: a fault is disowned when watching ends' src/faults.c 's/resolve((uintptr_t)addr, 0) ||$/resolve((uintptr_t)addr, 0) || 0 \&\&/' pitfalls-endings@mprotect
mutant 'signals: what handlers write to is watched' src/faults.c 's/range_meets(start, end, &errno, sizeof(errno)) ||//' pitfalls-corners@mprotect
mutant 'signals: a handler left by a jump is below for ever' src/faults.c 's/(void \*)now->context->uc_link == &passing/1/' pitfalls-corners@mprotect
mutant 'mprotect: a context lies in a hole' src/context.c 's/int r = context_map(NULL, &p, sizeof(\*w));/int r = sys_mmap(\&p, sizeof(*w), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);/' pitfalls-corners@mprotect
mutant 'mprotect: freed without the list of mappings' $mrange 's/if (r < 0 && w->ends)/if (0)/' pitfalls-endings@mprotect
mutant 'mprotect: a freed child stays protected' src/context.c 's/if (!w->guard->alive && w->backend->ops->inherit)/if (0)/' pitfalls-fork@mprotect
mutant 'handlers pass nothing on' src/faults.c 's/^\t\tpass_on(number, info, context, level);/\t\t;/' pitfalls-handlers@mprotect
mutant 'handlers stay behind' src/faults.c 's/if (h->users \&\& --h->users == 0 \&\&/if (0 \&\&/' pitfalls-handlers@mprotect
mutant 'handlers are not put back on top' src/faults.c '/^void faults_keep/,/^}/s/install(w->client.number);/;/' pitfalls-handlers@mprotect

pscan=src/process_scan.c pioctl=src/process_ioctl.c ppagemap=src/process_pagemap.c popen=src/process_open.c
mutant 'process: resume by walk_end alone' $pioctl 's/else if (arg.walk_end > \*start .*/else *start = before, *start = arg.walk_end; if (0)/' process-errors
mutant 'process: stop after one vector' $pioctl 's/if ((uint64_t)n < arg.vec_len && to->pages_left)/if (1)/' process-errors
mutant 'process: believe the kernel' $pioctl 's/if (v->start < \*start || v->end <= v->start || v->end > q->end ||/if (/' process-errors
mutant 'process: reset, then check' $pioctl 's/r = process_check_watched(p, q->start, q->end);/r = 0;/' process-scan
mutant 'process: hugetlb is reset' $pioctl 's/if (m.kind == MAPPING_HUGETLB)/if (0)/' process-scan
mutant 'process: ignore the limit of pages' $pscan 's/if (pages > to->pages_left) {/if (0) {/' process-ways process-scan
mutant 'process: ranges of one kind are not joined' $pscan 's/if (last && last->end == start && .*/if (0)/' process-ways process-scan
mutant 'process: a gone process looks empty' $pscan 's/if (r < 0 || !p->has_scan || !to->pages) {/if (0) {/' process-open
mutant 'process: user space has no end' $popen 's/p->limit = low << p->page_shift;/p->limit = UINT64_MAX << p->page_shift;/' process-query
mutant 'process: the number is enough' $popen 's/return \*number > 0 ? 0 : -ESRCH;/return 0;/' process-open
mutant 'process: a zombie is no zombie' $popen "s/return state == 'Z' || .*/return 0;/" process-open
mutant 'process: protected counts as written' $ppagemap 's/if (!(word & PM_UFFD_WP))/if (1)/' process-ways process-scan
mutant 'process: huge zero pages are a file' $ppagemap 's/ ? PM_FILE : 0;/ ? 0 : 0;/' process-ways
mutant 'process: the last piece is dropped' $ppagemap 's/end = m->end - start > most ? .*/end = m->end - start > 64 * p->page_size ? start + 64 * p->page_size : m->end; if (end == m->end \&\& start > m->start) break;/' process-ways
mutant 'process: categories nobody tried' src/process_probe.c 's/p->categories &= ~(uint64_t)WW_PAGE_SOFT_DIRTY |/p->categories \&= ~(uint64_t)0 |/' process-query
mutant 'memwatch: a failure is forgotten' src/process_memwatch.c 's/if (may_have_reset(&q, r))/if (0)/' process-errors
mutant 'memwatch: what is not reported is forgotten' src/process_memwatch.c 's/kept_remove(&p->kept, w->start, upto);/kept_remove(\&p->kept, w->start, w->end);/' process-errors
mutant 'memwatch: nothing is kept' src/process_memwatch.c 's/^\t\tkeep(w);/\t\t;/' process-errors
mutant 'memwatch: guard pages are reported' src/process_memwatch.c 's/\.excluded = w->p->categories & WW_PAGE_GUARD,/.excluded = 0,/' process-memwatch
mutant 'memwatch: empty pages are always reported' src/process_memwatch.c 's/\.any_of = w->flags & WW_MEMWATCH_PAGES_ONLY ? HELD : 0,/.any_of = 0,/' process-memwatch
mutant 'kept: removes too much' src/kept.c 's/if (last < k->count && k->ranges\[last\].start < end) {/if (0) {/' kept

echo "$killed killed, $survived survived"
[ $survived -eq 0 ]
