/* Hears of names that change in directories, and who changed them: fanotify(7), and inotify(7), which
 * does not tell who, for file systems or kernels where fanotify cannot. Called by guard.c only. */
#ifndef SUPERVISOR_DIRWATCH_H
#define SUPERVISOR_DIRWATCH_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

#define DIRWATCH_HANDLE_MAX 128

/* What changed (fsnotify's values, which fanotify and inotify share). */
#define DIRWATCH_NAMES   0x3c0u /* moved from, moved to, created, removed */
#define DIRWATCH_ARRIVES 0x180u /* moved to, created */
#define DIRWATCH_CONTENT 0x00au /* modified, closed after writing */

struct dirwatch { /* names one directory, wherever it is moved */
	int wd; /* inotify; -1: the handle counts */
	_Alignas(8) unsigned char handle[sizeof(struct file_handle) + DIRWATCH_HANDLE_MAX];
};

/* d: valid during the call only. pid: 0 when unknown. */
typedef void dirwatch_fn(const struct dirwatch *d, const char *name, uint64_t mask, pid_t pid);

/* Once. fn hears of every change that dirwatch_read reads; lost is called when some were lost; ready, by
 * the event loop, when there is something to read. 0 or -1. */
int dirwatch_init(dirwatch_fn *fn, void (*lost)(void), void (*ready)(void), struct error *e);

/* fd: the directory (O_PATH). each_write: 0 hears of a changed file when it is closed, which is enough where
 * programs write logs. Fills *d. 0, or -1 with errno. */
int dirwatch_add(int fd, int each_write, struct dirwatch *d);
void dirwatch_remove(int fd, const struct dirwatch *d); /* fd: what is there now, or -1 */
int dirwatch_same(const struct dirwatch *a, const struct dirwatch *b);

/* Reads what there is, bounded, and leaves out what this process did itself. */
void dirwatch_read(void);

#endif
