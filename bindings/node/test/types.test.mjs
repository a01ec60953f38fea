// The types say what there is, and no more: compared name by name with what runs, by tsc.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import * as kms from 'cyborg-kms';

const here = import.meta.dirname;
const require = createRequire(import.meta.url);

// Beside this file, so that imports are found as a user's are. Gives what tsc says, "" where all is well.
function tsc(t, name, source) {
  const file = path.join(here, name);
  fs.writeFileSync(file, source);
  t.after(() => fs.rmSync(file));
  const flags = '--noEmit --strict --target es2022 --module nodenext --moduleResolution nodenext --types node'.split(' ');
  try {
    execFileSync(process.execPath, [require.resolve('typescript/bin/tsc'), ...flags, file], { cwd: here, encoding: 'utf8' });
    return '';
  } catch (error) {
    return error.stdout;
  }
}

const union = (names) => names.map((name) => JSON.stringify(name)).join(' | ') || 'never';
const SAME = 'type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;\n';

// What a class has by itself and from Handle.
function members(made) {
  const own = [...Object.getOwnPropertyNames(made.prototype), 'close'];
  return [...new Set(own)].filter((name) => name !== 'constructor');
}

test('every export and every method has a type, and nothing else has', (t) => {
  const values = Object.keys(kms);
  const classes = ['Engine', 'Index', 'KmsBlob', 'Store'];
  const statics = (made) => Object.getOwnPropertyNames(made).filter((name) => !['length', 'name'].includes(name));
  const source =
    `import * as kms from 'cyborg-kms';\n${SAME}` +
    `export const exported: Same<keyof typeof kms, ${union(values)}> = true;\n` +
    classes
      .map(
        (name) =>
          `export const of${name}: Same<Extract<keyof kms.${name}, string>, ${union(members(kms[name]))}> = true;\n` +
          `export const static${name}: Same<keyof typeof kms.${name}, ${union(statics(kms[name]))}> = true;\n`,
      )
      .join('') +
    ['Status', 'constants'].map((name) => `export const all${name}: typeof kms.${name} = ${literal(kms[name])};\n`).join('');
  assert.equal(tsc(t, 'names.generated.mts', source), '');
});

const literal = (values) =>
  `{ ${Object.entries(values).map(([name, value]) => `${name}: ${typeof value === 'bigint' ? `${value}n` : JSON.stringify(value)}`).join(', ')} }`;

const PROGRAM = `
import { Engine, Index, KmsBlob, KmsError, Store, constants, type CustomStore, type Provider } from 'cyborg-kms';

const provider: Provider = {
  async wrap(keyId, aad, plaintext) { return keyId === '' ? aad : plaintext; },
  unwrap: (_keyId, _aad, wrapped) => wrapped,
};
const records: CustomStore = {
  get: () => null,
  async put(_name, data, expected) { return BigInt(data.length) + expected; },
  async remove() {},
  async *list() { yield 'a'; },
};
export async function all(): Promise<string> {
  await using store = Store.custom(records);
  await using engine = await Engine.openYaml('{}', { store });
  engine.registerProvider('x', provider);
  using index: Index = await engine.openIndex('a', { capabilities: constants.CAN_ENCRYPT, minEpoch: 5n });
  const room = new Uint8Array(100);
  const same: Uint8Array = index.encryptSync(room.subarray(0, 52), null, room);
  const sealed: Buffer = index.encryptSync(same);
  const blob = new KmsBlob({ createdAt: 5, version: 1 });
  const at: bigint = blob.createdAt;
  blob.createdAt = 7;
  try {
    await index.refresh();
  } catch (error) {
    if (error instanceof KmsError && error.code === 'THROTTLED') return String(error.retryAfterMs);
  }
  return sealed.toString('hex') + at;
}
`;

test('a program is checked, as a module and in CommonJS', (t) => {
  assert.equal(tsc(t, 'module.generated.mts', PROGRAM), '');
  assert.equal(tsc(t, 'commonjs.generated.cts', PROGRAM), '');
});

test('a wrong program is refused', (t) => {
  const wrong = `
import { Engine, KmsError } from 'cyborg-kms';
new Engine();
new KmsError('NO_SUCH_CODE', 'x');
export const opened = Engine.open(7);
export const lost: string = new KmsError('TIMEOUT', 'x').retryAfterMs;
`;
  const said = tsc(t, 'wrong.generated.mts', wrong);
  for (const line of [3, 4, 5, 6]) assert.match(said, new RegExp(`wrong\\.generated\\.mts\\(${line},`), said);
});
