/* Claude Code. Its managed settings (root-owned, 0644, below a root-owned directory) install a hook
 * before every tool call; nothing in the home or the project can take it away. Measured with 2.1.330:
 * - exit 2 with a reason on stderr is a deny in every mode, and the exit code wins over stdout;
 * - a hook that crashes, is missing or times out lets the call through, unless the hook says
 *   "onFailure": "block" (2.1.295 and later; earlier ones ignore the member);
 * - managed settings that are not valid JSON stop the agent from starting.
 * This hook is the cooperative control (DESIGN 2); the walls do not depend on it. */
#include <string.h>

#include "agentd/broker/adapter.h"

#define SETTINGS_PATH "/etc/claude-code/managed-settings.json"
#define HOOK_SLACK_S  60 /* the hook answers before the agent gives up on it */

static void install(struct plan_builder *b, uint32_t timeout_s)
{
	struct text t = {0};

	text_addf(&t,
		"{\n"
		"  \"allowManagedHooksOnly\": true,\n"
		"  \"disableAutoMode\": \"disable\",\n"
		"  \"hooks\": {\n"
		"    \"PreToolUse\": [\n"
		"      {\"matcher\": \"*\", \"hooks\": [\n"
		"        {\"type\": \"command\", \"command\": \"%s hook claude-code\",\n"
		"         \"timeout\": %u, \"onFailure\": \"block\"}]}]},\n",
		HOOK_PROGRAM, timeout_s + HOOK_SLACK_S);
	text_add(&t, "  \"permissions\": {\"disableBypassPermissionsMode\": \"disable\"}\n}\n");
	if (t.failed)
		b->failed = 1;
	else
		plan_add_mount(b, PLAN_DATA, 0, t.p, t.n, SETTINGS_PATH);
	text_free(&t);
}

/* What the model wrote about a command: no effect on what runs, so it is shown, but not part of what
 * is decided and approved. */
static void take_words(struct tool_call *call)
{
	if (strcmp(call->tool, "Bash") != 0)
		return;
	call->says = json_string_value(json_object_get(call->input, "description"));
	json_object_del(call->input, "description");
}

static int read_event(json_t *event, struct tool_call *call, struct error *e)
{
	json_t *input = json_object_get(event, "tool_input");

	memset(call, 0, sizeof *call);
	call->tool = json_string_value(json_object_get(event, "tool_name"));
	call->cwd = json_string_value(json_object_get(event, "cwd"));
	call->event = json_string_value(json_object_get(event, "hook_event_name"));
	if (!call->event || (strcmp(call->event, "PreToolUse") != 0 &&
				    strcmp(call->event, "PermissionRequest") != 0))
		return error_set(e, 0, "not a PreToolUse or PermissionRequest event");
	if (!call->tool || !json_is_object(input))
		return error_set(e, 0, "the event has no tool_name or no tool_input");
	call->input = json_copy(input);
	if (!call->input)
		return error_set(e, 0, "out of memory");
	/* The words stay alive in the event, which the caller holds. */
	take_words(call);
	return 0;
}

static void write_decision(struct text *t, const char *event, int allow, const char *reason)
{
	text_add(t, "{\"hookSpecificOutput\":{\"hookEventName\":");
	text_quote_str(t, event);
	if (strcmp(event, "PermissionRequest") == 0) {
		text_addf(t, ",\"decision\":{\"behavior\":\"%s\"", allow ? "allow" : "deny");
		if (!allow) {
			text_add(t, ",\"message\":");
			text_quote_str(t, reason);
		}
		text_add(t, "}}}");
		return;
	}
	text_addf(t, ",\"permissionDecision\":\"%s\",\"permissionDecisionReason\":",
		allow ? "allow" : "deny");
	text_quote_str(t, reason);
	text_add(t, "}}");
}

static void write_output(struct hook_output *o, const char *event, int allow, const char *reason)
{
	o->exit = allow ? 0 : 2;
	write_decision(&o->out, event ? event : "PreToolUse", allow, reason);
	text_put(&o->err, "", 0);
	if (!allow)
		text_add(&o->err, reason);
}

const struct adapter adapter_claude = {
	.agent = "claude-code",
	.install = install,
	.read = read_event,
	.write = write_output,
};
