/* Errors with a code of our choosing; see fault.h. */
#include "audit/fault.h"

#include <stdarg.h>
#include <stdio.h>

int fault_set(struct error *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	return -1;
}
