/* SPDX-License-Identifier: MIT */
#include "inject.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

#include "sys_process.h"

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

/* What an interrupted call has returned, where only the kernel sees it: ways to restart it. */
#define RESTART_SYS 512
#define RESTART_NO_INTERRUPT 513
#define RESTART_NO_HANDLER 514L
#define RESTART_BLOCK 516

/* The kernel's flags of a frame, and how it marks one that has more than the oldest registers. */
#define UC_HAS_XSTATE 1
#define UC_HAS_SS 2
#define UC_STRICT_SS 4
#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u
#define XSTATE_SOFTWARE 464
#define XSTATE_HEADER 512
#define XSTATE_MIN 576
#define XFEATURE_PKRU (UINT64_C(1) << 9)

#define RED_ZONE 128

#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

struct xstate_mark {
	uint32_t magic1;
	uint32_t whole_size;
	uint64_t features;
	uint32_t size;
	uint32_t unused[7];
};

/*
 * These calls fail with EINTR when the thread was only stopped. None of them has done anything
 * then, so they may go on as most others do by themselves, unless there is a handler to run. Not
 * connect(2): it goes on connecting, and would fail for that when it is called again.
 */
void frame_hide_interruption(struct user_regs_struct *regs)
{
	static const unsigned short calls[] = {
		SYS_epoll_wait, SYS_epoll_pwait, 441 /* epoll_pwait2 */, SYS_rt_sigtimedwait,
		SYS_semop, SYS_semtimedop, SYS_io_getevents, 333 /* io_pgetevents */,
		426 /* io_uring_enter */, SYS_accept, SYS_accept4, SYS_recvfrom, SYS_recvmsg,
		SYS_sendto, SYS_sendmsg, SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_recvmmsg,
		SYS_sendmmsg, SYS_sendfile,
	};

	if ((long)regs->rax != -EINTR)
		return;
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (regs->orig_rax == calls[i])
			regs->rax = (uint64_t)-RESTART_NO_HANDLER;
}

/*
 * In a restartable sequence the kernel would lead a thread that lost its processor to the code that
 * begins anew, but not one that seems to be elsewhere: so this does.
 */
void frame_abort_sequence(pid_t pid, pid_t tid, struct user_regs_struct *regs)
{
	struct {
		uint64_t abi;
		uint32_t size, signature, flags, pad;
	} config;
	struct {
		uint32_t version, flags;
		uint64_t start, length, abort;
	} sequence;
	uint64_t at;

	if (sys_ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(config),
		       (uintptr_t)&config) < 0 || !config.abi ||
	    sys_read_memory(pid, config.abi + 8, &at, sizeof(at)) < 0 || !at ||
	    sys_read_memory(pid, at, &sequence, sizeof(sequence)) < 0)
		return;
	if (regs->rip - sequence.start < sequence.length)
		regs->rip = sequence.abort;
}

void frame_restart(struct user_regs_struct *regs)
{
	long error = -(long)regs->rax;

	if ((long)regs->orig_rax < 0)
		return;
	/* Where the kernel would go on with the rest of a timeout, which only it knows, this begins
	 * anew: it can take longer, but no call fails that would not have. */
	if (error == RESTART_SYS || error == RESTART_NO_INTERRUPT || error == RESTART_NO_HANDLER ||
	    error == RESTART_BLOCK) {
		regs->rax = regs->orig_rax;
		regs->rip -= 2;
	}
}

/* How much of the registers' image the features reach. */
static size_t xstate_size(uint64_t features)
{
	size_t size = XSTATE_MIN;

	for (unsigned i = 2; i < 63; i++) {
		unsigned bytes, offset, c, d;

		if (!(features >> i & 1) || !__get_cpuid_count(13, i, &bytes, &offset, &c, &d))
			continue;
		if (offset + bytes > size)
			size = offset + bytes;
	}
	return size;
}

