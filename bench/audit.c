/* bench/audit: what "no record, no action" costs. The real recorder (own process, own uid, seccomp, Landlock)
 * over its socket pair against a bare write+fdatasync loop on the same disk in the same run.
 *   one caller        each record is waited for, as one blocked agent would
 *   16 callers        16 records outstanding at any time
 *   verify            records per second of a full verification
 * usage: audit [SECONDS]; prints "name value unit" lines and the two ratios. */
#include <dirent.h>

#include "audit/dir.h"
#include "audit/verify.h"
#include "tests/lib/recorder_rig.h"

#define CALLERS 16

/* A decision as the broker sends it; some 400 bytes in the log. */
static const char record[] =
	"{\"a\":{\"agent\":\"claude-code\",\"name\":\"web\",\"uid\":1000},\"d\":{\"by\":\"policy\","
	"\"policy_sha256\":\"0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0\","
	"\"reason\":\"reads are fine\",\"rule\":\"tools.allow[3]\",\"verdict\":\"allow\"},"
	"\"k\":\"decision\",\"q\":\"01J8ZQ4W3V\",\"s\":\"01J8ZQ3F5D7H9K1M3P5R7T9V1X\"}";

static double seconds_since(uint64_t from)
{
	return (double)(io_now_mono() - from) / 1e9;
}

/* pwrite+fdatasync of 424 bytes into a file that was filled with zeroes before. */
static double raw_rate(const char *dir, double seconds)
{
	static char block[1 << 16];
	char path[160], rec[424];
	uint64_t n = 0, start;
	int fd;

	snprintf(path, sizeof path, "%s/raw", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (int i = 0; i < 512; i++)
		io_write_all(fd, block, sizeof block);
	fsync(fd);
	memset(rec, 'x', sizeof rec);
	start = io_now_mono();
	while (seconds_since(start) < seconds) {
		off_t at = (off_t)(n % 70000 * sizeof rec);

		if (pwrite(fd, rec, sizeof rec, at) < 0 || fdatasync(fd) < 0)
			return 0;
		n++;
	}
	close(fd);
	unlink(path);
	return (double)n / seconds_since(start);
}

/* Records per second with this many outstanding. 0 on failure. */
static double recorder_rate(struct rig *r, unsigned outstanding, double seconds, uint64_t *total)
{
	uint64_t sent = 0, done = 0, start = io_now_mono();

	while (seconds_since(start) < seconds || done < sent) {
		while (sent - done < outstanding && seconds_since(start) < seconds) {
			if (rig_send(r, sent, 0, record) < 0)
				return 0;
			sent++;
		}
		if (done == sent)
			break;
		if (rig_answer(r) != MSG_APPENDED)
			return 0;
		done++;
	}
	*total += done;
	return (double)done / seconds_since(start);
}

static double verify_rate(const char *dir, int *result)
{
	struct verify_report *v = calloc(1, sizeof *v);
	int fd = dir_open(dir, NULL);
	uint64_t start = io_now_mono();
	double rate;

	verify_dir(fd, &(struct verify_options){0}, v);
	rate = (double)v->entries / seconds_since(start);
	*result = (int)v->result;
	close(fd);
	free(v);
	return rate;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	double raw1, raw2, one, many, verified;
	struct rig r;
	uint64_t total = 0;
	int result = -1;

	if (rig_make(&r) < 0 || rig_start(&r) != 0) {
		fprintf(stderr, "the recorder does not start\n");
		return 1;
	}
	/* Interleaved, so that a disk that changes its mind changes both sides. */
	raw1 = raw_rate(r.root, seconds / 2);
	one = recorder_rate(&r, 1, seconds, &total);
	raw2 = raw_rate(r.root, seconds / 2);
	many = recorder_rate(&r, CALLERS, seconds, &total);
	if (rig_stop(&r, SIGTERM) != 0 || one == 0 || many == 0) {
		fprintf(stderr, "the recorder failed\n");
		return 1;
	}
	verified = verify_rate(r.dir, &result);
	printf("audit raw write+fdatasync    %8.0f /s\n", (raw1 + raw2) / 2);
	printf("audit one caller             %8.0f records/s, ratio to raw %.2f\n", one,
		one / ((raw1 + raw2) / 2));
	printf("audit %d callers             %8.0f records/s, ratio to raw %.2f\n", CALLERS, many,
		many / ((raw1 + raw2) / 2));
	printf("audit verify                 %8.0f records/s, %llu records, result %d\n", verified,
		(unsigned long long)total, result);
	rig_remove(&r);
	return result == 0 ? 0 : 1;
}
