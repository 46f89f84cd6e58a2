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
take_value take_rule_until, take_rule_proto;
take_value take_who, take_timeout, take_on_timeout, take_longest;
take_value take_on_lost, take_on_lost_after, take_durability, take_tests, take_best_effort;

/* takestated.c: checked and kept, not enforced. */
take_value take_only_for, take_disk_write, take_actions, take_lease, take_heartbeat;
take_value take_kill_if, take_kill_denials, take_kill_canary, take_keep, take_redact;
take_value take_long_args, take_widest, take_budget, take_budget_prompts, take_budget_over;
take_value take_secrets, take_secret_name, take_secret_from, take_secret_for, take_secret_header;
take_value take_lease_ttl, take_lease_renew, take_lease_expiry, take_traps, take_notify;
take_value take_never_for, take_publish;

/* takeservers.c: the same for the servers of mcp. */
take_value take_servers, take_server_command, take_server_secrets, take_server_workspace;
take_value take_server_net, take_server_pin;

/* takeextends.c: further layers. */
take_value take_extends, take_extend_builtin, take_extend_remote, take_extend_file;
take_value take_extend_digest;

/* Keeps a value that nothing enforces yet under a key, behind what is there. */
__attribute__((format(printf, 4, 5))) int state_value(
	struct loader *l, const char *key, unsigned line, const char *fmt, ...);
/* What the layer has under a key, or NULL. */
const struct stated *stated_of(const struct layer *y, const char *key);

/* Keeps a list of texts, none of them twice, that check has nothing to say about, under a key. */
int take_items(struct loader *l, const struct yaml_value *v, const char *key,
	int (*check)(struct loader *l, const struct yaml_value *item));
/* Keeps a command, a list of its words, under a key. */
int take_command(struct loader *l, const struct yaml_value *v, const char *key);
/* "sha256:" and 64 small hex digits, into 32 bytes. 0, or -1 with the error. */
int take_sha256(struct loader *l, const struct yaml_value *v, unsigned char out[32]);

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
