/* SPDX-License-Identifier: MIT */
/* What 'writewatch top' and 'writewatch record' are made of, without a process. */
#include "command.h"
#include "duration.h"
#include "processes.h"
#include "record.h"
#include "text.h"
#include "top.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ull

Test(duration, is_parsed)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
	    {"1", NS_PER_SECOND},
	    {"0.1", 100 * NS_PER_MS},
	    {".5", 500 * NS_PER_MS},
	    {"2.", 2 * NS_PER_SECOND},
	    {"100ms", 100 * NS_PER_MS},
	    {"0.1s", 100 * NS_PER_MS},
	    {"10ms", 10 * NS_PER_MS},
	    {"1500us", 1500000},
	    {"2m", 120 * NS_PER_SECOND},
	    {"24h", DURATION_MAX_NS},
	    {"1.0000000001", NS_PER_SECOND},
	};
	uint64_t ns;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_expect_eq(duration_parse(good[i].text, &ns), 0, "%s", good[i].text);
		cr_expect_eq(ns, good[i].ns, "%s: %llu", good[i].text, (unsigned long long)ns);
	}
}

Test(duration, nonsense_is_refused)
{
	static const char *const bad[] = {"",	 ".",	"ms",  "-1",	"+1",	" 1",  "1 s",
					  "1e3", "0x1", "1,5", "1.2.3", "1 ms", "nan", "10x"};
	static const char *const outside[] = {
	    "0", "0.0009", "999us", "25h", "86401", "99999999999999999999999", "99999999999999h"};
	uint64_t ns;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(duration_parse(bad[i], &ns), -EINVAL, "'%s'", bad[i]);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		cr_expect_eq(duration_parse(outside[i], &ns), -ERANGE, "'%s'", outside[i]);
}

Test(ticker, does_not_drift)
{
	struct ticker t;

	ticker_start(&t, 10, 100);
	cr_expect_eq(t.next, 110);
	cr_expect_eq(ticker_advance(&t, 113), 0);
	cr_expect_eq(t.next, 120);
	cr_expect_eq(ticker_advance(&t, 145), 2);
	cr_expect_eq(t.next, 150);
	cr_expect_eq(ticker_advance(&t, 142), 0);
	cr_expect_eq(t.next, 160);
}

static void read_text(struct mappings *m, const char *text, int result)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	cr_assert(file);
	cr_assert_eq(mappings_read(m, file), result);
	fclose(file);
}

static void expect_mapping(const struct mappings *m, size_t i, uint64_t start, uint64_t end,
			   unsigned permissions, const char *name)
{
	cr_assert_lt(i, m->count);
	cr_expect_eq(m->list[i].start, start);
	cr_expect_eq(m->list[i].end, end);
	cr_expect_eq(m->list[i].permissions, permissions);
	cr_expect_str_eq(m->list[i].name, name);
}

Test(mappings, are_read)
{
	struct mappings m = {0}, copy = {0};

	read_text(&m,
		  "1000-2000 r-xp 00000000 fe:00 123                        /bin/a program\n"
		  "2000-4000 rw-p 00001000 fe:00 123                        /bin/a program\n"
		  "4000-5000 rw-p 00000000 00:00 0 \n"
		  "5000-8000 rw-p 00000000 00:00 0 \n"
		  "9000-a000 rw-p 00000000 00:00 0 \n"
		  "a000-b000 -w-s 00000000 00:01 7      /memfd:x (deleted)\n"
		  "7ffffffde000-7ffffffff000 rwxp 00000000 00:00 0          [stack]\n"
		  "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n",
		  0);
	cr_assert_eq(m.count, 8);
	expect_mapping(&m, 0, 0x1000, 0x2000, MAPPING_READ | MAPPING_EXECUTE, "/bin/a program");
	expect_mapping(&m, 1, 0x2000, 0x4000, MAPPING_READ | MAPPING_WRITE, "/bin/a program");
	expect_mapping(&m, 2, 0x4000, 0x5000, MAPPING_READ | MAPPING_WRITE, "");
	expect_mapping(&m, 3, 0x5000, 0x8000, MAPPING_READ | MAPPING_WRITE, "");
	expect_mapping(&m, 4, 0x9000, 0xa000, MAPPING_READ | MAPPING_WRITE, "");
	expect_mapping(&m, 5, 0xa000, 0xb000, MAPPING_WRITE | MAPPING_SHARED, "/memfd:x (deleted)");
	expect_mapping(&m, 6, 0x7ffffffde000, 0x7ffffffff000,
		       MAPPING_READ | MAPPING_WRITE | MAPPING_EXECUTE, "[stack]");
	cr_expect_eq(mappings_copy(&copy, &m), 0);
	cr_expect(mappings_equal(&copy, &m));
	copy.list[2].end += PAGE;
	cr_expect_not(mappings_equal(&copy, &m));
	mappings_free(&copy);
	mappings_free(&m);
}

