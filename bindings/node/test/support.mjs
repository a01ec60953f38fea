// What the tests share: a folder of their own, a key file, a provider that flips bits, a store in a Map.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Engine, KmsError, constants } from 'cyborg-kms';

// The source tree: the header, the vectors, the documentation. The package itself may be installed elsewhere.
export const TREE = process.env.CYBORG_KMS_TREE ?? fileURLToPath(new URL('../../..', import.meta.url));

export function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'cyborg-kms-node-'));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

// An engine over a folder with a slot of a local key.
export async function localEngine(t, more = '') {
  const root = folder(t);
  const engine = await Engine.openYaml(
    `storage: {url: ${root}/db}\n` +
      `kms: {registry: {local: {provider: local, key_id: ${root}/wrap.key, create: true}, ` +
      `theirs: {provider: local, key_id: ${root}/wrap.key, create: true, cyborgdb_compatible: true}}}\n${more}`,
  );
  t.after(() => engine.close());
  return { engine, root };
}

// An engine whose slot `own` is served by `provider`; impatient, for those that never answer.
export async function ownEngine(t, provider, more = '') {
  const engine = await Engine.openYaml(
    'kms: {registry: {own: {provider: "external:own", key_id: key-7, request_timeout: 20s, deadline: 20s, ' +
      `max_retries: 0}, hasty: {provider: "external:own", request_timeout: 200ms, deadline: 200ms, max_retries: 0}}}\n${more}`,
  );
  t.after(() => engine.close());
  engine.registerProvider('own', provider);
  return engine;
}

export class Flip {
  asked = [];

  async wrap(keyId, aad, plaintext) {
    this.asked.push({ method: 'wrap', keyId, aad: aad.toString('latin1'), length: plaintext.length });
    return Buffer.from(plaintext.map((byte) => byte ^ 0x5a));
  }

  async unwrap(keyId, aad, wrapped) {
    this.asked.push({ method: 'unwrap', keyId, aad: aad.toString('latin1'), length: wrapped.length });
    return wrapped.map((byte) => byte ^ 0x5a);
  }
}

export class MapStore {
  records = new Map();
  revision = 1n;

  async get(name) {
    return this.records.get(name) ?? null;
  }

  async put(name, data, expected) {
    this.check(name, expected);
    this.revision += 1n;
    this.records.set(name, { data, revision: this.revision });
    return this.revision;
  }

  async remove(name, expected) {
    if (!this.records.has(name)) throw new KmsError('NOT_FOUND', 'no such record');
    this.check(name, expected);
    this.records.delete(name);
  }

  async *list(startAfter) {
    for (const name of [...this.records.keys()].sort()) if (startAfter === null || name > startAfter) yield name;
  }

  check(name, expected) {
    if (expected === constants.REVISION_ANY) return;
    const found = this.records.get(name)?.revision ?? constants.REVISION_ABSENT;
    if (found === expected) return;
    throw expected === constants.REVISION_ABSENT
      ? new KmsError('ALREADY_EXISTS', 'there is one')
      : new KmsError('CONFLICT', 'it has another revision');
  }
}

// For assert.throws and assert.rejects.
export const failsWith = (code, message = /./) => (error) => {
  assert.ok(error instanceof KmsError, `not a KmsError: ${error?.stack ?? error}`);
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  assert.ok(!error.message.includes('\n'), 'a message is one line');
  return true;
};

// Runs a program in a process of its own: { code, signal, stdout, stderr }.
export function runs(source, { args = [], env = {}, cwd, flags = [] } = {}) {
  return new Promise((resolve) => {
    const file = path.join(cwd ?? fs.mkdtempSync(path.join(os.tmpdir(), 'cyborg-kms-run-')), 'program.mjs');
    const module = import.meta.resolve('cyborg-kms');
    fs.writeFileSync(file, source.replaceAll("'cyborg-kms'", JSON.stringify(module)));
    const options = { env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env }, timeout: 60_000, cwd };
    execFile(process.execPath, [...flags, file, ...args], options, (error, stdout, stderr) => {
      if (!cwd) fs.rmSync(path.dirname(file), { recursive: true, force: true });
      resolve({ code: error ? error.code : 0, signal: error?.signal ?? null, stdout, stderr });
    });
  });
}

// Waits until `happened` says so; the limit is only there to end.
export async function until(happened) {
  for (let tries = 0; tries < 2000; tries += 1) {
    if (happened()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail('it did not happen within 20 s');
}
