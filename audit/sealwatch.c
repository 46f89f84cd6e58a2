/* Following seals; see sealwatch.h. Must never count a record as sealed that no good seal covers. */
#include "audit/sealwatch.h"

#include <stdio.h>
#include <string.h>

#include "audit/record.h"

void sealwatch_begin(struct sealwatch *w, const char *origin, const char *seal_vkey)
{
	struct error e;

	memset(w, 0, sizeof *w);
	w->least_ns = UINT64_MAX;
	w->unknown = 1;
	if (seal_vkey && seal_chain_begin(&w->chain, origin, seal_vkey, &e) == 0)
		w->unknown = 0;
	snprintf(w->chain.origin, sizeof w->chain.origin, "%s", origin);
}

void sealwatch_missing(struct sealwatch *w)
{
	w->broken = 1;
}

static void begin_by_genesis(struct sealwatch *w, const json_t *record)
{
	const char *k = json_string_value(json_object_get(record, "k"));
	const char *vkey = json_string_value(json_object_get(record, "seal"));
	char origin[sizeof w->chain.origin];
	struct seal_chain c;
	struct error e;

	if (!k || strcmp(k, "genesis") != 0 || !vkey)
		return;
	snprintf(origin, sizeof origin, "%s", w->chain.origin);
	if (seal_chain_begin(&c, origin, vkey, &e) < 0)
		return;
	/* A pinned key is not replaced by what the log says of itself. */
	if (w->unknown)
		w->chain = c;
	else if (memcmp(w->chain.pub, c.pub, sizeof c.pub) != 0)
		return;
	w->unknown = 0;
	w->from_genesis = 1;
}

static void note_time(struct sealwatch *w, const json_t *record)
{
	const char *t = json_string_value(json_object_get(record, "t"));
	const char *k = json_string_value(json_object_get(record, "k"));
	uint64_t ns;

	if (t && record_time(t, &ns) == 0) {
		w->least_ns = ns < w->least_ns ? ns : w->least_ns;
		w->most_ns = ns > w->most_ns ? ns : w->most_ns;
	}
	if (k && strcmp(k, "boot") == 0)
		w->pause = 1;
	if (k && strcmp(k, "clock") == 0) {
		w->clock |= json_object_get(record, "set_ns") != NULL;
		w->pause = 1;
	}
}

static int check_times(struct sealwatch *w, uint64_t was, uint64_t now, struct error *e)
{
	int r = 0;

	if (w->from_genesis && !w->clock &&
		((w->least_ns < UINT64_MAX && w->least_ns + SEAL_TIME_SLOP < was) ||
			w->most_ns > now + SEAL_TIME_SLOP)) {
		error_set(e, 0, "a record's time is not between those of the seals around it");
		r = SEALWATCH_BACKDATED;
	} else if (w->from_genesis && !w->pause && was && now > was &&
		   now - was > SEALWATCH_BEAT_NS) {
		w->silences++;
		w->silence_ns = now - was > w->silence_ns ? now - was : w->silence_ns;
		error_set(e, 0, "nothing was sealed for %llu s, so the recorder did not run",
			(unsigned long long)((now - was) / 1000000000u));
		r = SEALWATCH_SILENT;
	}
	w->least_ns = UINT64_MAX;
	w->most_ns = 0;
	w->clock = w->pause = 0;
	return r;
}

static int take_seal(struct sealwatch *w, struct span entry, uint64_t index,
	const struct tree *before, struct error *e)
{
	uint64_t was = w->chain.time_ns;
	struct tree_hash root;

	if (w->unknown || w->broken)
		return 0;
	tree_root(before, &root);
	if (w->clock)
		w->chain.time_ns = 0; /* it may have been set back */
	if (seal_chain_take(&w->chain, entry.p, entry.n, index, &root, 1, e) < 0) {
		w->broken = 1;
		return SEALWATCH_BAD;
	}
	w->sealed = index + 1;
	return check_times(w, was, w->chain.time_ns, e);
}

int sealwatch_record(struct sealwatch *w, const json_t *record, struct span entry, uint64_t index,
	const struct tree *before, struct error *e)
{
	const char *k = json_string_value(json_object_get(record, "k"));

	if (index == 0)
		begin_by_genesis(w, record);
	if (!k || strcmp(k, "seal") != 0) {
		note_time(w, record);
		return 0;
	}
	w->seals++;
	return take_seal(w, entry, index, before, e);
}
