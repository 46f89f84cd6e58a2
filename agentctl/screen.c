/* Terminal modes in force; see screen.h. */
#include "agentctl/screen.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

enum { GROUND, ESCAPE, CSI, CHARSET, STRING, STRING_ESCAPE };

/* DEC private modes (CSI ? N h and l) that matter after the program, and which way is not the shell's. */
static const struct {
	int mode, wrong; /* wrong: 1 when set is wrong, 0 when reset is */
	const char *undo;
} modes[] = {
	{1, 1, "\x1b[?1l"}, /* application cursor keys */
	{6, 1, "\x1b[?6l"}, /* origin */
	{7, 0, "\x1b[?7h"}, /* wrap around */
	{9, 1, "\x1b[?9l"}, /* mouse, X10 */
	{25, 0, "\x1b[?25h"}, /* cursor */
	{66, 1, "\x1b[?66l"}, /* keypad */
	{1000, 1, "\x1b[?1000l"}, /* mouse */
	{1001, 1, "\x1b[?1001l"},
	{1002, 1, "\x1b[?1002l"},
	{1003, 1, "\x1b[?1003l"},
	{1004, 1, "\x1b[?1004l"}, /* focus reports */
	{1005, 1, "\x1b[?1005l"},
	{1006, 1, "\x1b[?1006l"},
	{1015, 1, "\x1b[?1015l"},
	{1016, 1, "\x1b[?1016l"},
	{2004, 1, "\x1b[?2004l"}, /* bracketed paste */
	{2026, 1, "\x1b[?2026l"}, /* synchronised output */
	{2031, 1, "\x1b[?2031l"}, /* colour scheme reports */
	{2048, 1, "\x1b[?2048l"}, /* size reports */
	/* The alternate screen last: what is above belongs to it. */
	{47, 1, "\x1b[?47l"},
	{1047, 1, "\x1b[?1047l"},
	{1049, 1, "\x1b[?1049l"},
};

/* Bits behind those of the table. */
#define BIT_KEYPAD   (1u << 24) /* ESC = */
#define BIT_CHARSET  (1u << 25) /* ESC ( other than B */
#define BIT_SHIFT    (1u << 26) /* SO */
#define BIT_KEYS     (1u << 27) /* modifyOtherKeys */
#define BIT_REGION   (1u << 28) /* scrolling region */
#define BIT_CURSOR   (1u << 29) /* cursor style */
#define BIT_COLOURS  (1u << 30) /* any SGR */
#define BIT_KEYFLAGS (1u << 31) /* kitty flags set without push */

static void set_bit(struct screen *s, unsigned bit, int on)
{
	s->modes = on ? s->modes | bit : s->modes & ~bit;
}

static void private_mode(struct screen *s, long mode, int set)
{
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (modes[i].mode == mode)
			set_bit(s, 1u << i, set == modes[i].wrong);
}

/* CSI ? N ; N … h or l */
static void private_modes(struct screen *s, int set)
{
	char *p = s->params + 1;

	while (*p) {
		char *end;
		long mode = strtol(p, &end, 10);

		if (end == p)
			return;
		private_mode(s, mode, set);
		p = *end == ';' ? end + 1 : end;
	}
}

/* CSI … u: the kitty keyboard protocol pushes (>), pops (<) and sets (=) flags. */
static void keyboard(struct screen *s)
{
	unsigned n = (unsigned)strtoul(s->params + 1, NULL, 10);

	if (s->params[0] == '>' && s->kitty < 64) {
		s->kitty++;
	} else if (s->params[0] == '<') {
		n = n ? n : 1;
		s->kitty = n > s->kitty ? 0 : s->kitty - n;
	} else if (s->params[0] == '=') {
		set_bit(s, BIT_KEYFLAGS, n != 0);
	}
}

