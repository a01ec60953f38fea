// main.mjs import CONFIG ROOT STATUS    puts Debian's list of packages (/var/lib/dpkg/status) into a collection
// main.mjs verify CONFIG ROOT STATUS    compares them with it, then attacks the files
// main.mjs find CONFIG ROOT WORD        names the packages whose description has the word

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Engine } from 'cyborg-kms';
import { Collection } from './documents.mjs';

const NAME = 'packages';
const SLOT = 'prod';

// Debian's control paragraphs as documents: { Package, Version, Description, … }.
function packages(status) {
  const paragraphs = fs.readFileSync(status, 'utf8').split(/\n\n+/).filter(Boolean);
  return paragraphs.map((paragraph) => {
    const fields = paragraph.split(/\n(?=\S)/).map((field) => field.split(/: ?/s));
    return Object.fromEntries(fields.map(([name, ...value]) => [name, value.join(': ')]));
  });
}

const idOf = (document) => `${document.Package}:${document.Architecture}`;

async function importAll(engine, root, status) {
  const collection = await Collection.open(engine, root, NAME, { slot: SLOT, create: true });
  const documents = packages(status);
  for (const document of documents) await collection.put(idOf(document), document);
  await collection.close();
  console.log(`${documents.length} documents written`);
}

async function verify(engine, root, status) {
  const collection = await Collection.open(engine, root, NAME, { slot: SLOT });
  const documents = packages(status);
  for (const document of documents) assert.deepEqual(await collection.get(idOf(document)), document);
  let count = 0;
  for await (const { id, document } of collection.entries()) {
    assert.equal(id, idOf(document));
    count += 1;
  }
  assert.equal(count, documents.length);
  await attack(collection, root);
  const first = documents[0];
  await collection.delete(idOf(first));
  assert.equal(await collection.get(idOf(first)), undefined);
  await collection.put(idOf(first), first);
  await collection.close();
  console.log(`${count} documents are what was written, and the attacks were refused`);
}

// What somebody with the files but without the key might try: exchange two, alter one, cut one.
async function attack(collection, root) {
  const folder = path.join(root, fs.readdirSync(root)[0]);
  const [one, two] = fs.readdirSync(folder).map((name) => path.join(folder, name));
  const [first, second] = [fs.readFileSync(one), fs.readFileSync(two)];
  const altered = Buffer.from(first);
  altered[altered.length - 1] ^= 1;
  const attempts = [
    [second, 'AUTHENTICATION_FAILED'],
    [altered, 'AUTHENTICATION_FAILED'],
    [first.subarray(0, 40), 'CORRUPT'],
  ];
  for (const [bytes, code] of attempts) {
    fs.writeFileSync(one, bytes);
    await assert.rejects(readAll(collection), (error) => error.code === code);
  }
  fs.writeFileSync(one, first);
  await readAll(collection);
}

async function readAll(collection) {
  for await (const entry of collection.entries()) assert.ok(entry.id);
}

async function find(engine, root, word) {
  const collection = await Collection.open(engine, root, NAME, { slot: SLOT });
  for await (const { id } of collection.find((document) => document.Description?.includes(word))) console.log(id);
  await collection.close();
}

const commands = { import: importAll, verify, find };
const [command, config, root, argument] = process.argv.slice(2);
if (!Object.hasOwn(commands, command ?? '') || argument === undefined) {
  console.error('usage: main.mjs import|verify CONFIG ROOT STATUS, main.mjs find CONFIG ROOT WORD');
  process.exit(2);
}
fs.mkdirSync(root, { recursive: true, mode: 0o700 });
const engine = await Engine.open(config);
try {
  await commands[command](engine, root, argument);
} finally {
  await engine.close();
}
