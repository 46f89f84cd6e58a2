/* The built-in layer coding-base: what holds when nobody wrote a policy, and the denials that hold
 * always. The same language as every other document; its tests run whenever a policy is loaded. */
#include <string.h>

#include "policy/policy.h"

#define WRITERS                                                                               \
	"{Edit,Write,MultiEdit,NotebookEdit,write_file,replace,edit,write,patch,apply_patch," \
	"create_file,edit_file}"
#define GUARDED                                                                     \
	"{.agentd,.claude,.codex,.gemini,.opencode,.openclaw,.vscode,.idea,.husky," \
	".git/{hooks,config}}"

/* clang-format off */
static const char text[] =
	"# What agentd applies when nobody wrote a policy. Its deny rules always hold; the rest\n"
	"# gives way to a file that states the same key (docs/policy.md).\n"
	"policy: 1\n"
	"name: coding-base\n"
	"unmatched: ask   # shells, network tools, sub-agents, MCP servers, tools nobody knows\n"
	"tools:\n"
	"  allow:\n"
	"    # Reading: the sandbox's walls decide what there is to read.\n"
	"    - \"{Read,Grep,Glob,LS,NotebookRead,TodoRead,TodoWrite,ToolSearch}\"\n"
	"    - \"{read_file,read_many_files,list_directory,glob,search_file_content,grep_search}\"\n"
	"    - \"{read,grep,list,ls,find,todoread,todowrite,update_plan,view_image}\"\n"
	"    # Writing inside the workspace. A second path argument would hide which file is meant.\n"
	"    - tool: \"{Edit,Write,MultiEdit,write_file,replace} {/file_path: ws:/**}\"\n"
	"      except: [\"* {/filePath: '*'}\", \"* {/path: '*'}\", \"* {/notebook_path: '*'}\"]\n"
	"    - tool: \"NotebookEdit {/notebook_path: ws:/**}\"\n"
	"      except: [\"* {/filePath: '*'}\", \"* {/path: '*'}\", \"* {/file_path: '*'}\"]\n"
	"    - tool: \"{edit,write} {/filePath: ws:/**}\"\n"
	"      except: [\"* {/file_path: '*'}\", \"* {/path: '*'}\", \"* {/notebook_path: '*'}\"]\n"
	"    - tool: \"{edit,write} {/path: ws:/**}\"\n"
	"      except: [\"* {/filePath: '*'}\", \"* {/file_path: '*'}\", \"* {/notebook_path: '*'}\"]\n"
	"  deny:\n"
	"    # What the host or the agent obeys: policy, git hooks, editor tasks, agents' settings.\n"
	"    - tool: \"" WRITERS " {/file_path: 'ws:/**/" GUARDED "{,/**}'}\"\n"
	"      why: these files decide what the host or the agent runs next\n"
	"    - tool: \"" WRITERS " {/filePath: 'ws:/**/" GUARDED "{,/**}'}\"\n"
	"      why: these files decide what the host or the agent runs next\n"
	"    - tool: \"" WRITERS " {/path: 'ws:/**/" GUARDED "{,/**}'}\"\n"
	"      why: these files decide what the host or the agent runs next\n"
	"    - tool: \"" WRITERS " {/notebook_path: 'ws:/**/" GUARDED "{,/**}'}\"\n"
	"      why: these files decide what the host or the agent runs next\n"
	"limits:\n"
	"  processes: 2048\n"
	"  memory: {max: 8GiB, best-effort: true}\n"
	"  open_files: 8192\n"
	"env:\n"
	"  pass:\n"
	"    [PATH, LANG, LANGUAGE, \"LC_*\", TERM, COLORTERM, NO_COLOR, TZ, HOME, USER, LOGNAME, SHELL]\n"
	"tests:\n"
	"  - allow tool Read\n"
	"  - 'allow tool Read {/file_path: /etc/hosts}'\n"
	"  - 'allow tool Edit {/file_path: ws:/src/main.c}'\n"
	"  - 'allow tool Edit {/file_path: src/main.c}'\n"
	"  - 'allow tool edit {/filePath: ws:/src/main.c}'\n"
	"  - 'allow tool Write {/file_path: ws:/.github/workflows/ci.yaml}'\n"
	"  - 'ask tool Edit {/file_path: home:/.bashrc}'\n"
	"  - 'ask tool Edit {/file_path: src/../../other/main.c}'\n"
	"  - 'ask tool edit {/path: ws:/a, /filePath: home:/.bashrc}'\n"
	"  - 'ask tool Write {/file_path: ~/notes}'\n"
	"  - 'ask tool Bash {/command: \"git status\"}'\n"
	"  - ask tool WebFetch\n"
	"  - ask tool WebSearch\n"
	"  - ask tool mcp__github__create_issue\n"
	"  - ask tool some_tool_of_tomorrow\n"
	"  - 'deny tool Write {/file_path: ws:/.agentd/policy.yaml}'\n"
	"  - 'deny tool Edit {/file_path: ws:/.claude/settings.json}'\n"
	"  - 'deny tool Edit {/file_path: web/../.git/hooks/pre-commit}'\n"
	"  - 'deny tool Write {/file_path: ws:/vendor/lib/.git/config}'\n"
	"  - 'deny tool write_file {/file_path: /proc/self/cwd/.git/hooks/pre-commit}'\n";
/* clang-format on */

const struct policy_doc *policy_builtin(void)
{
	static const struct policy_doc doc = {"coding-base", POLICY_BUILTIN, text, sizeof text - 1};

	return &doc;
}
