/* The table of programs; see programs.h. */
#include "policy/kinds/programs.h"

#include <string.h>

static const struct program programs[] = {
#include "policy/tables/programs.def"
};

const struct program *program_at(size_t i)
{
	return i < sizeof programs / sizeof *programs ? &programs[i] : NULL;
}

const struct program *program_named(const char *name)
{
	const struct program *p;

	for (size_t i = 0; (p = program_at(i)) != NULL; i++) {
		if (strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

const char *program_word(const char **at, size_t *n)
{
	const char *word = *at;

	if (!word)
		return NULL;
	word += strspn(word, " ");
	*n = strcspn(word, " ");
	*at = word + *n;
	return *n ? word : NULL;
}
