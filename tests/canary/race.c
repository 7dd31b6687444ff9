/* SPDX-License-Identifier: MIT */
/* Should fail under the thread sanitizer: two threads count in one plain variable. */
#include <criterion/criterion.h>
#include <pthread.h>

static volatile int counter;

static void *count(void *arg)
{
	for (int i = 0; i < 1000; i++)
		counter = counter + 1;
	return arg;
}

Test(canary, race)
{
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, count, NULL), 0);
	count(NULL);
	pthread_join(thread, NULL);
}
