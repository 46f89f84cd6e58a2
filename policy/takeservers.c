/* mcp.servers: servers that agentd starts outside of the sandbox and speaks to for the agent. Checked
 * and kept, enforced by nothing yet. See take.h. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "policy/kinds/kind.h"
#include "policy/take.h"
#include "policy/text.h"

#define SERVERS_MAX  32u
#define NAME_MAX_LEN 64u

/* "mcp.servers github.net" */
static void server_key(const struct loader *l, const char *part, char out[160])
{
	snprintf(out, 160, "mcp.servers %.100s.%s", l->server, part);
}

int take_server_command(struct loader *l, const struct yaml_value *v)
{
	char key[160];

	server_key(l, "command", key);
	return take_command(l, v, key);
}

static int check_secret(struct loader *l, const struct yaml_value *v)
{
	size_t n = strspn(v->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (n == v->len && n <= 64 && !(v->text[0] >= '0' && v->text[0] <= '9'))
		return 0;
	return reject_value(
		l, v, "no name of a secret. Write the name that `secrets` gives it, like GH_TOKEN");
}

/* A connection that the server may make: as in rules of net. */
static int check_host(struct loader *l, const struct yaml_value *v)
{
	struct pattern_fault f;
	const void *parsed;

	return kind_net.parse(l->arena, v->text, v->len, &parsed, &f) ? reject_fault(l, v, &f) : 0;
}

int take_server_secrets(struct loader *l, const struct yaml_value *v)
{
	char key[160];

	server_key(l, "secrets", key);
	return take_items(l, v, key, check_secret);
}

int take_server_net(struct loader *l, const struct yaml_value *v)
{
	char key[160];

	server_key(l, "net", key);
	return take_items(l, v, key, check_host);
}

int take_server_workspace(struct loader *l, const struct yaml_value *v)
{
	char key[160];

	server_key(l, "workspace", key);
	return take_row_word(l, v) < 0 ? -1 : state_value(l, key, v->line, "%s", v->text);
}

int take_server_pin(struct loader *l, const struct yaml_value *v)
{
	unsigned char sha256[32];
	char key[160];

	if (take_sha256(l, v, sha256))
		return -1;
	server_key(l, "pin", key);
	return state_value(l, key, v->line, "%s", v->text);
}

/* What rules of mcp can name. */
static int name_ok(const struct yaml_value *key)
{
	return key->len && key->len <= NAME_MAX_LEN &&
	       strspn(key->text,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       key->len;
}

static int take_server(struct loader *l, const struct yaml_value *v)
{
	char key[160];

	if (!name_ok(v->key))
		return reject_value(l, v->key,
			"no name of a server. Write letters, digits, -, _ and ., at most 64");
	if (v->type != YAML_MAPPING)
		return reject_value(l, v,
			"no server. Write {command: [PROGRAM, ARGUMENT], secrets: [NAME], "
			"workspace: none, net: [HOST:PORT]}");
	l->server = v->key->text;
	if (keys_take(l, "server", v))
		return -1;
	server_key(l, "command", key);
	if (!stated_of(l->layer, key))
		return reject_value(
			l, v, "a server without its command. Write command: [PROGRAM, ARGUMENT]");
	return 0;
}

int take_servers(struct loader *l, const struct yaml_value *v)
{
	const struct yaml_value *item;

	if (v->type != YAML_MAPPING)
		return reject_value(
			l, v, "no mapping of servers. Write {NAME: {command: [PROGRAM]}}");
	if (v->count > l->row->value.most)
		return reject_value(l, v, "more than 32 servers. Use fewer");
	for (item = v->first; item; item = item->next) {
		if (take_server(l, item))
			return -1;
	}
	return 0;
}
