/* The detach sequence; see keys.h. Terminals in the kitty keyboard protocol or with xterm's
 * modifyOtherKeys, which agents' interfaces switch on, send a control key as an escape sequence
 * instead of a byte: both forms count. */
#include "agentctl/keys.h"

#include <stdio.h>
#include <string.h>

static int parse_key(struct detach_key *k, const char *s, size_t n)
{
	if (n == 1 && s[0] > ' ' && s[0] < 0x7f) {
		*k = (struct detach_key){.byte = (unsigned char)s[0], .code = (unsigned char)s[0]};
		return 0;
	}
	if (n == 6 && memcmp(s, "ctrl-", 5) == 0) {
		unsigned char c = (unsigned char)s[5];

		if (!(c >= 'a' && c <= 'z') && !(c && strchr("@[\\]^_", c)))
			return -1;
		*k = (struct detach_key){.byte = c & 0x1f, .code = c, .ctrl = 1};
		return 0;
	}
	return -1;
}

int detach_keys_parse(struct detach_keys *k, const char *spec)
{
	memset(k, 0, sizeof *k);
	if (strcmp(spec, "none") == 0)
		return 0;
	for (;;) {
		/* A key may be the comma itself. */
		size_t n = spec[0] == ',' ? 1 : strcspn(spec, ",");

		if (k->n == DETACH_KEYS_MAX || parse_key(&k->key[k->n++], spec, n) < 0)
			return -1;
		if (!spec[n])
			return 0;
		if (spec[n] != ',')
			return -1;
		spec += n + 1;
	}
}

/* 1 when the n bytes at in start with s, whose length goes to *used. */
static int starts(const char *in, size_t n, const char *s, size_t *used)
{
	size_t k = strlen(s);

	if (k > n || memcmp(in, s, k) != 0)
		return 0;
	*used = k;
	return 1;
}

/* Bytes of in that are this key, 0 when it is another. */
static size_t match(const struct detach_key *k, const char *in, size_t n)
{
	unsigned modifier = k->ctrl ? 5 : 1;
	char form[32];
	size_t used;

	if ((unsigned char)in[0] == k->byte)
		return 1;
	if (in[0] != 0x1b)
		return 0;
	snprintf(form, sizeof form, "\x1b[%u;%uu", k->code, modifier);
	if (starts(in, n, form, &used))
		return used;
	snprintf(form, sizeof form, "\x1b[%u;%u:1u", k->code, modifier);
	if (starts(in, n, form, &used))
		return used;
	snprintf(form, sizeof form, "\x1b[27;%u;%u~", modifier, k->code);
	if (starts(in, n, form, &used))
		return used;
	snprintf(form, sizeof form, "\x1b[%uu", k->code);
	if (!k->ctrl && starts(in, n, form, &used))
		return used;
	return 0;
}

static size_t release_held(struct detach_keys *k, char *out)
{
	size_t n = k->held_n;

	memcpy(out, k->held, n);
	k->held_n = 0;
	k->matched = 0;
	return n;
}

size_t detach_keys_feed(struct detach_keys *k, const char *in, size_t n, char *out, int *detach)
{
	size_t len = 0;

	*detach = 0;
	for (size_t i = 0; i < n;) {
		size_t used = k->matched < k->n ? match(&k->key[k->matched], in + i, n - i) : 0;

		if (used && k->matched + 1 == k->n) {
			k->matched = k->held_n = 0;
			*detach = 1;
			return len;
		}
		if (used) {
			memcpy(k->held + k->held_n, in + i, used);
			k->held_n += used;
			k->matched++;
			i += used;
			continue;
		}
		if (k->matched) {
			size_t again = k->matched == 1 ? match(&k->key[0], in + i, n - i) : 0;

			len += release_held(k, out + len);
			i += again;
			continue;
		}
		out[len++] = in[i++];
	}
	return len;
}
