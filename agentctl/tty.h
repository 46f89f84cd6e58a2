/* The person's terminal while an agent has it: raw mode, and back again on every way out of the process,
 * signals and crashes included. Used by run.c and attach.c through terminal.c. The terminal is
 * descriptors 0 (keys, modes) and 1 (output). */
#ifndef AGENTCTL_TTY_H
#define AGENTCTL_TTY_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Raw mode. From now until tty_leave a window-size change is passed to the pty set by tty_master;
 * SIGTERM and SIGHUP leave the terminal as it was, print the farewell and end the process by that
 * signal; SIGTSTP stops it with the terminal restored. 0, or -1 with *e. */
int tty_enter(struct error *e);

/* Puts the terminal back; does nothing when it is not raw. Async-signal-safe. */
void tty_leave(void);

/* The pty master whose size follows the terminal's; -1: none. Sets its size at once. */
void tty_master(int fd);

/* Makes the program behind the pty draw its screen again (two size changes). */
void tty_redraw(void);

/* The line that is printed when a signal ends the process; kept, not copied. */
void tty_farewell(const char *line);

/* Writes all of it to the terminal, remembering what it switches on. 0, or -1: the terminal is gone. */
int tty_write(const char *p, size_t n);

/* The terminal's size; 24 x 80 when there is none. */
void tty_size(uint16_t *rows, uint16_t *cols);

#endif
