/* Scalars of a policy: words, booleans, numbers, sizes, durations; see take.h. */
#include <stdio.h>
#include <string.h>

#include "policy/take.h"
#include "policy/text.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static int take_text(struct loader *l, const struct yaml_value *v)
{
	if (v->type == YAML_TEXT)
		return 0;
	return reject_value(l, v, "not a single value. Write one behind the colon");
}

static void join(char *buf, size_t cap, const char *const *words, size_t n)
{
	size_t i, at = 0;

	buf[0] = 0;
	for (i = 0; i < n && at < cap; i++)
		at += (size_t)snprintf(buf + at, cap - at, "%s%s",
			i == 0       ? ""
			: i + 1 == n ? " or "
				     : ", ",
			words[i]);
}

int take_word(struct loader *l, const struct yaml_value *v, const char *const *words, size_t n)
{
	char all[160];
	const char *near;
	size_t i;

	if (take_text(l, v))
		return -1;
	for (i = 0; i < n; i++) {
		if (strcmp(v->text, words[i]) == 0)
			return (int)i;
	}
	near = text_nearest(v->text, v->len, words, n);
	if (near)
		return reject_value(l, v, "no word that stands here. Did you mean `%s`?", near);
	join(all, sizeof all, words, n);
	return reject_value(l, v, "no word that stands here. Write %s", all);
}

int take_row_word(struct loader *l, const struct yaml_value *v)
{
	const char *words[POLICY_KEY_WORDS];
	char buf[160];
	size_t n = policy_key_words(l->row, buf, words);

	return take_word(l, v, words, n);
}

int take_bool(struct loader *l, const struct yaml_value *v, int *out)
{
	if (take_text(l, v))
		return -1;
	if (v->plain && strcmp(v->text, "true") == 0)
		*out = 1;
	else if (v->plain && strcmp(v->text, "false") == 0)
		*out = 0;
	else
		return reject_value(l, v, "neither true nor false. Write true or false, unquoted");
	return 0;
}

int take_list(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;
	char quoted[120];

	if (v->type == YAML_TEXT && v->len)
		return reject_value(l, v, "no list. Write [%s]",
			v->plain ? v->text : text_quoted(quoted, sizeof quoted, v->text, v->len));
	if (v->type != YAML_LIST)
		return reject_value(l, v, "no list. Write [first, second], or one `- item` a line");
	for (item = v->first; item; item = item->next) {
		if (item->type != YAML_TEXT)
			return reject_value(l, item,
				"an item that is no text. Write one text for each item, quoted "
				"when it has special characters");
		if (item->len == 0)
			return reject_value(l, item, "an empty item. Delete it");
	}
	return 0;
}

/* A decimal number without sign and leading zero; *i stops behind it. */
static int digits(const struct yaml_value *v, size_t *i, uint64_t *out)
{
	*out = 0;
	for (*i = 0; *i < v->len && v->text[*i] >= '0' && v->text[*i] <= '9'; ++*i) {
		if (*out > UINT64_MAX / 10 - 1)
			return -1;
		*out = *out * 10 + (uint64_t)(v->text[*i] - '0');
	}
	return *i == 0 || (*i > 1 && v->text[0] == '0') ? -1 : 0;
}

int take_number(
	struct loader *l, const struct yaml_value *v, uint64_t least, uint64_t most, uint64_t *out)
{
	size_t i;

	if (take_text(l, v))
		return -1;
	if (!v->plain || digits(v, &i, out) || i != v->len)
		return reject_value(l, v,
			"no whole number. Write digits only, without quotes, sign, leading zero or "
			"unit");
	if (*out < least || *out > most)
		return reject_value(l, v, "out of range. Write %llu to %llu",
			(unsigned long long)least, (unsigned long long)most);
	return 0;
}

static int take_units(struct loader *l, const struct yaml_value *v, const struct unit *units,
	size_t n, const char *cure, uint64_t *out)
{
	size_t i, k;

	if (take_text(l, v))
		return -1;
	if (digits(v, &i, out) == 0) {
		for (k = 0; k < n; k++) {
			if (strcmp(v->text + i, units[k].name) != 0)
				continue;
			if (*out > UINT64_MAX / units[k].factor)
				break;
			*out *= units[k].factor;
			return 0;
		}
	}
	return reject_value(l, v, "%s", cure);
}

int take_size(
	struct loader *l, const struct yaml_value *v, uint64_t least, uint64_t most, uint64_t *out)
{
	static const struct unit units[] = {{"KiB", UINT64_C(1) << 10}, {"MiB", UINT64_C(1) << 20},
		{"GiB", UINT64_C(1) << 30}, {"TiB", UINT64_C(1) << 40}};

	if (take_units(l, v, units, 4,
		    "no size. Write a whole number and KiB, MiB, GiB or TiB without a space, like "
		    "512MiB",
		    out))
		return -1;
	if (*out < least || *out > most)
		return reject_value(l, v, "out of range. Write %lluMiB to %lluTiB",
			(unsigned long long)(least >> 20), (unsigned long long)(most >> 40));
	return 0;
}

int take_duration(
	struct loader *l, const struct yaml_value *v, uint64_t least, uint64_t most, uint64_t *out)
{
	static const struct unit units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};

	if (take_units(l, v, units, 4,
		    "no duration. Write a whole number and s, m, h or d without a space, like 10m",
		    out))
		return -1;
	if (*out < least || *out > most)
		return reject_value(l, v, "out of range. Write %llus to %llus",
			(unsigned long long)least, (unsigned long long)most);
	return 0;
}

int take_row_number(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	return take_number(l, v, l->row->value.least, l->row->value.most, out);
}

int take_row_size(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	return take_size(l, v, l->row->value.least, l->row->value.most, out);
}

int take_row_duration(struct loader *l, const struct yaml_value *v, uint64_t *out)
{
	return take_duration(l, v, l->row->value.least, l->row->value.most, out);
}
