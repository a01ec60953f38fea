'use strict';

// What belongs to no handle.

const { native } = require('./native.js');
const { constants } = require('./constants.js');
const { Place, callHere, callOffThread, takeBuffer } = require('./call.js');
const { text, optionalText, optionalKey, bytes, lengthOf, integer, u32, options } = require('./args.js');
const { hearsLog } = require('./listening.js');

const LONGEST_KEY = 2 ** 20;

// The library's version, such as "0.1.0".
const version = () => native.version();

// The number of the library's ABI.
const abiVersion = () => native.abi_version();

// The name of a status, "UNKNOWN" for a number that is none.
const statusName = (status) => native.status_name(u32(status, 'status'));

// Random bytes of the operating system's, in memory that nothing shares.
function randomKey(length = constants.KEY_LEN) {
  const key = Buffer.allocUnsafeSlow(integer(length, LONGEST_KEY, 'length'));
  callHere(native.random_key, key, length);
  return key;
}

// Overwrites bytes with zeros.
function wipe(data) {
  native.wipe(bytes(data, 'data'), data.byteLength);
}

// Finds the first line of an audit file that was changed, removed or reordered; gives a report. An error has a `report`
// too where the library gave one.
async function auditVerify(path, given = {}) {
  const { key: maybe, head } = options(given, ['key', 'head'], 'the options');
  const key = optionalKey(maybe, 'key');
  const place = new Place();
  const parameters = [text(path, 'path'), key, lengthOf(key), optionalText(head, 'head'), place.out];
  try {
    await callOffThread(native.audit_verify, parameters, place, hearsLog());
  } catch (error) {
    if (place.handle() !== 0n) error.report = JSON.parse(takeBuffer(place.handle()).toString());
    throw error;
  }
  return JSON.parse(takeBuffer(place.handle()).toString());
}

// The head of an audit file as JSON text: to be kept elsewhere, and given to `auditVerify`.
async function auditHead(path) {
  const place = new Place();
  await callOffThread(native.audit_head, [text(path, 'path'), place.out], place, hearsLog());
  return takeBuffer(place.handle()).toString();
}

module.exports = { version, abiVersion, statusName, randomKey, wipe, auditVerify, auditHead };
