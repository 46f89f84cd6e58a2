/* What the arguments of a tool's call are. */
#ifndef POLICY_SUGGEST_CALLTEXT_H
#define POLICY_SUGGEST_CALLTEXT_H

#include "policy/suggest/suggest.h"

/* 1 for an argument that names a path; for what a tool writes, looks for, or says about itself. */
int call_names_path(const char *pointer);
int call_is_content(const char *tool, const char *pointer);

/* The name that a path has in rules, NULL when it has none that is sure. */
const struct action_name *call_path(const struct action_value *v);

#endif