static void expect_chosen(const char *text, const struct mappings *before,
			  const struct tracker_range *written, size_t count,
			  struct mappings *chosen)
{
	struct mappings all = {0};

	read_text(&all, text, 0);
	cr_assert_eq(tracker_choose(chosen, &all, before, written, count), 0);
	mappings_free(&all);
}

/* What was written stays in the list while it can only be read: pages do not vanish from sums. */
Test(mappings, are_chosen)
{
	static const struct tracker_range written[] = {{0x1000, 0x2000}, {0x8000, 0x9000}};
	struct mappings first = {0}, second = {0}, third = {0};

	expect_chosen("1000-2000 r-xp 00000000 fe:00 1    /lib/a\n"
		      "4000-5000 rw-p 00000000 00:00 0 \n"
		      "5000-7000 rw-p 00000000 00:00 0 \n"
		      "8000-9000 r--p 00000000 00:00 0 \n",
		      &second, NULL, 0, &first);
	cr_assert_eq(first.count, 1);
	expect_mapping(&first, 0, 0x4000, 0x7000, MAPPING_READ | MAPPING_WRITE, "");
	expect_chosen("1000-2000 r-xp 00000000 fe:00 1    /lib/a\n"
		      "2000-3000 r--p 00000000 fe:00 1    /lib/a\n"
		      "4000-5000 r-xp 00000000 00:00 0 \n"
		      "5000-6000 r-xp 00000000 00:00 0 \n"
		      "6000-7000 r--p 00000000 fe:00 2    /lib/b\n"
		      "8000-9000 r--p 00000000 00:00 0 \n",
		      &first, written, 2, &second);
	cr_assert_eq(second.count, 3);
	expect_mapping(&second, 0, 0x1000, 0x2000, MAPPING_READ | MAPPING_EXECUTE, "/lib/a");
	expect_mapping(&second, 1, 0x4000, 0x6000, MAPPING_READ | MAPPING_EXECUTE, "");
	expect_mapping(&second, 2, 0x8000, 0x9000, MAPPING_READ, "");
	/* And for good. */
	expect_chosen("4000-5000 ---p 00000000 00:00 0 \n8000-a000 r--p 00000000 00:00 0 \n",
		      &second, NULL, 0, &third);
	cr_assert_eq(third.count, 2);
	mappings_free(&first);
	mappings_free(&second);
	mappings_free(&third);
}

/* As the kernel lists what became one mapping while it was being read. */
Test(mappings, do_not_overlap)
{
	struct mappings m = {0};

	read_text(&m,
		  "1000-3000 rw-p 00000000 00:00 0 \n"
		  "1000-5000 rw-p 00000000 00:00 0 \n"
		  "4000-5000 r--p 00000000 00:00 0 \n"
		  "6000-7000 rw-p 00000000 00:00 0 \n",
		  0);
	cr_assert_eq(m.count, 3);
	expect_mapping(&m, 0, 0x1000, 0x3000, MAPPING_READ | MAPPING_WRITE, "");
	expect_mapping(&m, 1, 0x3000, 0x5000, MAPPING_READ | MAPPING_WRITE, "");
	expect_mapping(&m, 2, 0x6000, 0x7000, MAPPING_READ | MAPPING_WRITE, "");
	mappings_free(&m);
}

