/* Things to record that the supervisor learns and the broker writes: kept in a bounded list until the
 * broker says that they are durable, so that neither a dead broker nor a dead recorder loses one.
 * Kills have a second home, the latch table, and survive even this process. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "supervisor/supervisor.h"

#define EVENTS_MAX       4096
#define EVENTS_KEPT_FREE 1024 /* for what nobody asked for: kills, lost roles */

struct event {
	uint64_t id;
	struct msg_event ev;
	int slot; /* latch slot of a kill, -1 otherwise */
	int sent; /* to the broker that is there now */
	struct event *next;
};

static struct event *first, **last = &first;
static unsigned count;
static uint64_t next_id = 1;

static int send_event(struct event *x)
{
	x->sent = broker_send(MSG_EVENT, x->id, &x->ev, sizeof x->ev, NULL, 0) == 0;
	return x->sent;
}

int event_room(void)
{
	return count < EVENTS_MAX - EVENTS_KEPT_FREE;
}

void events_tick(void)
{
	for (struct event *x = first; x; x = x->next) {
		if (!x->sent && !send_event(x))
			return; /* in order: the rest waits for this one */
	}
}

static void add(const struct msg_event *ev, int slot)
{
	struct event *x = count < EVENTS_MAX ? calloc(1, sizeof *x) : NULL;

	if (!x) {
		say("an event of kind %u could not be kept for the log", ev->kind);
		return;
	}
	x->id = next_id++;
	x->ev = *ev;
	x->slot = slot;
	*last = x;
	last = &x->next;
	count++;
	events_tick();
}

void event_note(const struct msg_event *ev)
{
	add(ev, -1);
}

void event_text(enum event_kind kind, uid_t owner, const char *fmt, ...)
{
	struct msg_event ev = {
		.kind = kind, .uid = owner, .by_uid = (uint32_t)-1, .at_ns = io_now_real()};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ev.text, sizeof ev.text, fmt, ap);
	va_end(ap);
	add(&ev, -1);
}

void event_recorded(uint64_t id)
{
	for (struct event **at = &first; *at; at = &(*at)->next) {
		struct event *x = *at;

		if (x->id != id)
			continue;
		if (x->slot >= 0)
			latch_logged(sup.latches, (unsigned)x->slot, x->ev.at_ns);
		*at = x->next;
		if (last == &x->next)
			last = at;
		free(x);
		count--;
		return;
	}
}

void events_resend(void)
{
	for (struct event *x = first; x; x = x->next)
		x->sent = 0;
	events_tick();
}

static int pending(unsigned slot, uint64_t at_ns)
{
	for (const struct event *x = first; x; x = x->next) {
		if (x->slot == (int)slot && x->ev.at_ns == at_ns)
			return 1;
	}
	return 0;
}

/* One kill, known from the killer's message or from the table. */
void event_receipt(unsigned slot, const struct latch_entry *l)
{
	struct msg_event ev = {.kind = EVENT_KILL,
		.uid = l->uid,
		.by_uid = l->by_uid,
		.by_pid = l->by_pid,
		.at_ns = l->at_ns,
		.sandbox = l->sandbox,
		.tasks = l->tasks,
		.unconfirmed = l->unconfirmed,
		.took_us = l->took_us};

	struct latch_entry now;

	if (pending(slot, l->at_ns) ||
		(latch_get(sup.latches, slot, &now) && now.at_ns == l->at_ns &&
			!(now.flags & LATCH_UNLOGGED)))
		return; /* on its way to the log, or there */
	snprintf(ev.name, sizeof ev.name, "%s", l->flags & LATCH_ALL ? "*" : l->name);
	snprintf(ev.text, sizeof ev.text, "%s", l->reason);
	memcpy(ev.sig, l->sig, sizeof ev.sig);
	memcpy(ev.key, l->key, sizeof ev.key);
	add(&ev, (int)slot);
}

void event_receipts(void)
{
	struct latch_entry l;

	for (unsigned i = 0; i < LATCH_SLOTS; i++) {
		if (latch_get(sup.latches, i, &l) && (l.flags & LATCH_UNLOGGED))
			event_receipt(i, &l);
	}
}
