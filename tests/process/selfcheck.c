/* SPDX-License-Identifier: MIT */
#include "selfcheck.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __x86_64__

#define VECTORS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14"
#define GENERAL(X) \
	X(rax, 1) X(rbx, 2) X(rdx, 3) X(rsi, 4) X(rbp, 5) X(r8, 6) X(r9, 7) X(r10, 8) X(r11, 9) \
	X(r12, 10) X(r13, 11) X(r14, 12) X(r15, 13)
#define LOAD(reg, n) "hold_pattern " #n "\nmov %rcx, %" #reg "\n"
#define CHECK(reg, n) "hold_pattern " #n "\ncmp %rcx, %" #reg "\njne 9f\n"

/* The direction flag and carry as well, which counting down leaves alone. */
__asm__(".macro hold_pattern n\nmovabs $0x0102030405060708+\\n, %rcx\n.endm\n"
	".macro hold_spread n, to\nhold_pattern \\n\n"
	"vmovq %rcx, %xmm\\to\nvpbroadcastq %xmm\\to, %ymm\\to\n.endm\n"
	".text\n.type hold_registers, @function\nhold_registers:\n"
	"push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
	"sub $24, %rsp\n"
	"stmxcsr (%rsp)\nfnstcw 4(%rsp)\n"
	"movl $0x5f80, 8(%rsp)\nldmxcsr 8(%rsp)\nmovw $0x0b7f, 12(%rsp)\nfldcw 12(%rsp)\n"
	".irp n," VECTORS "\nhold_spread \\n, \\n\n.endr\n" GENERAL(LOAD)
	"mov %r15, -8(%rsp)\nmov %r14, -128(%rsp)\nfld1\nstd\nstc\n"
	"1: dec %rdi\njnz 1b\njnc 9f\n"
	"cmp %r15, -8(%rsp)\njne 9f\ncmp %r14, -128(%rsp)\njne 9f\n"
	"pushf\npop %rcx\ntest $0x400, %ecx\njz 9f\n"
	GENERAL(CHECK)
	".irp n," VECTORS "\nhold_spread \\n, 15\n"
	"vpxor %ymm15, %ymm\\n, %ymm15\nvptest %ymm15, %ymm15\njnz 9f\n.endr\n"
	"stmxcsr 8(%rsp)\ncmpl $0x5f80, 8(%rsp)\njne 9f\n"
	"fnstcw 12(%rsp)\ncmpw $0x0b7f, 12(%rsp)\njne 9f\n"
	"fld1\nfcomip %st(1), %st\njne 9f\n"
	"xor %eax, %eax\njmp 8f\n"
	"9: mov $1, %eax\n"
	"8: cld\nfninit\nldmxcsr (%rsp)\nfldcw 4(%rsp)\nvzeroupper\n"
	"add $24, %rsp\n"
	"pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n"
	".size hold_registers, . - hold_registers\n");

int hold_registers(uint64_t turns);

int selfcheck_possible(void)
{
	return __builtin_cpu_supports("avx2");
}

#else

static int hold_registers(uint64_t turns)
{
	(void)turns;
	return 0;
}

int selfcheck_possible(void)
{
	return 0;
}

#endif

#define SHORT_NS 300000L

/* Waits with a timeout of a moment, in the way that is wanted; 0 if it ended by that. */
static int wait_once(enum selfcheck_way way, int epoll)
{
	struct timespec time = {.tv_nsec = SHORT_NS};
	struct epoll_event event;
	sigset_t set;
	uint32_t word = 0;

	sigemptyset(&set);
	switch (way) {
	case IN_NANOSLEEP:
		return nanosleep(&time, NULL);
	case IN_POLL:
		return poll(NULL, 0, 1);
	case IN_EPOLL_WAIT:
		return epoll_wait(epoll, &event, 1, 1);
	case IN_FUTEX:
		return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &time, NULL, 0) == -1 &&
				       errno == ETIMEDOUT
			       ? 0
			       : -1;
	case IN_SIGTIMEDWAIT:
		sigaddset(&set, SIGUSR2);
		return sigtimedwait(&set, NULL, &time) == -1 && errno == EAGAIN ? 0 : -1;
	case IN_PPOLL:
		sigaddset(&set, SIGHUP);
		return ppoll(NULL, 0, &time, &set);
	default:
		return hold_registers(20000);
	}
}

/*
 * Where that is documented: of a call that was stopped in before, the kernel alone knows how it goes
 * on, and forgets that when the thread restores itself. Tests count how often it happens.
 */
static bool may_be_interrupted(enum selfcheck_way way)
{
	return way != IN_REGISTERS && way != IN_PPOLL;
}

static void fail(struct selfcheck *s, int what)
{
	s->what = what;
	__atomic_add_fetch(&s->failures, 1, __ATOMIC_SEQ_CST);
}

_Noreturn void selfcheck_run(struct selfcheck *s)
{
	static char other_stack[65536];
	stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof(other_stack)}, now;
	sigset_t blocked, mask;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	sigaltstack(&stack, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	for (;;) {
		errno = 77;
		if (wait_once(s->way, epoll) != 0) {
			if (errno == EINTR && may_be_interrupted(s->way))
				__atomic_add_fetch(&s->eintr, 1, __ATOMIC_SEQ_CST);
			else
				fail(s, 1000 + errno);
		}
		if (s->way == IN_REGISTERS && errno != 77)
			fail(s, 1);
		sigemptyset(&mask);
		sigprocmask(SIG_SETMASK, NULL, &mask);
		if (memcmp(&mask, &blocked, sizeof(uint64_t)) != 0)
			fail(s, 2);
		sigaltstack(NULL, &now);
		if (now.ss_sp != stack.ss_sp || now.ss_size != stack.ss_size || now.ss_flags)
			fail(s, 3);
		__atomic_add_fetch(&s->rounds, 1, __ATOMIC_SEQ_CST);
	}
}

void selfcheck_await(struct selfcheck *s)
{
	uint64_t rounds = __atomic_load_n(&s->rounds, __ATOMIC_SEQ_CST);

	for (int i = 0; __atomic_load_n(&s->rounds, __ATOMIC_SEQ_CST) < rounds + 2; i++) {
		cr_assert_lt(i, 50000, "it does not go on, way %d", s->way);
		usleep(100);
	}
	cr_assert_eq(s->failures, 0, "%lu failures, the last one %d, way %d",
		     (unsigned long)s->failures, s->what, s->way);
}