static void final_byte(struct screen *s, char c)
{
	const char *p = s->params;

	if ((c == 'h' || c == 'l') && *p == '?')
		private_modes(s, c == 'h');
	else if (c == 'u')
		keyboard(s);
	else if (c == 'm' && *p == '>')
		set_bit(s, BIT_KEYS, strncmp(p, ">4;", 3) == 0 && p[3] != '0');
	else if (c == 'm' && *p != '?')
		set_bit(s, BIT_COLOURS, *p && strcmp(p, "0") != 0);
	else if (c == 'r' && *p != '?')
		set_bit(s, BIT_REGION, *p != 0);
	else if (c == 'q' && s->n && p[s->n - 1] == ' ')
		set_bit(s, BIT_CURSOR, *p != '0' && *p != ' ');
	else if (c == 'p' && *p == '!') /* soft reset */
		s->modes &= ~(BIT_KEYPAD | BIT_CHARSET | BIT_SHIFT | BIT_REGION | BIT_COLOURS);
}

static int after_escape(struct screen *s, char c)
{
	switch (c) {
	case '[':
		s->n = 0;
		s->params[0] = 0;
		return CSI;
	case '(':
		return CHARSET;
	case ']':
	case 'P':
	case 'X':
	case '^':
	case '_':
		return STRING;
	case 0x1b:
		return ESCAPE;
	case '=':
	case '>':
		set_bit(s, BIT_KEYPAD, c == '=');
		return GROUND;
	case 'c': /* full reset */
		s->modes = 0;
		s->kitty = 0;
		return GROUND;
	default:
		return GROUND;
	}
}

static int in_csi(struct screen *s, char c)
{
	if (c == 0x1b)
		return ESCAPE;
	if (c == 0x18 || c == 0x1a) /* CAN and SUB end a sequence */
		return GROUND;
	if (c >= 0x40 && c <= 0x7e) {
		if (s->n < sizeof s->params)
			final_byte(s, c);
		return GROUND;
	}
	if (c >= 0x20 && c < 0x40) {
		if (s->n + 1 < sizeof s->params) {
			s->params[s->n++] = c;
			s->params[s->n] = 0;
		} else {
			s->n = sizeof s->params; /* too long to be one of ours */
		}
	}
	return CSI;
}

static int next_state(struct screen *s, char c)
{
	switch (s->state) {
	case ESCAPE:
		return after_escape(s, c);
	case CSI:
		return in_csi(s, c);
	case CHARSET:
		set_bit(s, BIT_CHARSET, c != 'B');
		return GROUND;
	case STRING:
		return c == 0x07 || c == 0x18 || c == 0x1a ? GROUND
		       : c == 0x1b                         ? STRING_ESCAPE
							   : STRING;
	case STRING_ESCAPE:
		return c == '\\' ? GROUND : after_escape(s, c);
	default:
		if (c == 0x0e || c == 0x0f)
			set_bit(s, BIT_SHIFT, c == 0x0e);
		return c == 0x1b ? ESCAPE : GROUND;
	}
}

void screen_feed(struct screen *s, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end) {
		/* Plain text goes by quickly. */
		if (s->state == GROUND && (unsigned char)*p >= 0x20) {
			p++;
			continue;
		}
		s->state = next_state(s, *p++);
	}
}

static void put(char *out, size_t *n, const char *s)
{
	size_t k = strlen(s);

	if (k <= SCREEN_UNDO_MAX - *n) {
		memcpy(out + *n, s, k);
		*n += k;
	}
}

size_t screen_undo(const struct screen *s, char out[SCREEN_UNDO_MAX])
{
	static const struct {
		unsigned bit;
		const char *undo;
	} others[] = {
		{BIT_KEYFLAGS, "\x1b[=0u"}, {BIT_KEYS, "\x1b[>4m"}, {BIT_KEYPAD, "\x1b>"},
		{BIT_CHARSET, "\x1b(B"}, {BIT_SHIFT, "\x0f"}, {BIT_CURSOR, "\x1b[0 q"},
		{BIT_COLOURS, "\x1b[m"},
		{BIT_REGION, "\x1b\x37\x1b[r\x1b\x38"}, /* setting the region moves the cursor */
	};
	size_t n = 0;

	if (s->state == STRING || s->state == STRING_ESCAPE)
		put(out, &n, "\x1b\\");
	else if (s->state != GROUND)
		put(out, &n, "\x18");
	for (unsigned i = 0; i < s->kitty; i++)
		put(out, &n, "\x1b[<u");
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (s->modes & others[i].bit)
			put(out, &n, others[i].undo);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (s->modes & (1u << i))
			put(out, &n, modes[i].undo);
	return n;
}
