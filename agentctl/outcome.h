/* How a run or an attachment ended, and what is said about it. Used by run.c, attach.c and the two
 * relays. */
#ifndef AGENTCTL_OUTCOME_H
#define AGENTCTL_OUTCOME_H

enum outcome_kind {
	OUTCOME_NONE, /* it goes on */
	OUTCOME_EXIT, /* the command ended by itself */
	OUTCOME_END, /* it was ended: killed, limits, agentd lost */
	OUTCOME_DETACHED, /* the person left, the sandbox goes on */
	OUTCOME_TAKEN, /* another attach took the terminal */
	OUTCOME_LOST, /* agentd is gone */
	OUTCOME_REFUSED, /* agentd said no */
};

struct outcome {
	enum outcome_kind kind;
	int code; /* exit code of the process for EXIT and END */
	char text[512]; /* untrusted: why, for END, TAKEN, LOST and REFUSED */
};

/* Reads a line of the supervisor's: "EXIT 3", "END 137 killed by …". 1 when it was one of them. */
int outcome_of_line(struct outcome *o, const char *line);

/* Reads a notification of the broker's ("ended", "detached"). 1 when it was one of them. */
int outcome_of_notification(struct outcome *o, const char *line);

/* Says on stderr what a person should know about it, and returns the exit code. */
int outcome_report(const struct outcome *o, const char *name);

#endif
