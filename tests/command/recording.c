/* SPDX-License-Identifier: MIT */
/* The files of 'writewatch record': what is written is read, and what else is read is refused. */
#include "recording.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ull
#define INTERVALS 20
#define MAX_PAYLOAD_OFFSET (RECORDING_PREAMBLE + RECORDING_FRAME)

static const struct recording_header header = {
    .page_size = PAGE,
    .interval_ns = 100000000,
    .wall_clock_ns = 1700000000123456789,
    .pid = 4711,
    .tracking = RECORDING_EXACT,
    .command = "redis-server",
    .release = "6.12.1-amd64",
};

static const struct recording_mapping mappings[] = {
    {0x10000, 0x50000, RECORDING_READ | RECORDING_WRITE, 12, "[heap]"},
    {0x50000, 0x60000, RECORDING_READ, RECORDING_UNKNOWN, "/usr/lib/libc.so.6"},
    {0x60000, 0x70000, RECORDING_READ | RECORDING_WRITE, 0, "/usr/lib/libc.so.6"},
    {0x7ffffffde000, 0x7ffffffff000, RECORDING_WRITE | RECORDING_SHARED, 1, ""},
};

static const struct recording_untracked untracked = {7, 6, 123456789, 1, 2, 3, 0};

struct file {
	unsigned char *bytes;
	size_t size;
};

static struct recording_range ranges[64];

/* Ranges that depend on the number alone. */
static size_t make_ranges(unsigned number)
{
	uint64_t at = 0;
	size_t count = number % 64;

	srand(number + 1);
	for (size_t i = 0; i < count; i++) {
		at += (uint64_t)(rand() % 300 + (i ? 0 : 16)) * PAGE;
		ranges[i].start = at;
		at += (uint64_t)(rand() % 200 + 1) * PAGE;
		ranges[i].end = at;
	}
	return count;
}

static struct recording_interval make_interval(unsigned number)
{
	return (struct recording_interval){
	    .begin_ns = number * header.interval_ns,
	    .end_ns = (number + 1) * header.interval_ns,
	    .flags = number % 5 == 4 ? RECORDING_INCOMPLETE : 0,
	    .ranges = ranges,
	    .count = make_ranges(number),
	};
}

static struct recording_writer *create(int *fd)
{
	struct recording_writer *w = NULL;

	*fd = memfd_create("recording", MFD_CLOEXEC);
	cr_assert_geq(*fd, 0);
	cr_assert_eq(recording_create(&w, dup(*fd), &header), 0);
	return w;
}

static struct file take(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	struct file file = {malloc((size_t)size), (size_t)size};

	cr_assert_eq(pread(fd, file.bytes, file.size, 0), size);
	close(fd);
	return file;
}

static struct file make_file(void)
{
	const struct recording_table table = {5, mappings, 4}, fewer = {900000000, mappings, 2};
	const struct recording_end end = {2000000001, RECORDING_KILLED, 9, 0, 0};
	struct recording_writer *w;
	struct file file;
	int fd;

	w = create(&fd);
	cr_assert_eq(recording_write_table(w, &table), 0);
	cr_assert_eq(recording_write_untracked(w, &untracked), 0);
	for (unsigned i = 0; i < INTERVALS; i++) {
		struct recording_interval interval = make_interval(i);

		if (i == 9)
			cr_assert_eq(recording_write_table(w, &fewer), 0);
		cr_assert_eq(recording_write_interval(w, &interval), 0);
	}
	cr_assert_eq(recording_write_end(w, &end), 0);
	file.size = recording_size(w);
	cr_assert_eq(recording_close(w), 0);
	cr_assert_eq((uint64_t)lseek(fd, 0, SEEK_END), file.size);
	return take(fd);
}

static FILE *open_bytes(const unsigned char *bytes, size_t size)
{
	/* fmemopen() takes no empty buffer. */
	FILE *file = size ? fmemopen((void *)bytes, size, "r") : fopen("/dev/null", "re");

	cr_assert_not_null(file);
	return file;
}

static void expect_table(const struct recording_table *t, size_t count)
{
	cr_assert_eq(t->count, count);
	for (size_t i = 0; i < count; i++) {
		cr_expect_eq(t->mappings[i].start, mappings[i].start);
		cr_expect_eq(t->mappings[i].end, mappings[i].end);
		cr_expect_eq(t->mappings[i].permissions, mappings[i].permissions);
		cr_expect_eq(t->mappings[i].resident, mappings[i].resident);
		cr_expect_str_eq(t->mappings[i].name, mappings[i].name);
	}
}

