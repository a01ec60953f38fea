'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const kms = require('cyborg-kms');

test('require and import give the same module', async () => {
  const module = await import('cyborg-kms');
  assert.deepEqual(Object.keys(kms).sort(), Object.keys(module).sort());
  for (const name of Object.keys(kms)) assert.equal(kms[name], module[name]);
});

test('a page seals and opens in CommonJS', async () => {
  const engine = await kms.Engine.openYaml('{}');
  const index = await engine.createIndexWithKey('a', null, kms.randomKey());
  assert.equal(index.decryptSync(index.encryptSync(Buffer.from('page'))).toString(), 'page');
  await Promise.all([index.close(), engine.close()]);
});
