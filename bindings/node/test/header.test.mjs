// The header is the contract: each of its functions, structs, callbacks and constants is bound as it says, and used.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'node:test';
import koffi from 'koffi';
import * as kms from 'cyborg-kms';
import { TREE } from './support.mjs';

const require = createRequire(import.meta.url);
const LIB = path.dirname(require.resolve('cyborg-kms'));
const { declared } = require(path.join(LIB, 'native.js'));
const HEADER = fs.readFileSync(path.join(TREE, 'include/cyborg_kms.h'), 'utf8').replaceAll(/\/\/.*|\/\*[^]*?\*\//g, '');
const ENUMS = ['status', 'rotation', 'log_level'].map((name) => `cyborg_kms_${name}`);
const CALLBACKS = new Set([...HEADER.matchAll(/\(\*cyborg_kms_(\w+_callback)\)/g)].map(([, name]) => `cyborg_kms_${name}`));
const STRUCTS = new Map(
  [...HEADER.matchAll(/typedef struct \{([^]*?)\} cyborg_kms_(\w+);/g)].map(([, body, name]) => [name, body]),
);
// Texts that may have NULs inside are read by their length, so their getters give pointers.
const BY_LENGTH = /^blob_(kms_name|provider|key_id|region)$/;

// What a C type is to koffi.
function typeOf(c) {
  const plain = c.replaceAll(/\bconst\b/g, '').replaceAll(/\s+/g, ' ').replaceAll(/ ?\* ?/g, '*').trim();
  if (plain === 'char*') return 'str';
  if (CALLBACKS.has(plain)) return 'void *';
  if (ENUMS.includes(plain)) return 'uint32_t';
  const struct = plain.match(/^cyborg_kms_(\w+)\*$/)?.[1];
  // The struct of the counters is written to: a Buffer is given.
  if (STRUCTS.has(struct) && struct !== 'stats') return koffi.pointer(declared.structs[struct]).name;
  if (plain.endsWith('*')) return 'void *';
  assert.match(plain, /^(void|bool|u?int(8|32|64)_t|size_t)$/, `a type of the header that this test does not know: ${c}`);
  return plain;
}

// "const char *name" and "uint8_t overhead[48]": the type of a parameter or field.
function typeOfParameter(text) {
  const [, type, , array] = text.trim().match(/^(.*?)(\b\w+)(\[\d+\])?$/s);
  return array ? 'void *' : typeOf(type);
}

const parameters = (list) => (list.trim() === 'void' ? [] : list.split(',').map(typeOfParameter));
const nameOf = (type) => koffi.type(type).name;
const sameTypes = (ours, theirs, what) =>
  assert.deepEqual(
    ours.map((type) => nameOf(type)),
    theirs.map((type) => (type.includes('*') && type !== 'void *' ? type : nameOf(type))),
    what,
  );

const functions = [...HEADER.matchAll(/^((?:const )?\w+ \*?)cyborg_kms_(\w+)\(([^)]*)\);/gm)];

test('every function of the header is bound with its types', () => {
  assert.ok(functions.length >= 96);
  const words = new Set(HEADER.match(/\bcyborg_kms_\w+(?= *\()/g));
  assert.equal(words.size, functions.length, 'this test does not see every function');
  assert.deepEqual(Object.keys(declared.functions).sort(), functions.map(([, , name]) => name).sort());
  for (const [, result, name, list] of functions) {
    const [ours, given] = declared.functions[name];
    sameTypes(given, parameters(list), name);
    sameTypes([ours], [BY_LENGTH.test(name) ? 'void *' : typeOf(result)], `${name}'s result`);
  }
});

test('every function that is bound is used', () => {
  const sources = fs.readdirSync(LIB).filter((file) => /\.js$/.test(file) && file !== 'native.js');
  const text = sources.map((file) => fs.readFileSync(path.join(LIB, file), 'utf8')).join('\n');
  const used = new Set([...text.matchAll(/\bnative\.(\w+)/g)].map(([, name]) => name));
  // Handles free themselves by their noun; the library's loader asks for the ABI before anything is bound.
  for (const noun of ['blob', 'engine', 'index', 'store']) used.add(`${noun}_free`);
  assert.deepEqual(
    Object.keys(declared.functions).filter((name) => !used.has(name)),
    [],
  );
});

test('every struct has its fields, in order, with their types', () => {
  assert.deepEqual(Object.keys(declared.structs).sort(), [...STRUCTS.keys()].sort());
  for (const [name, body] of STRUCTS) {
    const fields = body
      .split(';')
      .map((field) => field.trim())
      .filter(Boolean)
      .map((field) => field.match(/\(\*(\w+)\)/)?.slice(1).concat('void *') ?? [field.match(/(\w+)$/)[1], typeOfParameter(field)]);
    const ours = Object.entries(koffi.type(declared.structs[name]).members).map(([field, { type }]) => [field, type.name]);
    assert.deepEqual(ours, fields.map(([field, type]) => [field, nameOf(type)]), name);
  }
});

test('every callback has its types', () => {
  const named = [...HEADER.matchAll(/typedef (\w+) \(\*cyborg_kms_(\w+)\)\(([^]*?)\);/g)];
  const inside = [...STRUCTS].flatMap(([struct, body]) =>
    [...body.matchAll(/(\w+) \(\*(\w+)\)\(([^]*?)\);/g)].map(([all, result, name, list]) => [all, result, `${struct}.${name}`, list]),
  );
  assert.deepEqual(Object.keys(declared.callbackTypes).sort(), [...named, ...inside].map(([, , name]) => name).sort());
  for (const [, result, name, list] of [...named, ...inside]) {
    const [ours, given] = declared.callbackTypes[name];
    sameTypes(given, parameters(list), name);
    sameTypes([ours], [result], name);
  }
});

const VALUES = { UINT64_MAX: '18446744073709551615n', '(1 << 30)': '1073741824' };

test('every constant and status has its value', () => {
  const found = [...HEADER.matchAll(/^#define CYBORG_KMS_(\w+) +(.+)$/gm)].filter(([, name]) => name !== 'H');
  assert.ok(found.length > 45);
  const ours = { ...kms.Status, ...kms.constants };
  assert.deepEqual(Object.keys(ours).sort(), found.map(([, name]) => name).sort());
  for (const [, name, value] of found) {
    const expected = JSON.parse(VALUES[value] ? JSON.stringify(VALUES[value].replace('n', '')) : JSON.stringify(value.replaceAll('"', '')));
    assert.equal(String(ours[name]), expected, name);
  }
  for (const [name, status] of Object.entries(kms.Status)) assert.equal(kms.statusName(status), name);
  assert.equal(kms.statusName(Object.keys(kms.Status).length), 'UNKNOWN', 'the library has a status that Status lacks');
});

test('the package has the version of the header and the library', () => {
  const { version } = require('cyborg-kms/package.json');
  assert.equal(version, kms.constants.VERSION);
  assert.equal(kms.version(), version);
  assert.equal(kms.abiVersion(), kms.constants.ABI_VERSION);
});