static void expect_interval(const struct recording_interval *i, unsigned number)
{
	struct recording_interval expected = make_interval(number);

	cr_expect_eq(i->begin_ns, expected.begin_ns);
	cr_expect_eq(i->end_ns, expected.end_ns);
	cr_expect_eq(i->flags, expected.flags);
	cr_assert_eq(i->count, expected.count);
	if (i->count)
		cr_expect_arr_eq(i->ranges, ranges, i->count * sizeof(ranges[0]));
}

/* Reads what make_file() wrote, or the beginning of it; returns how many intervals there were. */
static unsigned expect_records(struct recording_reader *r, bool *ended)
{
	struct recording_record record;
	unsigned number = 0;
	int more;

	*ended = false;
	while ((more = recording_read(r, &record)) == 1) {
		if (record.type == RECORDING_MAPPINGS) {
			expect_table(&record.table, number ? 2 : 4);
		} else if (record.type == RECORDING_INTERVAL) {
			expect_interval(&record.interval, number++);
		} else if (record.type == RECORDING_UNTRACKED) {
			cr_expect_eq(number, 0);
			cr_expect_eq(memcmp(&record.untracked, &untracked, sizeof(untracked)), 0);
		} else {
			cr_expect_eq(record.type, RECORDING_END);
			cr_expect_eq(record.end.kind, RECORDING_KILLED);
			cr_expect_eq(record.end.value, 9);
			cr_expect_eq(record.end.time_ns, 2000000001);
			cr_expect_eq(record.end.intervals, INTERVALS);
			*ended = true;
		}
	}
	cr_expect_eq(more, 0);
	return number;
}

Test(recording, round_trip)
{
	struct file file = make_file();
	FILE *stream = open_bytes(file.bytes, file.size);
	struct recording_problem problem;
	struct recording_reader *r;
	bool ended;

	cr_assert_eq(recording_open(&r, stream, &problem), 0, "%s", problem.text);
	cr_expect_eq(recording_header(r)->page_size, header.page_size);
	cr_expect_eq(recording_header(r)->interval_ns, header.interval_ns);
	cr_expect_eq(recording_header(r)->wall_clock_ns, header.wall_clock_ns);
	cr_expect_eq(recording_header(r)->pid, header.pid);
	cr_expect_eq(recording_header(r)->tracking, header.tracking);
	cr_expect_str_eq(recording_header(r)->command, header.command);
	cr_expect_str_eq(recording_header(r)->release, header.release);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(expect_records(r, &ended), INTERVALS);
		cr_expect(ended);
		cr_expect_str_empty(recording_problem(r)->text);
		cr_assert_eq(recording_rewind(r), 0);
	}
	recording_free(r);
	fclose(stream);
	free(file.bytes);
}

/* Whatever a crash leaves: all whole records are read, and the missing rest is noticed. */
Test(recording, truncated_at_every_byte)
{
	struct file file = make_file();
	unsigned last = 0;

	for (size_t size = 0; size < file.size; size++) {
		FILE *stream = open_bytes(file.bytes, size);
		struct recording_problem problem;
		struct recording_reader *r;
		unsigned intervals;
		bool ended;

		if (recording_open(&r, stream, &problem) < 0) {
			cr_assert_lt(size, 80);
			cr_assert_str_not_empty(problem.text);
			fclose(stream);
			continue;
		}
		intervals = expect_records(r, &ended);
		cr_assert(!ended);
		cr_assert(intervals == last || intervals == last + 1);
		cr_assert(recording_problem(r)->truncated, "%zu", size);
		cr_assert_str_not_empty(recording_problem(r)->text);
		cr_assert_leq(recording_problem(r)->offset, size);
		last = intervals;
		recording_free(r);
		fclose(stream);
	}
	cr_expect_eq(last, INTERVALS);
	free(file.bytes);
}