/* Returns its size without the mark behind it, 0 if the kernel does not tell. */
static size_t read_xstate(pid_t tid, unsigned char *image, size_t room)
{
	/* In multiples of 8, with place for what comes behind. */
	struct iovec iov = {image, room - 8};
	struct xstate_mark mark = {.magic1 = XSTATE_MAGIC1};
	const uint32_t magic2 = XSTATE_MAGIC2;
	uint64_t enabled, used;

	if (sys_ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, (uintptr_t)&iov) < 0 ||
	    iov.iov_len < XSTATE_MIN)
		return 0;
	memcpy(&enabled, image + XSTATE_SOFTWARE, sizeof(enabled));
	memcpy(&used, image + XSTATE_HEADER, sizeof(used));
	used |= 3 | (enabled & XFEATURE_PKRU);
	memcpy(image + XSTATE_HEADER, &used, sizeof(used));
	/* What is not named is as a new thread has it, which is so for what is not used. */
	mark.features = used;
	mark.size = (uint32_t)xstate_size(used);
	mark.whole_size = mark.size + (uint32_t)sizeof(magic2);
	if (mark.size > iov.iov_len)
		return 0;
	memcpy(image + XSTATE_SOFTWARE, &mark, sizeof(mark));
	memcpy(image + mark.size, &magic2, sizeof(magic2));
	return mark.size;
}

static void put_registers(greg_t *to, const struct user_regs_struct *from)
{
	to[REG_R8] = (greg_t)from->r8;
	to[REG_R9] = (greg_t)from->r9;
	to[REG_R10] = (greg_t)from->r10;
	to[REG_R11] = (greg_t)from->r11;
	to[REG_R12] = (greg_t)from->r12;
	to[REG_R13] = (greg_t)from->r13;
	to[REG_R14] = (greg_t)from->r14;
	to[REG_R15] = (greg_t)from->r15;
	to[REG_RDI] = (greg_t)from->rdi;
	to[REG_RSI] = (greg_t)from->rsi;
	to[REG_RBP] = (greg_t)from->rbp;
	to[REG_RBX] = (greg_t)from->rbx;
	to[REG_RDX] = (greg_t)from->rdx;
	to[REG_RAX] = (greg_t)from->rax;
	to[REG_RCX] = (greg_t)from->rcx;
	to[REG_RSP] = (greg_t)from->rsp;
	to[REG_RIP] = (greg_t)from->rip;
	to[REG_EFL] = (greg_t)from->eflags;
	to[REG_CSGSFS] = (greg_t)((from->cs & 0xffff) | (from->gs & 0xffff) << 16 |
				  (from->fs & 0xffff) << 32 | (from->ss & 0xffff) << 48);
}

void frame_build(struct frame *f, pid_t tid, const struct user_regs_struct *regs, uint64_t mask,
		 uint64_t leave, uint64_t floor)
{
	/* The C library's mask is larger than the kernel's, and comes last. */
	const size_t context_size = offsetof(ucontext_t, uc_sigmask) + sizeof(mask);
	struct user_regs_struct again = *regs;
	unsigned char *image = f->saved;
	size_t size = read_xstate(tid, image, FRAME_ROOM);
	size_t whole = size + sizeof(uint32_t);
	uint64_t fp = (regs->rsp - RED_ZONE - whole) & ~UINT64_C(63);
	ucontext_t context;

	f->at = (fp - sizeof(leave) - context_size) & ~UINT64_C(15);
	f->size = (size_t)(fp + whole - f->at);
	if (!size || f->size > FRAME_ROOM || regs->rsp < floor || f->at < floor ||
	    f->at > regs->rsp) {
		f->at = f->size = 0;
		return;
	}
	memset(&context, 0, sizeof(context));
	context.uc_flags = UC_HAS_XSTATE | UC_HAS_SS | UC_STRICT_SS;
	/* The alternate stack of the thread cannot be read; the kernel keeps it when it is to set
	 * one that cannot be. */
	context.uc_stack.ss_flags = 0x70;
	frame_restart(&again);
	put_registers(context.uc_mcontext.gregs, &again);
	context.uc_mcontext.fpregs = (fpregset_t)(uintptr_t)fp;
	memcpy(&context.uc_sigmask, &mask, sizeof(mask));
	memset(f->bytes, 0, f->size);
	memcpy(f->bytes, &leave, sizeof(leave));
	memcpy(f->bytes + sizeof(leave), &context, context_size);
	memcpy(f->bytes + (fp - f->at), image, whole);
}

#endif
