/* Collects what `agentctl run` asks for: who, where, the command, the environment, policy documents,
 * toolchains, protected paths, facts; and makes it a sealed request (common/request.h). Used by run.c.
 * It proposes; broker and supervisor decide, and trust none of it. */
#ifndef AGENTCTL_GATHER_H
#define AGENTCTL_GATHER_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define DOC_MAX      (256u << 10) /* bytes of one policy document */
#define CLI_DOCS_MAX 16

struct run_options {
	const char *name, *agent, *workspace; /* NULL: not given */
	const char *policy[CLI_DOCS_MAX]; /* --policy, in order */
	int policies;
	int terminal, detached;
	uint16_t rows, cols; /* of the terminal */
	char **argv; /* the command, NULL-terminated */
};

struct whereabouts { /* filled by gather_place */
	char user[64], home[PATH_MAX]; /* as in passwd */
	char real_home[PATH_MAX]; /* canonical; home itself when it does not exist */
	char cwd[PATH_MAX], workspace[PATH_MAX]; /* canonical */
};

/* Finds user, home, working directory and workspace (o->workspace, else the nearest directory from the
 * working directory up that has .git or .agentd and is not above home, else the working directory).
 * Refuses a workspace that is the home directory, above it, or the system's. */
int gather_place(struct whereabouts *w, const struct run_options *o, struct error *e);

/* 0, or -1 with *e saying why dir is not fit to be a workspace, and the cure. */
int workspace_check(const char *dir, const char *home, struct error *e);

/* The agent kind of a command that is known by its name, "" for others. */
const char *agent_of(const char *command);

/* The request as a sealed memfd (owned by the caller), or -1 with *e. */
int gather_request(const struct run_options *o, struct error *e);

#endif
