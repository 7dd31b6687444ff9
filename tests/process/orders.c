/* SPDX-License-Identifier: MIT */
#include "orders.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];
static int (*carry_out)(char order);

void orders_begin(int (*obey)(char order))
{
	carry_out = obey;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

void orders_end(void)
{
	close(ends[0]);
	close(ends[1]);
}

void orders_take(void *arg)
{
	char order;

	(void)arg;
	while (read(ends[1], &order, 1) == 1) {
		int error = carry_out(order);

		if (write(ends[1], &error, sizeof(error)) != sizeof(error))
			_exit(1);
	}
	_exit(0);
}

void tell(char order)
{
	int error;

	cr_assert_eq(write(ends[0], &order, 1), 1);
	cr_assert_eq(read(ends[0], &error, sizeof(error)), sizeof(error));
	cr_assert_eq(error, 0, "%s", strerror(error));
}
