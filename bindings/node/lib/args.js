'use strict';

// Checks what koffi would convert in silence: a text's NUL would end it, a number would wrap around.

const { constants } = require('./constants.js');
const { invalid } = require('./errors.js');

const U32_MAX = 2 ** 32 - 1;
const U64_MAX = 2n ** 64n - 1n;
const I64_MAX = 2n ** 63n - 1n;

function text(value, what) {
  if (typeof value !== 'string') throw invalid(`${what} must be a string, it is ${describe(value)}`);
  if (value.includes('\0')) throw invalid(`${what} has a NUL character; leave it out`);
  if (!value.isWellFormed()) throw invalid(`${what} has half of a surrogate pair, which UTF-8 can't hold`);
  return value;
}

function optionalText(value, what) {
  return value === undefined || value === null ? null : text(value, what);
}

function bytes(value, what) {
  if (value instanceof Uint8Array) return value;
  throw invalid(`${what} must be a Buffer or Uint8Array, it is ${describe(value)}`);
}

// Absent bytes are none.
function optionalBytes(value, what) {
  return value === undefined || value === null ? null : bytes(value, what);
}

// koffi gives empty bytes as NULL, which for a key is none.
function key(value, what) {
  if (bytes(value, what).byteLength === constants.KEY_LEN) return value;
  throw invalid(`${what} must have ${constants.KEY_LEN} bytes, it has ${value.byteLength}`);
}

function optionalKey(value, what) {
  return value === undefined || value === null ? null : key(value, what);
}

const lengthOf = (value) => (value === null ? 0 : value.byteLength);

function integer(value, max, what) {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw invalid(`${what} must be a whole number from 0 to ${max}, it is ${describe(value)}`);
}

const u32 = (value, what) => integer(value, U32_MAX, what);

function u64(value, what) {
  const number = whole(value, what);
  if (number >= 0n && number <= U64_MAX) return number;
  throw invalid(`${what} must be from 0 to 2^64 - 1, it is ${number}`);
}

function i64(value, what) {
  const number = whole(value, what);
  if (number >= -I64_MAX - 1n && number <= I64_MAX) return number;
  throw invalid(`${what} must be from -2^63 to 2^63 - 1, it is ${number}`);
}

function whole(value, what) {
  if (typeof value === 'bigint') return value;
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw invalid(`${what} must be a bigint or a safe whole number, it is ${describe(value)}`);
}

function callback(value, what) {
  if (typeof value === 'function') return value;
  throw invalid(`${what} must be a function, it is ${describe(value)}`);
}

// The options of a call: a key that it does not know is a typing error, and may be one that protects something.
function options(value, known, what) {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object') throw invalid(`${what} must be an object, it is ${describe(value)}`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw invalid(`${what} has no "${unknown}"; there are: ${known.join(', ')}`);
  return value;
}

// The kind of a value, never the value: it may be a secret.
function describe(value) {
  if (value === null) return 'null';
  if (typeof value === 'object') return value.constructor?.name ?? 'an object';
  if (typeof value === 'number' && !Number.isInteger(value)) return 'a broken number';
  return typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`;
}

module.exports = {
  text,
  optionalText,
  bytes,
  optionalBytes,
  key,
  optionalKey,
  lengthOf,
  integer,
  u32,
  u64,
  i64,
  callback,
  options,
  describe,
};
