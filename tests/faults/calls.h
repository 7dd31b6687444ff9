/* SPDX-License-Identifier: MIT */
#ifndef TEST_FAULTS_CALLS_H
#define TEST_FAULTS_CALLS_H

#include <stdbool.h>
#include <stddef.h>

/* Which calls the library makes, and how each can fail: data. */

/* Who makes the call: the program's thread; or a signal handler, or the thread for faults. */
enum scope { BY_CALLER, BY_HANDLER };

/**
 * enum setting - what is amiss all the time
 * @NO_USERFAULTFD_CALL: the system call is denied, and the device is not
 * @NO_QUERY_MAP:        what is mapped has to be read as text
 * @NO_MARKERS:          private pages that are not there cannot be protected
 * @STALE_BITS:          what mremap(2) leaves behind is not known
 * @NO_ZERO_PAGE:        what is only read gets a page of its own
 * @EVERY_FAULT_TWICE:   the thread for faults fails to un-protect a page at the first try
 */
enum setting {
	USUAL,
	NO_USERFAULTFD_CALL,
	NO_QUERY_MAP,
	NO_MARKERS,
	STALE_BITS,
	NO_ZERO_PAGE,
	EVERY_FAULT_TWICE,
};

enum call_id {
	CALL_OPEN,
	CALL_USERFAULTFD,
	CALL_ADOPT,
	CALL_PIPE,
	CALL_PREAD,
	CALL_READ,
	CALL_WRITE,
	CALL_PWRITE,
	CALL_POLL,
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MPROTECT,
	CALL_MREMAP,
	CALL_SIGACTION,
	CALL_THREAD_START,
	CALL_KERNEL_RELEASE,
	CALL_MALLOC,
	CALL_UFFD_NEW,
	CALL_UFFD_API,
	CALL_UFFD_REGISTER,
	CALL_UFFD_UNREGISTER,
	CALL_UFFD_PROTECT,
	CALL_UFFD_ZEROPAGE,
	CALL_UFFD_COPY,
	CALL_UFFD_ASK,
	CALL_UFFD_WAKE,
	CALL_SCAN,
	CALL_QUERY_MAP,
	CALL_WIPEONFORK,
	CALL_DONTNEED,
	CALL_DONTNEED_LOCKED,
	CALL_REMOVE,
	CALL_POPULATE_READ,
	CALL_POPULATE_WRITE,
	CALL_NOHUGEPAGE,
	CALL_UNMERGEABLE,
	CALL_COLD,
	CALLS
};

/* In the place of an errno value: fewer bytes than asked for, and none. */
#define SHORT_COUNT 1001
#define END_OF_FILE 1002

/**
 * struct call - how a call can fail
 * @name:    of the function, or of the request or advice
 * @lasting: errno values that it may go on giving
 * @passing: those that a second try does not meet
 * @partial: it may fail after having done its work, or a part of it
 */
struct call {
	const char *name;
	int lasting[8];
	int passing[3];
	bool partial;
};

extern const struct call calls[CALLS];

/* Of an ioctl, and of advice to the kernel; ends the process if the table has none. */
enum call_id call_of_request(unsigned long request);
enum call_id call_of_advice(int advice);

/**
 * struct reach - who makes a call where nothing fails
 * @by:         backends that do, each 1 shifted by its place in the table of backends
 * @in_handler: those whose handler does
 * @perhaps:    those that do on some kernels, in either way
 */
struct reach {
	enum setting setting;
	enum call_id call;
	unsigned by;
	unsigned in_handler;
	unsigned perhaps;
};

extern const struct reach reaches[];
extern const size_t reach_count;

/* Of one call in one setting; NULL: no backend makes it there on every kernel. */
const struct reach *reach_find(enum setting setting, enum call_id call);

enum api {
	API_PROBE,
	API_NEW,
	API_WATCH,
	API_UNWATCH,
	API_GET,
	API_GET_RANGES,
	API_GET_BITMAP,
	API_RESET,
	API_MARK,
	API_DISCARD,
	API_PREPARE_WRITE,
	API_PROTECT,
	API_INFO,
	APIS
};

extern const char *const api_names[APIS];

/* Whether the header lists the error, positive, for arguments that are right; and what it lists
 * for contexts that have to begin anew. */
bool is_documented(enum api api, int error);
bool is_documented_anew(enum api api, int error);

const char *error_name(int error);

#endif