/* Returns whether the file is right to its end; what the reader promises holds for all it reads. */
static bool read_hostile(const unsigned char *bytes, size_t size)
{
	FILE *stream = open_bytes(bytes, size);
	struct recording_problem problem;
	struct recording_reader *r;
	struct recording_record record;
	uint64_t last_ns = 0;
	bool good = false;
	int more = recording_open(&r, stream, &problem);

	if (more < 0) {
		cr_assert_eq(more, -EBADMSG);
		cr_assert_str_not_empty(problem.text);
		cr_assert_leq(problem.offset, size);
		fclose(stream);
		return false;
	}
	while ((more = recording_read(r, &record)) == 1) {
		const struct recording_interval *i = &record.interval;

		if (record.type != RECORDING_INTERVAL)
			continue;
		cr_assert(i->begin_ns <= i->end_ns && i->end_ns >= last_ns);
		last_ns = i->end_ns;
		for (size_t n = 0; n < i->count; n++)
			cr_assert(i->ranges[n].start < i->ranges[n].end &&
				  (n == 0 || i->ranges[n].start >= i->ranges[n - 1].end));
	}
	cr_assert(more == 0 || more == -EBADMSG);
	cr_assert(more == 0 || recording_problem(r)->text[0]);
	cr_assert_leq(recording_problem(r)->offset, size);
	good = !recording_problem(r)->text[0];
	recording_free(r);
	fclose(stream);
	return good;
}

/* Gives each record the checksum of what it is now, so that the checks behind that one are met. */
static void mend_checksums(unsigned char *bytes, size_t size)
{
	size_t at = RECORDING_PREAMBLE;

	while (at + RECORDING_FRAME <= size) {
		size_t length = recording_get32(bytes + at + 4);

		if (length > size - at - RECORDING_FRAME)
			return;
		recording_put32(
		    bytes + at + 8,
		    recording_checksum(bytes + at, bytes + at + RECORDING_FRAME, length));
		at += RECORDING_FRAME + length;
	}
}