Test(mappings, nonsense_is_refused)
{
	struct mappings m = {0};

	read_text(&m, "1000-2000 rw-p 00000000 00:00 0 \nnonsense\n", -EIO);
	read_text(&m, "1000-2000 rwp 00000000 00:00 0 \n", -EIO);
	mappings_free(&m);
}

/* Two mappings of 100 and of 10 pages, of which 30 and 5 were written. */
static struct named_mapping two[] = {
    {0x100000, 0x100000 + 100 * PAGE, MAPPING_WRITE, ""},
    {0x200000, 0x200000 + 10 * PAGE, MAPPING_WRITE, "[heap]"},
};
static const struct mappings two_mappings = {.list = two, .count = 2};
static const struct tracker_range written[] = {
    {0x100000, 0x100000 + 20 * PAGE},
    {0x100000 + 50 * PAGE, 0x100000 + 51 * PAGE},
    {0x100000 + 91 * PAGE, 0x100000 + 100 * PAGE},
    /* Of a mapping that is gone. */
    {0x180000, 0x190000},
    {0x200000 + 5 * PAGE, 0x200000 + 12 * PAGE},
};
static const struct tracker_sample sample = {
    .mappings = &two_mappings,
    .ranges = written,
    .range_count = sizeof(written) / sizeof(written[0]),
};

Test(rows, count_what_was_written)
{
	struct top_rows rows = {0};

	cr_assert_eq(top_rows_take(&rows, &sample, PAGE), 0);
	cr_assert_eq(rows.count, 2);
	cr_expect_eq(rows.list[0].pages, 100);
	cr_expect_eq(rows.list[0].written, 30);
	cr_expect_eq(rows.list[1].pages, 10);
	cr_expect_eq(rows.list[1].written, 5);
	cr_expect_eq(rows.pages, 110);
	cr_expect_eq(rows.written, 35);
	cr_expect_eq(rows.written_rows, 2);
	free(rows.list);
}

Test(rows, are_sorted)
{
	static const uint64_t first[SORT_COUNT] = {
	    [SORT_PAGES] = 0x100000,   [SORT_SHARE] = 0x200000, [SORT_SIZE] = 0x100000,
	    [SORT_ADDRESS] = 0x100000, [SORT_NAME] = 0x200000,
	};
	struct top_rows rows = {0};

	cr_assert_eq(top_rows_take(&rows, &sample, PAGE), 0);
	for (int i = 0; i < SORT_COUNT; i++) {
		top_rows_sort(&rows, (enum top_sort)i);
		cr_expect_eq(rows.list[0].mapping->start, first[i], "%s",
			     top_sort_name((enum top_sort)i));
	}
	free(rows.list);
}

Test(rows, heat_is_where_the_writes_were)
{
	struct top_rows rows = {0};
	unsigned char levels[20];
	static const unsigned char tens[10] = {4, 4, 0, 0, 0, 3, 0, 0, 0, 4};
	static const unsigned char halves[20] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
						 4, 4, 4, 4, 4, 4, 4, 4, 4, 4};

	cr_assert_eq(top_rows_take(&rows, &sample, PAGE), 0);
	top_heat(&rows.list[0], PAGE, levels, 10);
	cr_expect_arr_eq(levels, tens, sizeof(tens));
	/* More cells than pages. */
	top_heat(&rows.list[1], PAGE, levels, 20);
	cr_expect_arr_eq(levels, halves, sizeof(halves));
	free(rows.list);
}

