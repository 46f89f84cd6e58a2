/* The key sequence that detaches from a sandbox's terminal. Used by terminal.c on what the person
 * types; knows no terminal. */
#ifndef AGENTCTL_KEYS_H
#define AGENTCTL_KEYS_H

#include <stddef.h>

#define DETACH_KEYS_DEFAULT "ctrl-\\,d"
#define DETACH_KEYS_MAX     4
#define KEYS_HELD_MAX       128 /* bytes of a sequence that is not whole yet */

struct detach_key {
	unsigned char byte; /* what the key sends */
	unsigned code; /* the unmodified key, for terminals that send keys as CSI … u */
	int ctrl;
};

struct detach_keys {
	struct detach_key key[DETACH_KEYS_MAX];
	size_t n, matched; /* keys in the sequence; typed so far */
	size_t held_n;
	char held[KEYS_HELD_MAX];
};

/* Reads keys separated by commas: one printable character each, or ctrl- and one of a-z @ [ \ ] ^ _.
 * "none" is an empty sequence. 0, or -1 when it is none of that. */
int detach_keys_parse(struct detach_keys *k, const char *spec);

/* Passes typed bytes on: writes to out (room for n + KEYS_HELD_MAX) what goes to the agent and returns
 * its length. *detach is set when the sequence is complete; what follows it is dropped. The first key
 * typed twice goes through once. */
size_t detach_keys_feed(struct detach_keys *k, const char *in, size_t n, char *out, int *detach);

#endif
