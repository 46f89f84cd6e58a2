/* Calls of tools as text; see calltext.h. Agents choose what stands in them. */
#include "policy/suggest/calltext.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "policy/suggest/ideas.h"

static int is_one_of(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s, list[i]) == 0)
			return 1;
	}
	return 0;
}

int call_names_path(const char *pointer)
{
	static const char *const paths[] = {"/file_path", "/filePath", "/path", "/notebook_path",
		"/absolute_path", "/dir_path", "/directory", "/cwd", "/workdir"};

	return is_one_of(pointer, paths, ARRAY_LEN(paths));
}

int call_is_content(const char *tool, const char *pointer)
{
	static const char *const any[] = {
		"/description", "/timeout", "/run_in_background", "/explanation"};
	static const char *const files[] = {"/old_string", "/new_string", "/content",
		"/replace_all", "/expected_replacements", "/offset", "/limit", "/new_source",
		"/cell_id", "/cell_type", "/edit_mode", "/oldString", "/newString", "/replaceAll",
		"/instruction"};
	static const char *const search[] = {"/pattern", "/output_mode", "/-n", "/-i", "/-A", "/-B",
		"/-C", "/head_limit", "/multiline", "/glob", "/type", "/include"};
	static const char *const file_tools[] = {"Edit", "Write", "MultiEdit", "NotebookEdit",
		"Read", "NotebookRead", "write_file", "read_file", "replace", "edit", "write",
		"read", "create_file", "edit_file"};
	static const char *const search_tools[] = {
		"Grep", "Glob", "grep", "glob", "list", "LS", "search_file_content", "grep_search"};

	if (is_one_of(pointer, any, ARRAY_LEN(any)))
		return 1;
	if (is_one_of(tool, file_tools, ARRAY_LEN(file_tools)))
		return is_one_of(pointer, files, ARRAY_LEN(files)) ||
		       strncmp(pointer, "/edits/", 7) == 0;
	if (is_one_of(tool, search_tools, ARRAY_LEN(search_tools)))
		return is_one_of(pointer, search, ARRAY_LEN(search));
	return strcmp(pointer, "/prompt") == 0 &&
	       (strcmp(tool, "WebFetch") == 0 || strcmp(tool, "web_fetch") == 0);
}

const struct action_name *call_path(const struct action_value *v)
{
	for (size_t i = 0; i < v->names; i++) {
		if (v->name[i].way != 0)
			return NULL;
	}
	return v->names && !v->path_unknown && v->name[0].literal == 0 ? &v->name[0] : NULL;
}

/* Its value as a test writes it: in quotes. -1: it cannot be. */
static int put_value(FILE *f, const char *s, size_t n)
{
	int both = memchr(s, '"', n) && memchr(s, '\'', n);
	char quote = memchr(s, '"', n) ? '\'' : '"';

	if (both || memchr(s, 0, n))
		return -1;
	putc(quote, f);
	fwrite(s, 1, n, f);
	putc(quote, f);
	return 0;
}

static int pointer_ok(const char *pointer)
{
	return !pointer[strcspn(pointer, ",}*")] && !strstr(pointer, ": ");
}

static int put_argument(FILE *f, const struct action_value *v, int first)
{
	const struct action_name *name = call_path(v);
	int is_path = call_names_path(v->pointer) || path_root(v->text, v->len);
	struct writer w;
	char *text;

	if (v->type == ACTION_EMPTY_OBJECT || v->type == ACTION_EMPTY_ARRAY ||
		!pointer_ok(v->pointer) || (is_path && !name) || writer_open(&w))
		return -1;
	if (put_value(w.f, is_path ? name->text : v->text, is_path ? name->len : v->len)) {
		free(writer_close(&w));
		return -1;
	}
	text = writer_close(&w);
	if (!text)
		return -1;
	fprintf(f, "%s%s: %s", first ? " {" : ", ", v->pointer, text);
	free(text);
	return 0;
}

char *suggest_call_text(const struct action *call, int whole)
{
	size_t written = 0;
	struct writer w;
	int failed = 0;
	char *text;

	if (writer_open(&w))
		return NULL;
	fprintf(w.f, "tool %s", call->tool);
	for (size_t i = 0; i < call->values && !failed; i++) {
		const struct action_value *v = &call->value[i];
		int missing;

		if (call_is_content(call->tool, v->pointer))
			continue;
		missing = written == CONDITIONS_MAX || put_argument(w.f, v, written == 0);
		written += !missing;
		failed = missing && whole;
	}
	fputs(written ? "}" : "", w.f);
	text = writer_close(&w);
	if (text && failed) {
		free(text);
		text = NULL;
	}
	return text;
}
