// Cedar's own WebAssembly build on the rules and actions of `policy --peers DIR`: the same decisions?
// and how many a second, policies parsed beforehand.
// usage: node cedar.js MODULE DIR
const fs = require('fs');
const cedar = require(process.argv[2]);
const dir = process.argv[3];

const policies = fs.readFileSync(dir + '/policy.cedar', 'utf8');
const parsed = cedar.preparsePolicySet('bench', {staticPolicies: policies});
if (parsed.type !== 'success') {
    console.error('bench policy: cedar does not read its policies:', JSON.stringify(parsed));
    process.exit(2);
}

const actions = fs.readFileSync(dir + '/actions', 'utf8').trimEnd().split('\n').map(line => {
    const [op, path, verdict] = line.split('\t');
    return {
        verdict,
        call: {
            principal: {type: 'Agent', id: 'a'},
            action: {type: 'Action', id: op},
            resource: {type: 'File', id: path},
            context: {path},
            preparsedPolicySetId: 'bench',
            entities: [],
        },
    };
});

for (const a of actions) {
    const answer = cedar.statefulIsAuthorized(a.call);
    if (answer.type !== 'success' || answer.response.decision !== a.verdict) {
        console.error('bench policy: cedar decides otherwise:', JSON.stringify(a), JSON.stringify(answer));
        process.exit(2);
    }
}

const rounds = [];
for (let r = 0; r < 9; r++) {
    const from = process.hrtime.bigint();
    for (const a of actions)
        cedar.statefulIsAuthorized(a.call);
    rounds.push(Number(process.hrtime.bigint() - from) / actions.length);
}
rounds.sort((x, y) => x - y);
console.log('cedar-wasm in node, the same rules and decisions'.padEnd(58),
    (1e9 / rounds[4]).toFixed(0).padStart(9), 'decisions/s');
