/* What the benchmarks share: start-to-exit times of commands and their statistics. Every figure is
 * relative to another one of the same run, taken in turns (A B C A B C …), because absolute times
 * wander with the machine. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"

#define STATS_MAX 10000

struct series {
	const char *name;
	size_t n;
	double us[STATS_MAX];
};

static inline int stats_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The value below which a share p of the n values lies. */
static inline double stats_quantile(const double *v, size_t n, double p)
{
	static double sorted[STATS_MAX];

	if (n == 0)
		return 0;
	memcpy(sorted, v, n * sizeof *v);
	qsort(sorted, n, sizeof *sorted, stats_compare);
	return sorted[(size_t)(p * (double)(n - 1) + 0.5)];
}

/* The median of the ratios of two series, round by round. */
static inline double stats_ratio(const struct series *a, const struct series *b)
{
	static double r[STATS_MAX];
	size_t n = a->n < b->n ? a->n : b->n;

	for (size_t i = 0; i < n; i++)
		r[i] = a->us[i] / b->us[i];
	return stats_quantile(r, n, 0.5);
}

static inline void stats_head(const char *what, const char *first, const char *second)
{
	char a[32], b[32];

	snprintf(a, sizeof a, "x %s", first);
	snprintf(b, sizeof b, "x %s", second);
	printf("%-34s %9s %9s %9s %10s %10s %6s\n", what, "median us", "min us", "p95 us", a, b,
		"n");
}

static inline void stats_row(
	const struct series *s, const struct series *first, const struct series *second)
{
	printf("%-34s %9.0f %9.0f %9.0f %10.2f %10.2f %6zu\n", s->name,
		stats_quantile(s->us, s->n, 0.5), stats_quantile(s->us, s->n, 0),
		stats_quantile(s->us, s->n, 0.95), stats_ratio(s, first), stats_ratio(s, second),
		s->n);
}

/* Runs argv once, from fork to reaped, with in as standard input and out as the other two. Returns microseconds, or -1 when it did not exit with 0. */
static inline double stats_run(const char *const argv[], int in, int out)
{
	static char *const no_env[] = {NULL};
	posix_spawn_file_actions_t a;
	uint64_t start;
	int status, failed;
	pid_t pid;

	posix_spawn_file_actions_init(&a);
	posix_spawn_file_actions_adddup2(&a, in, 0);
	posix_spawn_file_actions_adddup2(&a, out, 1);
	posix_spawn_file_actions_adddup2(&a, out, 2);
	start = io_now_mono();
	failed = posix_spawn(&pid, argv[0], &a, NULL, (char *const *)(uintptr_t)argv, no_env);
	failed = failed || waitpid(pid, &status, 0) != pid || status != 0;
	posix_spawn_file_actions_destroy(&a);
	return failed ? -1 : (double)(io_now_mono() - start) / 1000;
}

#endif
