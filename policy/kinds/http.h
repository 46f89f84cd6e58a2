/* Requests over HTTP, as http.c puts them into words. */
#ifndef POLICY_KINDS_HTTP_H
#define POLICY_KINDS_HTTP_H

#include "policy/kinds/kind.h"

#define HTTP_METHOD_MAX 32u

/* The word of a request. 0; -1 with *why: what is not canonical about it; or -1 and NULL there: out
 * of memory. */
int http_word(struct arena *a, const struct http_request *r, struct word *out, const char **why);

#endif