static void mutate(unsigned char *bytes, size_t size)
{
	static const unsigned char odd[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	int count = rand() % 4 + 1;

	while (count--) {
		/* Half of them near the beginning, where most fields are. */
		size_t at = (size_t)rand() % (rand() % 2 ? size : 200);

		if (rand() % 2)
			bytes[at] ^= (unsigned char)(1 << rand() % 8);
		else
			memset(bytes + at, odd[rand() % 5], (size_t)rand() % 12 % (size - at) + 1);
	}
}

static void fuzz(bool mend)
{
	const char *wish = getenv("WW_OPS");
	int rounds = wish ? atoi(wish) : 20000;
	struct file file = make_file();
	unsigned char *bytes = malloc(file.size);
	int good = 0;

	for (int i = 0; i < rounds; i++) {
		size_t size = rand() % 8 ? file.size : (size_t)rand() % file.size;

		srand((unsigned)i);
		memcpy(bytes, file.bytes, file.size);
		mutate(bytes, file.size);
		if (mend)
			mend_checksums(bytes, size);
		if (memcmp(bytes, file.bytes, file.size) != 0 || size < file.size)
			good += read_hostile(bytes, size);
	}
	/* The checksum finds every one of these; with right ones, some change nothing but a name.
	 */
	cr_expect(mend ? good > rounds / 1000 && good < rounds / 2 : good == 0, "%d of %d", good,
		  rounds);
	free(bytes);
	free(file.bytes);
}

Test(recording, mutations, .timeout = 300)
{
	fuzz(false);
}

Test(recording, mutations_with_right_checksums, .timeout = 300)
{
	fuzz(true);
}

static void expect_refusal(const unsigned char *bytes, size_t size, uint64_t offset,
			   const char *words)
{
	FILE *stream = open_bytes(bytes, size);
	struct recording_problem problem;
	struct recording_record record;
	struct recording_reader *r = NULL;
	int error = recording_open(&r, stream, &problem);

	while (r && error >= 0 && (error = recording_read(r, &record)) == 1)
		;
	if (r)
		problem = *recording_problem(r);
	cr_expect_eq(error, -EBADMSG);
	cr_expect(strstr(problem.text, words), "'%s', not '%s'", problem.text, words);
	cr_expect_eq(problem.offset, offset, "%s: %lu", words, (unsigned long)problem.offset);
	recording_free(r);
	fclose(stream);
}

/* Those of the first version have no such record, and all others. */
Test(recording, old_version)
{
	struct file file = make_file();
	size_t start = RECORDING_FRAME + recording_get32(file.bytes + RECORDING_PREAMBLE + 4);
	struct recording_problem problem;
	struct recording_reader *r;
	FILE *stream;
	bool ended;

	file.bytes[8] = 1;
	stream = open_bytes(file.bytes, RECORDING_PREAMBLE + start);
	cr_assert_eq(recording_open(&r, stream, &problem), 0, "%s", problem.text);
	cr_expect_eq(expect_records(r, &ended), 0);
	recording_free(r);
	fclose(stream);
	start += RECORDING_PREAMBLE;
	start += RECORDING_FRAME + recording_get32(file.bytes + start + 4);
	expect_refusal(file.bytes, file.size, start + RECORDING_FRAME, "unknown type");
	free(file.bytes);
}

Test(recording, foreign)
{
	static const unsigned char elf[64] = "\177ELF\2\1\1";
	struct file file = make_file();

	expect_refusal(elf, sizeof(elf), 0, "not a recording of writewatch");
	expect_refusal(elf, 0, 0, "not a recording of writewatch");
	expect_refusal(file.bytes, 10, 10, "ends within its head");
	expect_refusal(file.bytes, MAX_PAYLOAD_OFFSET, 12, "ends within a record");
	file.bytes[8] = 3;
	expect_refusal(file.bytes, file.size, 8, "version 3 ");
	file.bytes[8] = 0;
	expect_refusal(file.bytes, file.size, 8, "version 0 ");
	free(file.bytes);
}

/* Replaces all behind the start by one record. */
static void expect_record_refused(unsigned type, const char *payload, size_t length, size_t offset,
				  const char *words)
{
	struct file file = make_file();
	size_t at = MAX_PAYLOAD_OFFSET + recording_get32(file.bytes + RECORDING_PREAMBLE + 4);
	size_t size = at + RECORDING_FRAME + length;
	unsigned char *bytes = calloc(1, size);

	memcpy(bytes, file.bytes, at);
	recording_put32(bytes + at, type);
	recording_put32(bytes + at + 4, (uint32_t)length);
	memcpy(bytes + at + RECORDING_FRAME, payload, length);
	mend_checksums(bytes, size);
	expect_refusal(bytes, size, at + RECORDING_FRAME + offset, words);
	free(bytes);
	free(file.bytes);
}

#define EXPECT_REFUSED(type, payload, offset, words)                                               \
	expect_record_refused(type, payload, sizeof(payload) - 1, offset, words)

#define HUGE "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"

Test(recording, absurd)
{
	struct file file = make_file();

	recording_put32(file.bytes + RECORDING_PREAMBLE + 4, RECORDING_MAX_PAYLOAD + 1);
	expect_refusal(file.bytes, file.size, 12, "more than can be");
	free(file.bytes);

	EXPECT_REFUSED(3, "\x05\x05", 2, "a number does not fit");
	EXPECT_REFUSED(3, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00", 10,
		       "a number does not fit");
	EXPECT_REFUSED(3, "\x05\x06\x00\x00", 2, "begins before the recording");
	EXPECT_REFUSED(3, HUGE "\x00\x00\x00", 10, "later than can be");
	EXPECT_REFUSED(3, "\x05\x05\x04\x00", 3, "unknown flags");
	EXPECT_REFUSED(3, "\x05\x05\x00\x02\x00\x00", 4, "fewer entries");
	EXPECT_REFUSED(3, "\x05\x05\x00" HUGE, 13, "fewer entries");
	EXPECT_REFUSED(3, "\x05\x05\x00\x01" HUGE "\x00", 15, "last address");
	EXPECT_REFUSED(3, "\x05\x05\x00\x01\x00" HUGE, 15, "last address");
	EXPECT_REFUSED(3, "\x05\x05\x00\x01\x01\xfe\xff\xff\xff\xff\xff\xff\x07", 13,
		       "last address");
	EXPECT_REFUSED(3, "\x05\x05\x00\x00\x00", 4, "longer than its contents");
	EXPECT_REFUSED(2, "\x05\x01\x01\x00\x03\x00\x00", 4, "a range is empty");
	EXPECT_REFUSED(2, "\x05\x01\x01\x01\x03\x03\x00", 7, "more resident pages");
	EXPECT_REFUSED(2, "\x05\x01\x01\x01\x13\x00\x00", 6, "no name");
	EXPECT_REFUSED(2, "\x05\x01\x01\x01\x03\x00\x05name", 7, "a text is longer");
	EXPECT_REFUSED(4, "\x05\x04\x00\x00\x00", 3, "unknown way");
	EXPECT_REFUSED(4, "\x05\x00\x00\x01\x00", 5, "the sums at the end");
	EXPECT_REFUSED(5, "\x05\x01" HUGE "\x00\x00\x00\x00", 12, "more pages are not tracked");
	EXPECT_REFUSED(5, "\x05\x01\x01\x00\x00\x00", 6, "a number does not fit");
	EXPECT_REFUSED(5, "\x05\x01\x01\x00\x00\x00\x00\x00", 7, "longer than its contents");
	EXPECT_REFUSED(9, "", 0, "unknown type");
}

Test(recording, more_ranges_than_fit_into_a_record)
{
	size_t count = RECORDING_MAX_RANGES * 2 + 5, seen = 0;
	struct recording_range *many = calloc(count, sizeof(*many));
	const struct recording_end end = {100, RECORDING_STOPPED, 0, 0, 0};
	struct recording_interval interval = {0, 100, RECORDING_INCOMPLETE, many, count};
	struct recording_problem problem;
	struct recording_record record;
	struct recording_reader *r;
	struct recording_writer *w;
	struct file file;
	FILE *stream;
	int fd;

	for (size_t i = 0; i < count; i++)
		many[i] = (struct recording_range){2 * i * PAGE, (2 * i + 1) * PAGE};
	w = create(&fd);
	cr_assert_eq(recording_write_interval(w, &interval), 0);
	cr_assert_eq(recording_write_end(w, &end), 0);
	cr_assert_eq(recording_close(w), 0);
	file = take(fd);
	stream = open_bytes(file.bytes, file.size);
	cr_assert_eq(recording_open(&r, stream, &problem), 0);
	while (recording_read(r, &record) == 1 && record.type == RECORDING_INTERVAL) {
		cr_assert_arr_eq(record.interval.ranges, many + seen,
				 record.interval.count * sizeof(*many));
		seen += record.interval.count;
		cr_expect_eq(record.interval.flags,
			     RECORDING_INCOMPLETE | (seen < count ? RECORDING_MORE : 0));
	}
	cr_expect_eq(record.type, RECORDING_END);
	cr_expect_eq(record.end.intervals, 1);
	cr_expect_eq(record.end.pages, count);
	cr_expect_eq(seen, count);
	recording_free(r);
	fclose(stream);
	free(file.bytes);
	free(many);
}

Test(recording, writer_refuses)
{
	static const struct recording_range odd[][2] = {
	    {{0, 0}}, {{0, 100}}, {{100, PAGE}}, {{PAGE, 0}}, {{0, PAGE}, {0, 2 * PAGE}}};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct recording_interval interval = {0, 100, 0, odd[i], i == 4 ? 2 : 1};
		struct recording_writer *w;
		int fd;

		w = create(&fd);
		cr_expect_eq(recording_write_interval(w, &interval), -EINVAL, "%zu", i);
		interval.count = 0;
		cr_expect_eq(recording_write_interval(w, &interval), -EINVAL, "not the same");
		cr_expect_eq(recording_close(w), -EINVAL);
		close(fd);
	}
}

