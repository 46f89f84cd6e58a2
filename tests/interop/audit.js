// Checks a log's directory with other people's verifiers. Called by audit.sh:
//   node audit.js PACKAGE LOGDIR      exit 0: everything that the package can check was accepted
'use strict';
const fs = require('fs');
const path = require('path');
const assert = require('assert');
const crypto = require('crypto');

const [, , pkg, dir] = process.argv;
const read = (p) => fs.readFileSync(path.join(dir, p));
const envelope = read('checkpoint').toString();
const [origin, size, root] = envelope.split('\n');
const n = Number(size);

// c2sp.org/tlog-tiles: x001/x234/067
function tileName(i) {
  let s = String(i % 1000).padStart(3, '0');
  for (i = Math.floor(i / 1000); i > 0; i = Math.floor(i / 1000)) {
    s = 'x' + String(i % 1000).padStart(3, '0') + '/' + s;
  }
  return s;
}

function entries() {
  const all = [];
  for (let b = 0; b * 256 < n; b++) {
    const width = Math.min(256, n - b * 256);
    const buf = read('tile/entries/' + tileName(b) + (width < 256 ? '.p/' + width : ''));
    for (let at = 0; at < buf.length;) {
      const len = buf.readUInt16BE(at);
      all.push(buf.subarray(at + 2, at + 2 + len));
      at += 2 + len;
    }
  }
  assert.strictEqual(all.length, n);
  return all;
}

function tlogProofs() {
  return fs.readdirSync(dir).filter((f) => f.endsWith('.tlog-proof')).map((f) => {
    const text = read(f).toString();
    const cut = text.indexOf('\n\n');
    const [, index, ...hashes] = text.slice(0, cut).split('\n');
    return {
      index: Number(index.split(' ')[1]),
      hashes: hashes.map((h) => Buffer.from(h, 'base64')),
      envelope: text.slice(cut + 2),
    };
  });
}

async function transmute() {
  const { RFC9162 } = require('@transmute/rfc9162');
  const all = entries();
  const rootHash = Buffer.from(root, 'base64');
  assert.ok(Buffer.from(await RFC9162.treeHead(all)).equals(rootHash), 'root');
  for (const p of tlogProofs()) {
    const proof = {
      log_id: origin, tree_size: n, leaf_index: p.index, inclusion_path: p.hashes,
    };
    const leaf = await RFC9162.leaf(all[p.index]);
    assert.ok(await RFC9162.verifyInclusionProof(rootHash, leaf, proof), 'inclusion');
    proof.leaf_index ^= 1;
    assert.ok(!await RFC9162.verifyInclusionProof(rootHash, leaf, proof), 'wrong inclusion');
  }
  if (!fs.existsSync(path.join(dir, 'vectors.json'))) return;
  const v = JSON.parse(read('vectors.json'));
  for (const [key, hashes] of Object.entries(v.cons)) {
    const [a, b] = key.split('/').map(Number);
    if (a === 0 || a === b) continue;
    // RFC 9162 section 2.1.4.2 step 2 is commented out in this package: the old root of a tree of
    // 2^k leaves is expected in the path.
    if ((a & (a - 1)) === 0) hashes.unshift(v.root[a]);
    const ok = await RFC9162.verifyConsistencyProof(
      Buffer.from(v.root[a], 'hex'), Buffer.from(v.root[b], 'hex'), {
        log_id: origin, tree_size_1: a, tree_size_2: b,
        consistency_path: hashes.map((h) => Buffer.from(h, 'hex')),
      });
    assert.ok(ok, 'consistency ' + key);
  }
}

function sigstore() {
  const base = path.join(process.env.NODE_PATH, '@sigstore/verify/dist/tlog');
  const { verifyCheckpoint } = require(path.join(base, 'checkpoint.js'));
  const { verifyMerkleInclusion } = require(path.join(base, 'merkle.js'));
  // The key itself may have a plus sign.
  const [, name, id, key] = /^([^+]*)\+([^+]*)\+(.*)$/.exec(read('log.vkey').toString().trim());
  const der = Buffer.concat([
    Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(key, 'base64').subarray(1)]);
  const tlog = {
    logID: Buffer.from(id, 'hex'), baseURL: 'https://' + name,
    publicKey: crypto.createPublicKey({ key: der, format: 'der', type: 'spki' }),
  };
  const cp = verifyCheckpoint({ inclusionProof: { checkpoint: { envelope } } }, [tlog]);
  assert.strictEqual(Number(cp.logSize), n);
  assert.throws(() => verifyCheckpoint({
    inclusionProof: { checkpoint: { envelope: envelope.replace('\n' + size, '\n1' + size) } },
  }, [tlog]));
  const all = entries();
  for (const p of tlogProofs()) {
    const entry = {
      canonicalizedBody: all[p.index],
      inclusionProof: { logIndex: String(p.index), hashes: p.hashes },
    };
    verifyMerkleInclusion(entry, cp);
    entry.canonicalizedBody = all[p.index ^ 1] || Buffer.from('x');
    assert.throws(() => verifyMerkleInclusion(entry, cp));
  }
}

(pkg === '@transmute/rfc9162' ? transmute() : Promise.resolve().then(sigstore)).catch((e) => {
  console.error(String(e.stack || e));
  process.exit(1);
});
