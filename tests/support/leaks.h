/* SPDX-License-Identifier: MIT */
#ifndef TEST_SUPPORT_LEAKS_H
#define TEST_SUPPORT_LEAKS_H

#include <stddef.h>

/*
 * What a test leaves behind in its process: descriptors, mappings, and ranges that are still
 * registered with a userfaultfd. Use as
 *
 *	TestSuite(name, .init = leaks_begin, .fini = leaks_end);
 *
 * A test that keeps a context for the life of the process makes it first and calls leaks_begin()
 * itself. A difference fails the test, and what leaked is printed.
 *
 * [heap], [stack] and the kernel's own mappings are not compared: valgrind and LeakSanitizer see
 * what is lost there. Mappings are not compared either where a sanitizer's or valgrind's own come
 * and go: in sanitizer builds, and when the environment has WW_LEAKS=fds.
 */
void leaks_begin(void);
void leaks_end(void);

/*
 * For tests that start threads: glibc keeps the stacks of joined threads for the next ones. A new
 * anonymous mapping that has exactly the shape of such a stack is let pass, nothing else is.
 */
void leaks_end_threads(void);

/* The same, also letting pass tables that are kept for a context which is never freed. */
void leaks_end_tables(void);

enum leaks_allowance { LEAKS_STRICT, LEAKS_THREAD_STACKS, LEAKS_TABLES };

/* How many leaks there are since leaks_begin(); prints them. For tests of this file. */
size_t leaks_found(enum leaks_allowance allowance);

#endif