Test(recording, full_disk)
{
	struct recording_writer *w = NULL;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC), pipes[2];
	static char drained[1 << 16];

	cr_assert_geq(fd, 0);
	cr_expect_eq(recording_create(&w, fd, &header), -ENOSPC);
	cr_expect_null(w);
	close(fd);

	/* In the middle of a recording: the error stays. */
	cr_assert_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	cr_assert_eq(recording_create(&w, pipes[1], &header), 0);
	for (unsigned i = 0, error = 0; !error && i < 100000; i++) {
		struct recording_interval interval = make_interval(i);

		error = recording_write_interval(w, &interval) != 0;
	}
	cr_assert_gt(read(pipes[0], drained, sizeof(drained)), 4096);
	cr_expect_eq(recording_write_end(w, &(struct recording_end){0}), -EAGAIN);
	cr_expect_eq(recording_close(w), -EAGAIN);
	close(pipes[0]);
}

Test(recording, texts_are_cleaned)
{
	static const struct {
		const char *from, *to;
	} texts[] = {
	    {"[heap]", "[heap]"},
	    {"a\033[31mb\177\n", "a?[31mb??"},
	    {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\xa7", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\xa7"},
	    {"\xc3", "?"},
	    {"\xc3(", "?("},
	    {"\xc0\x80", "??"},
	    {"\xc2\x9b", "??"},
	    {"\xe0\x80\xaf", "???"},
	    {"\xed\xa0\x80", "???"},
	    {"\xef\xbf\xbe", "???"},
	    {"\xf4\x90\x80\x80", "????"},
	    {"\xff\xfe\x80", "???"},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char text[32] = "";

		memcpy(text, texts[i].from, strlen(texts[i].from));
		recording_clean(text, strlen(text));
		cr_expect_str_eq(text, texts[i].to, "%zu: %s", i, text);
	}
}