Test(rows, heat_has_five_levels)
{
	struct named_mapping large = {0, 1000 * PAGE, MAPPING_WRITE, ""};
	static const struct {
		uint64_t pages;
		unsigned char level;
	} cases[] = {{0, 0}, {1, 1}, {9, 1}, {10, 2}, {99, 2}, {100, 3}, {499, 3}, {500, 4}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tracker_range range = {0, cases[i].pages * PAGE};
		struct top_row row = {
		    .mapping = &large, .ranges = &range, .range_count = 1, .pages = 1000};
		unsigned char level;

		top_heat(&row, PAGE, &level, 1);
		cr_expect_eq(level, cases[i].level, "%d pages", (int)cases[i].pages);
	}
}

Test(text, fits_its_columns)
{
	char text[12], bytes[8], share[8];
	double value = 0.1;

	for (int i = 0; i < 600; i++, value *= 1.07) {
		text_bytes(bytes, value);
		cr_expect_leq(strlen(bytes), 6, "%s", bytes);
		/* Ten thousand million pages a second are beyond every machine. */
		text_count(text, value < 1e10 ? value : 0);
		cr_expect_leq(strlen(text), 7, "%s", text);
	}
	for (uint64_t part = 0; part <= 10000; part++) {
		text_share(share, part, 10000);
		cr_expect_leq(strlen(share), 5, "%s", share);
	}
	text_bytes(bytes, 1023);
	cr_expect_str_eq(bytes, "1.0K");
	text_bytes(bytes, 33345000);
	cr_expect_str_eq(bytes, "31.8M");
	text_share(share, 1, 1000000);
	cr_expect_str_eq(share, "<0.1%");
	text_share(share, 0, 0);
	cr_expect_str_eq(share, "0.0%");
}

