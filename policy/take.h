/* What is done with the value of each key of keys.c: checked and put into the layer (layer.c, rules
 * and tests in takerules.c). Each returns 0, or -1 with the loader's error filled. */
#ifndef POLICY_TAKE_H
#define POLICY_TAKE_H

#include "policy/keys.h"

typedef int take_value(struct loader *l, const struct yaml_value *v);

take_value take_version, take_name, take_unmatched, take_ceiling;
take_value take_when_agent, take_when_user, take_when_host, take_when_branch, take_when_ci;
take_value take_root, take_mode, take_mounts, take_identity;
take_value take_processes, take_memory, take_cpu, take_open_files, take_wall;
take_value take_limit_max, take_limit_best_effort;
take_value take_env_pass, take_env_set;
take_value take_rules, take_rule_text, take_rule_except, take_rule_pinned, take_rule_why;
take_value take_who, take_timeout, take_on_timeout, take_longest;
take_value take_on_lost, take_on_lost_after, take_durability, take_tests;

/* takestated.c: checked and kept, not enforced. */
take_value take_only_for, take_disk_write, take_actions, take_lease, take_heartbeat;
take_value take_kill_if, take_kill_denials, take_kill_canary, take_keep, take_redact;
take_value take_long_args, take_widest, take_budget, take_budget_prompts, take_budget_over;
take_value take_secrets, take_secret_name, take_secret_from, take_secret_for, take_secret_header;
take_value take_extends, take_extend_builtin, take_extend_remote;

/* Words and numbers that several keys use. */

/* Index of the scalar's text in words[], or -1 with the error: the words, and the one that was
 * meant. */
int take_word(struct loader *l, const struct yaml_value *v, const char *const *words, size_t n);
/* The same for the words of the key's row in keys.c. */
int take_row_word(struct loader *l, const struct yaml_value *v);
int take_bool(struct loader *l, const struct yaml_value *v, int *out);
/* A list whose items are all scalars. */
int take_list(struct loader *l, const struct yaml_value *v);
int take_number(
	struct loader *l, const struct yaml_value *v, uint64_t least, uint64_t most, uint64_t *out);
/* Bytes: 512MiB, 8GiB. */
int take_size(
	struct loader *l, const struct yaml_value *v, uint64_t least, uint64_t most, uint64_t *out);
/* Seconds: 30s, 10m, 8h, 7d. */
int take_duration(
	struct loader *l, const struct yaml_value *v, uint64_t least, uint64_t most, uint64_t *out);

/* The same with the bounds of the key's row in keys.c. */
int take_row_number(struct loader *l, const struct yaml_value *v, uint64_t *out);
int take_row_size(struct loader *l, const struct yaml_value *v, uint64_t *out);
int take_row_duration(struct loader *l, const struct yaml_value *v, uint64_t *out);

#endif
