/* Remembers what a program has switched on in the person's terminal (alternate screen, mouse, hidden
 * cursor, keyboard protocols …), so that it can be switched off again when the person leaves and the
 * program does not do it. Used by tty.c on the bytes that pass. Sequences: ECMA-48, xterm's ctlseqs. */
#ifndef AGENTCTL_SCREEN_H
#define AGENTCTL_SCREEN_H

#include <stddef.h>

#define SCREEN_UNDO_MAX 512

struct screen {
	unsigned modes; /* bits, see screen.c */
	unsigned kitty; /* keyboard flags that were pushed and not popped */
	int state; /* of the parser */
	size_t n;
	char params[64];
};

/* A zeroed struct is a terminal as the shell left it. */
void screen_feed(struct screen *s, const char *p, size_t n);

/* Writes what puts the terminal back to out; returns the length, 0 when nothing is to be done. The
 * caller sends it and forgets the state (memset). Async-signal-safe. */
size_t screen_undo(const struct screen *s, char out[SCREEN_UNDO_MAX]);

#endif