Test(text, is_cut)
{
	static const struct {
		size_t count;
		const char *cut;
	} cases[] = {
	    {0, ""}, {1, "a"}, {2, "a\u00e4"}, {3, "a\u00e4\u20ac"}, {9, "a\u00e4\u20acb"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[] = "a\u00e4\u20acb";

		text_cut(text, cases[i].count);
		cr_expect_str_eq(text, cases[i].cut);
	}
}

Test(text, names_mappings)
{
	static const struct {
		const char *name, *text;
	} cases[] = {
	    {"/usr/lib/libc.so.6", "libc.so.6"},
	    {"[heap]", "[heap]"},
	    {"/memfd:x (deleted)", "memfd:x (deleted)"},
	    {"/odd/", "/odd/"},
	    {"/bad\033[2J", "bad?[2J"},
	    {"", "7f0000001000"},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct named_mapping m = {0x7f0000001000, 0x7f0000002000, 0, cases[i].name};

		text_mapping(text, sizeof(text), &m, true);
		cr_expect_str_eq(text, cases[i].text);
	}
}

static char line[256];
static char *words[16];

/* As main() has them; returns how many. */
static int split(const char *text)
{
	int count = 1;

	strcpy(line, text);
	words[0] = words[1] = line;
	for (char *p = line; *p; p++) {
		if (*p == ' ') {
			*p = '\0';
			words[++count] = p + 1;
		}
	}
	words[++count] = NULL;
	optind = 0;
	return count;
}

static int parse_top(const char *text, struct top_options *o)
{
	bool help = false;
	int r = top_parse_options(split(text), words, o, &help);

	return help ? -1 : r;
}

static int parse_record(const char *text, struct record_options *o)
{
	bool help = false;
	int r = record_parse_options(split(text), words, o, &help);

	return help ? -1 : r;
}

static void hide_stderr(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	close(null);
}

TestSuite(options, .init = hide_stderr);

Test(options, of_top)
{
	struct top_options o;

	cr_expect_eq(parse_top("123", &o), STATUS_OK);
	cr_expect_eq(o.pid, 123);
	cr_expect_eq(o.delay_ns, NS_PER_SECOND);
	cr_expect(o.sort == SORT_PAGES && !o.follow && o.count == 0 && !o.plain && o.color);
	cr_expect_eq(parse_top("-f -d 50ms -n 3 --sort name 7 --plain --no-color", &o), STATUS_OK);
	cr_expect(o.follow && o.plain && !o.color && o.sort == SORT_NAME && o.count == 3);
	cr_expect_eq(o.delay_ns, 50 * NS_PER_MS);
	cr_expect_eq(o.pid, 7);
	cr_expect_eq(parse_top("--help", &o), -1);
}

Test(options, of_top_nonsense)
{
	static const char *const bad[] = {
	    "-d 1ms 1", "-d x 1", "-n 0 1", "-n -1 1",	   "-s heat 1",	   "1 2", "0",
	    "-1",	"12x",	  "",	    "99999999999", "--nonsense 1", "-d"};
	struct top_options o;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(parse_top(bad[i], &o), STATUS_USAGE, "%s", bad[i]);
}

Test(options, of_record)
{
	struct record_options o;

	cr_expect_eq(parse_record("123", &o), STATUS_OK);
	cr_expect(o.pid == 123 && o.interval_ns == 100 * NS_PER_MS && o.limit_ns == 0);
	cr_expect(!o.file && !o.force && !o.command);
	cr_expect_eq(parse_record("-i 10ms -o x -t 2 --force -- ls -l", &o), STATUS_OK);
	cr_assert(o.command);
	cr_expect_str_eq(o.command[0], "ls");
	cr_expect_str_eq(o.command[1], "-l");
	cr_expect_null(o.command[2]);
	cr_expect(o.interval_ns == 10 * NS_PER_MS && o.limit_ns == 2 * NS_PER_SECOND && o.force);
	cr_expect_eq(parse_record("-i 20ms 123 -t 1 --force", &o), STATUS_OK);
	cr_expect(o.pid == 123 && o.interval_ns == 20 * NS_PER_MS && o.force && !o.command);
	cr_expect_eq(o.limit_ns, NS_PER_SECOND);
	cr_expect_eq(parse_record("-t 1 -- 123 -t 2", &o), STATUS_OK);
	cr_assert(o.command);
	cr_expect(strcmp(o.command[0], "123") == 0 && o.limit_ns == NS_PER_SECOND);
	cr_expect_eq(parse_record("-o -- 123", &o), STATUS_OK);
	cr_expect(o.pid == 123 && !o.command && strcmp(o.file, "--") == 0);
	cr_expect_eq(parse_record("--help", &o), -1);
}

Test(options, of_record_nonsense)
{
	static const char *const bad[] = {"ls",	      "1 2",  "--",	 "-i 0 1",   "-t x 1",
					  "-i 1h1 1", "-f 1", "1 -- ls", "1 -t 1 2", "ls -t 1"};
	struct record_options o;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(parse_record(bad[i], &o), STATUS_USAGE, "%s", bad[i]);
}

Test(processes, have_odd_names)
{
	char name[PROCESS_NAME];

	cr_assert_eq(prctl(PR_SET_NAME, "a\nb\033c\n"), 0);
	process_name(getpid(), name);
	cr_expect_str_eq(name, "a?b?c?");
	/* What cannot be seen is a name all the same. */
	cr_assert_eq(prctl(PR_SET_NAME, ""), 0);
	process_name(getpid(), name);
	cr_expect_str_eq(name, "");
}

Test(processes, tell_of_a_child)
{
	pid_t children[8], pid = fork();
	char name[PROCESS_NAME], text[64];
	siginfo_t info;
	int status;

	if (pid == 0) {
		pause();
		_exit(0);
	}
	cr_assert_gt(pid, 0);
	cr_expect_eq(process_children(getpid(), children, 8), 1);
	cr_expect_eq(children[0], pid);
	process_name(pid, name);
	cr_expect_str_neq(name, "?");
	cr_expect_not(process_exit_status(pid, -1, &status));
	kill(pid, SIGKILL);
	cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	cr_expect(process_exit_status(pid, -1, &status));
	process_print_status(status, text, sizeof(text));
	cr_expect_str_eq(text, " by signal 9 (Killed)");
	waitpid(pid, NULL, 0);
	process_print_status(3 << 8, text, sizeof(text));
	cr_expect_str_eq(text, " with status 3");
}
