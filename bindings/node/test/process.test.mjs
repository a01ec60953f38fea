// The package in a process: how the library is found, the log, workers, the end.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { constants, setLogCallback } from 'cyborg-kms';
import { Flip, failsWith, folder, localEngine, ownEngine, runs, until } from './support.mjs';

const LOAD = "import { version } from 'cyborg-kms'; console.log(version());";

// A library of C with what is given.
function library(t, source) {
  const root = folder(t);
  fs.writeFileSync(path.join(root, 'fake.c'), source);
  const made = path.join(root, 'libcyborg_kms.so.0');
  execFileSync('gcc', ['-shared', '-fPIC', '-o', made, path.join(root, 'fake.c')]);
  return made;
}

async function refusesToLoad(CYBORG_KMS_LIBRARY, message) {
  const { stderr, code } = await runs(LOAD, { env: { CYBORG_KMS_LIBRARY } });
  assert.equal(code, 1);
  assert.match(stderr, message);
  assert.match(stderr, /code: 'ERR_CYBORG_KMS_LIBRARY'/);
}

test('a library that is named and not there is an error, whatever else is there', () =>
  refusesToLoad('/nowhere/libcyborg_kms.so', /\/nowhere\/libcyborg_kms\.so \(from CYBORG_KMS_LIBRARY\) can't be loaded: install/));

test('a library of another ABI is refused with both numbers', async (t) => {
  const other = library(t, 'unsigned cyborg_kms_abi_version(void) { return 7; }');
  await refusesToLoad(other, /has ABI 7, this package needs ABI 0: install library and package of the same version/);
});

test('another library, and one that lacks a function, are refused', async (t) => {
  await refusesToLoad(library(t, 'int x;'), /is not the cyborg_kms library/);
  const older = library(t, 'unsigned cyborg_kms_abi_version(void) { return 0; }');
  await refusesToLoad(older, /lacks cyborg_kms_\w+: it is older than this package/);
});

test("without a name: what lies in the package, then the system's", async (t) => {
  const root = folder(t);
  const lib = path.dirname(path.dirname(new URL(import.meta.resolve('cyborg-kms')).pathname));
  const copy = path.join(root, 'node_modules/cyborg-kms');
  fs.cpSync(path.join(lib, 'lib'), path.join(copy, 'lib'), { recursive: true });
  fs.copyFileSync(path.join(lib, 'package.json'), path.join(copy, 'package.json'));
  const koffi = path.join(path.dirname(new URL(import.meta.resolve('koffi')).pathname), '..');
  for (const name of ['koffi', '@koromix']) fs.symlinkSync(path.join(koffi, name), path.join(root, 'node_modules', name));
  const say = (env) => {
    const program = "try { console.log(require('cyborg-kms').version()) } catch (error) { console.log(error.message) }";
    return execFileSync(process.execPath, ['-e', program], { cwd: root, env: { PATH: process.env.PATH, ...env }, encoding: 'utf8' });
  };
  assert.match(say({ LD_LIBRARY_PATH: '' }), /0\.1\.0|from the system's libraries\) can't be loaded/);
  const system = folder(t);
  fs.copyFileSync(process.env.CYBORG_KMS_LIBRARY, path.join(system, 'libcyborg_kms.so.0'));
  assert.equal(say({ LD_LIBRARY_PATH: system }), '0.1.0\n');
  fs.mkdirSync(path.join(copy, 'native'));
  fs.copyFileSync(library(t, 'unsigned cyborg_kms_abi_version(void) { return 9; }'), path.join(copy, 'native/libcyborg_kms.so.0'));
  assert.match(say({ LD_LIBRARY_PATH: system }), /native\/libcyborg_kms\.so\.0 has ABI 9/);
});

test('koffi with too little room and a library loaded is refused, with enough it is fine', async () => {
  const first = (config) => `
    import { createRequire } from 'node:module';
    const koffi = createRequire(${JSON.stringify(import.meta.url)})('koffi');
    ${config}
    koffi.load('libc.so.6');
    await import('cyborg-kms');
    console.log('loaded');
  `;
  for (const less of ['', 'koffi.config({ async_stack_size: 2 ** 21 });', 'koffi.config({ max_async_calls: 4096 });']) {
    const { stderr } = await runs(first(less));
    assert.match(stderr, /too little room.*load cyborg-kms first, or call koffi\.config\(\{"async_stack_size":2097152,/);
  }
  const enough = 'koffi.config({ async_stack_size: 2 ** 22, max_async_calls: 4096 });';
  assert.equal((await runs(first(enough))).stdout, 'loaded\n');
});

test('log lines are heard, and off the thread too', async (t) => {
  const lines = [];
  await setLogCallback(constants.LOG_TRACE, (line) => lines.push(line));
  const engine = await ownEngine(t, new Flip());
  await engine.check();
  const index = await engine.createIndex('a', 'own');
  index.encryptSync(Buffer.alloc(1));
  await until(() => lines.length > 0);
  assert.ok(lines.every(({ level, target, message, fields }) => level > 0 && target && message && typeof fields === 'object'));
  await setLogCallback(constants.LOG_OFF);
  const heard = lines.length;
  await engine.check();
  assert.equal(lines.length, heard);
  await index.close();
});

test('while a log callback is set, no call on this thread waits', async (t) => {
  const { engine } = await localEngine(t);
  const before = await engine.createIndex('a', 'local');
  await setLogCallback(constants.LOG_ERROR, () => {});
  try {
    assert.throws(() => engine.openIndexSync('a'), failsWith('UNSUPPORTED', /await openIndex/));
    assert.throws(() => before.encryptSync(Buffer.alloc(1)), failsWith('UNSUPPORTED', /await encrypt/));
    const after = await engine.openIndex('a');
    after.encryptSync(Buffer.alloc(1));
    await after.close();
  } finally {
    await setLogCallback(constants.LOG_OFF, null);
  }
  before.encryptSync(Buffer.alloc(1));
  engine.openIndexSync('a').close();
  await assert.rejects(setLogCallback(9, () => {}), failsWith('INVALID_ARGUMENT', /level must be/));
  await assert.rejects(setLogCallback(constants.LOG_INFO, 'print'), failsWith('INVALID_ARGUMENT', /callback must be/));
});

test('an error of a log callback is uncaught, and the next line is heard', async () => {
  const program = `
    import { Engine, constants, setLogCallback } from 'cyborg-kms';
    let heard = 0;
    process.on('uncaughtException', (error) => console.log(error.message));
    await setLogCallback(constants.LOG_TRACE, () => { heard += 1; if (heard === 1) throw new Error('mine'); });
    const engine = await Engine.openYaml('kms: {registry: {x: {provider: "external:x", max_retries: 0}}}');
    engine.registerProvider('x', { wrap: () => { throw new Error('no'); }, unwrap() {} });
    while (heard < 2) await engine.check().catch(() => {});
    await setLogCallback(constants.LOG_OFF);
    await engine.close();
  `;
  const { stdout, stderr } = await runs(program);
  assert.equal(stdout, 'mine\n', stderr);
});

test('a worker seals and opens; callbacks are refused there', async () => {
  const source = `
    import { parentPort } from 'node:worker_threads';
    import { Engine, Store, constants, setLogCallback } from 'cyborg-kms';
    const engine = await Engine.openYaml('{}');
    const index = await engine.createIndexWithKey('a', null, Buffer.alloc(32));
    const page = index.decryptSync(await index.encrypt(Buffer.from('page'))).toString();
    const said = async (call) => { try { await call(); return 'taken'; } catch (error) { return error.code; } };
    const own = { wrap() {}, unwrap() {}, get() {}, put() {}, remove() {}, list() {} };
    const refused = await Promise.all([
      said(() => engine.registerProvider('x', own)),
      said(() => Store.custom(own)),
      said(() => engine.store().list()),
      said(() => setLogCallback(constants.LOG_INFO, () => {})),
      said(() => setLogCallback(constants.LOG_OFF)),
      said(() => engine.setAuditCallback(() => {})),
      said(() => engine.openIndexInBackground('a')),
      said(() => engine.sync({ progress() {} })),
    ]);
    await index.close();
    parentPort.postMessage([page, ...refused]);
  `.replaceAll("'cyborg-kms'", JSON.stringify(import.meta.resolve('cyborg-kms')));
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const said = await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
  assert.deepEqual(said, ['page', ...Array(8).fill('UNSUPPORTED')]);
  await worker.terminate();
});

test("a worker's end leaves the process to the main thread, also while its calls are under way", async () => {
  const program = `
    import { Worker, isMainThread } from 'node:worker_threads';
    import { Engine } from 'cyborg-kms';
    if (isMainThread) {
      process.on('exit', () => console.log('the end'));
      new Worker(new URL(import.meta.url)).on('exit', (code) => console.log('worker', code));
    } else {
      const engine = await Engine.openYaml('{}');
      engine.setAuditCallback(null); // under way until the worker's event loop turns
      for (let turn = 0; turn < 50; turn += 1) await null;
      process.exit(3);
    }
  `;
  const { stdout, stderr, code } = await runs(program);
  assert.deepEqual({ stdout, code }, { stdout: 'worker 3\nthe end\n', code: 0 }, stderr);
});

const BUSY = `
  import { Engine, Store } from 'cyborg-kms';
  const store = Store.custom({ get: () => null, put() {}, remove() {}, list: () => [] });
  const engine = await Engine.openYaml('{}', { store });
  const pending = engine.openIndex('a');
  const blocked = Date.now() + 300; // until the call waits for this thread
  while (Date.now() < blocked);
`;

test('process.exit ends while calls wait for JavaScript', async () => {
  const program = `${BUSY}process.on('exit', (code) => console.log('exit', code)); process.exit(3);`;
  const { code, signal, stdout } = await runs(program);
  assert.deepEqual({ code, signal, stdout }, { code: 3, signal: null, stdout: 'exit 3\n' });
});

test('an exit listener that throws does not keep it', async () => {
  const program = `${BUSY}process.on('exit', () => { throw new Error('in the listener'); }); process.exit(0);`;
  const { code, signal, stderr } = await runs(program);
  assert.deepEqual({ code, signal }, { code: 1, signal: null });
  assert.match(stderr, /Error: in the listener/);
});

test('so does an uncaught exception, which is printed', async () => {
  const { code, signal, stderr } = await runs(`${BUSY}throw new Error('the last one');`);
  assert.deepEqual({ code, signal }, { code: 1, signal: null });
  assert.match(stderr, /Error: the last one\n +at /);
});

test('a program ends by itself, with everything left open', async () => {
  const program = `
    import { Engine, Store } from 'cyborg-kms';
    const engine = await Engine.openYaml('kms: {registry: {x: {provider: "external:x"}}}');
    const flip = async (keyId, aad, bytes) => bytes.map((byte) => byte ^ 1);
    engine.registerProvider('x', { wrap: flip, unwrap: flip });
    const index = await engine.createIndex('a', 'x');
    console.log(index.encryptSync(Buffer.alloc(10)).length);
  `;
  const { stdout, code } = await runs(program);
  assert.deepEqual({ stdout, code }, { stdout: '58\n', code: 0 });
});
