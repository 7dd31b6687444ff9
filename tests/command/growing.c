/* SPDX-License-Identifier: MIT */
/* 'writewatch report' of a recording that goes on while it is read, which it is more than once. */
#include "report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ull
#define SECOND 1000000000ull
#define INTERVALS 5

static const struct recording_header header = {
    .page_size = PAGE,
    .interval_ns = SECOND,
    .pid = 4711,
    .tracking = RECORDING_EXACT,
    .command = "growing",
    .release = "6.12",
};

static const struct recording_mapping mappings[] = {
    {16 * PAGE, 99 * PAGE, RECORDING_READ | RECORDING_WRITE, 3, "first"},
    {200 * PAGE, 300 * PAGE, RECORDING_READ | RECORDING_WRITE, 1, "second"},
};

static struct recording_writer *writer;
static struct report report;

static void write_interval(unsigned number, uint64_t start, uint64_t pages)
{
	const struct recording_range range = {start, start + pages * PAGE};
	const struct recording_interval i = {
	    .begin_ns = number * SECOND,
	    .end_ns = (number + 1) * SECOND,
	    .ranges = &range,
	    .count = 1,
	};

	cr_assert_eq(recording_write_interval(writer, &i), 0);
}

static void write_table(unsigned number, size_t count)
{
	const struct recording_table table = {number * SECOND, mappings, count};

	cr_assert_eq(recording_write_table(writer, &table), 0);
}

static void begin(void)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);
	char path[64];

	cr_assert_geq(fd, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	cr_assert_eq(recording_create(&writer, fd, &header), 0);
	write_table(0, 1);
	for (unsigned i = 0; i < INTERVALS; i++)
		write_interval(i, 16 * PAGE, 2);
	cr_assert_eq(report_open(&report, path), 0);
	cr_assert_eq(report.intervals, INTERVALS);
}

static void end(void)
{
	report_close(&report);
	cr_assert_eq(recording_close(writer), 0);
}

TestSuite(growing, .init = begin, .fini = end);

static void expect_what_was_there(void)
{
	cr_assert_eq(report_measure(&report), 0);
	cr_assert_eq(report.area_count, 1);
	cr_assert_eq(report.intervals, INTERVALS);
	cr_assert_eq(report.page_writes, 2 * INTERVALS);
	cr_assert_eq(report.stray_writes, 0);
	cr_assert_eq(report.bytes, 2 * PAGE);
	cr_assert_eq(report.duration_ns, INTERVALS * SECOND);
	cr_assert_eq(report.areas[0].last_ns, INTERVALS * SECOND);
	cr_assert_eq(report.untracked.mappings, 0);
}

Test(growing, as_it_was)
{
	expect_what_was_there();
}

Test(growing, by_an_interval)
{
	write_interval(INTERVALS, 17 * PAGE, 9);
	expect_what_was_there();
}

Test(growing, by_mappings)
{
	write_table(INTERVALS, 2);
	write_interval(INTERVALS, 200 * PAGE, 1);
	expect_what_was_there();
}

Test(growing, by_what_is_not_tracked)
{
	const struct recording_untracked untracked = {INTERVALS * SECOND, 7, 7, 0, 0, 0, 0};

	cr_assert_eq(recording_write_untracked(writer, &untracked), 0);
	expect_what_was_there();
}
