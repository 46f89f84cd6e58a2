/* Which repository policy files a user has looked at and trusts: (uid, path, SHA-256 of the bytes). One
 * small file per uid in the broker's state directory, replaced atomically and fsynced. */
#ifndef BROKER_TRUST_H
#define BROKER_TRUST_H

#include <sys/types.h>

#include "common/error.h"

#define TRUST_MAX 1000 /* entries of one user */

/* 1 when these bytes at this path are trusted, 0 when not, -1 with *e filled: treat as not. */
int trust_check(const char *dir, uid_t uid, const char *path, const char *sha256, struct error *e);

/* Adds, or replaces the digest of a path. 0 or -1. sha256 is 64 lower-case hex digits, path absolute
 * and without control characters. */
int trust_add(const char *dir, uid_t uid, const char *path, const char *sha256, struct error *e);

/* Removes a path: 1, 0 when it was not there, or -1. */
int trust_remove(const char *dir, uid_t uid, const char *path, struct error *e);

/* Calls each for every entry, sorted by path. 0 or -1. */
int trust_list(const char *dir, uid_t uid,
	void (*each)(void *ctx, const char *path, const char *sha256), void *ctx, struct error *e);

/* 1 when these can be stored. */
int trust_entry_ok(const char *path, const char *sha256);

#endif
