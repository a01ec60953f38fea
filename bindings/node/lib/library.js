'use strict';

// Finds the shared library, loads it, and checks that it is one that this package was made for.

const fs = require('node:fs');
const path = require('node:path');
const koffi = require('koffi');
const { constants } = require('./constants.js');

const SYSTEM_NAME = 'libcyborg_kms.so.0';
const BESIDE = path.join(__dirname, '..', 'native', SYSTEM_NAME);

function failure(message, cause) {
  return Object.assign(new Error(message, { cause }), { code: 'ERR_CYBORG_KMS_LIBRARY' });
}

// CYBORG_KMS_LIBRARY, else what lies in the package, else what the system's loader finds. What is named and can't be
// loaded is an error: another library than the one that was asked for must not serve in its place.
function candidate() {
  const named = process.env.CYBORG_KMS_LIBRARY;
  if (named) return { file: path.resolve(named), from: 'CYBORG_KMS_LIBRARY' };
  if (fs.existsSync(BESIDE)) return { file: BESIDE, from: 'the package' };
  return { file: SYSTEM_NAME, from: "the system's libraries" };
}

function checkAbi(library, file) {
  let abi;
  try {
    abi = library.func('cyborg_kms_abi_version', 'uint32_t', [])();
  } catch (error) {
    throw failure(`${file} is not the cyborg_kms library: it has no cyborg_kms_abi_version`, error);
  }
  if (abi !== constants.ABI_VERSION) {
    throw failure(
      `${file} has ABI ${abi}, this package needs ABI ${constants.ABI_VERSION}: ` +
        'install library and package of the same version',
    );
  }
}

// koffi calls functions on stacks of its own. Its 128 KiB for calls off the main thread are too few for a parser of YAML
// or a TLS handshake, and running out of them ends the process: as many as Rust gives its threads.
const STACK = 2 ** 21;
// Each call off the main thread takes a stack, and so does each thread that is in a callback. koffi's 256 are too few
// for the threads of one sync, and one more in a callback ends the process: the most that koffi allows. All but eight
// are made when they are needed, and given back.
const STACKS = 4096;

function makeRoom() {
  const { async_stack_size, max_async_calls } = koffi.config();
  if (async_stack_size >= STACK && max_async_calls >= STACKS) return;
  const room = { async_stack_size: Math.max(async_stack_size, STACK), max_async_calls: STACKS };
  try {
    koffi.config(room);
  } catch (error) {
    throw failure(
      `koffi has loaded another library already, with too little room for this one (${error.message}): load ` +
        `cyborg-kms first, or call koffi.config(${JSON.stringify(room)}) before`,
      error,
    );
  }
}

function load() {
  makeRoom();
  const { file, from } = candidate();
  let library;
  try {
    library = koffi.load(file);
  } catch (error) {
    throw failure(
      `${file} (from ${from}) can't be loaded: install the cyborg_kms library, or name its file in ` +
        `CYBORG_KMS_LIBRARY (${error.message})`,
      error,
    );
  }
  checkAbi(library, file);
  return { library, file };
}

module.exports = { load, failure };
