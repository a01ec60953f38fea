'use strict';

// Providers and stores in JavaScript: each call of the library's is answered through its reply, once, when the method's
// promise settles. Whatever goes wrong is a failure, never a success.

const koffi = require('koffi');
const { native, protos, structs } = require('./native.js');
const { constants, Status } = require('./constants.js');
const { KmsError } = require('./errors.js');
const { text, callback, describe } = require('./args.js');
const { copyOut } = require('./call.js');
const { keep, find, forget, throwLater, callbackOf } = require('./callbacks.js');

const NONE = [null, 0n];

// A wrong answer is a defect of who gave it, not of the call's arguments.
const defect = (message) => new KmsError('INTERNAL', message);

function bytes(value, what) {
  if (value instanceof Uint8Array) return value;
  throw defect(`${what} must be a Buffer or Uint8Array, it is ${describe(value)}`);
}

// Keeps an object that the library asks; gives its id. Its methods may still run when the library uses it no more: a
// call that timed out does not wait for them.
const serve = (object) => keep({ object, running: 0, over: false });

// Asks the object of `id`; `ask` gives the answer's bytes (or null) and revision. Never rejects.
async function answer(reply, id, otherwise, ask, afterwards = () => {}) {
  const served = find(id);
  if (served === undefined) {
    // It was destroyed, which the library says to be the last call.
    afterwards();
    native.reply_free(reply);
    return;
  }
  served.running += 1;
  try {
    const [data, revision] = await ask(served.object);
    native.reply_bytes(reply, data, data?.byteLength ?? 0, revision);
  } catch (error) {
    refuse(reply, error, otherwise);
  } finally {
    afterwards();
    served.running -= 1;
    endUnused(served);
  }
}

// `otherwise`: the status of an error that names none.
function refuse(reply, error, otherwise) {
  const { status, providerCode, message } = told(error, otherwise);
  native.reply_error(reply, status, providerCode, message);
}

// A thrown value may be anything, one that throws when it is read too.
function told(error, otherwise) {
  try {
    const code = typeof error?.code === 'string' ? error.code : '';
    const known = code !== 'OK' && Object.hasOwn(Status, code);
    const providerCode = error?.providerCode || (known ? '' : code);
    const message = known && error instanceof Error ? error.message : String(error);
    return {
      status: known ? Status[code] : otherwise,
      providerCode: forC(String(providerCode)),
      message: forC(message),
    };
  } catch {
    return { status: otherwise, providerCode: null, message: 'it threw a value that can not be read' };
  }
}

const forC = (value) => value.replaceAll('\0', ' ');

function destroy(id) {
  const served = find(id);
  forget(id);
  served.over = true;
  endUnused(served);
}

function endUnused({ object, running, over }) {
  if (!over || running > 0) return;
  Promise.resolve()
    .then(() => object.destroy?.())
    .catch(throwLater);
}

const wipe = (secret) => native.wipe(secret, secret.byteLength);

const destroyCallback = (struct) => callbackOf(`${struct}.destroy`, destroy);

// The callbacks of a provider, the same for all of them.
function providerCallbacks() {
  const ask = (method) => (keyId, aad, aadLength, data, length, reply, id) => {
    // Borrowed for this call only.
    const [boundTo, input] = [copyOut(aad, Number(aadLength)), copyOut(data, Number(length))];
    // What wrap gets and what unwrap gives is a KEK in plaintext.
    const secrets = [input];
    const asked = async (provider) => {
      const given = bytes(await provider[method](keyId, boundTo, input), `what ${method} gives`);
      if (method === 'unwrap') secrets.push(given);
      return [given, 0n];
    };
    answer(reply, id, Status.INTERNAL, asked, () => secrets.forEach(wipe));
  };
  return {
    struct_size: koffi.sizeof(structs.provider_callbacks),
    wrap: callbackOf('provider_callbacks.wrap', ask('wrap')),
    unwrap: callbackOf('provider_callbacks.unwrap', ask('unwrap')),
    destroy: destroyCallback('provider_callbacks'),
  };
}

function revision(value, what) {
  const number = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof number === 'bigint' && number > constants.REVISION_ABSENT && number < constants.REVISION_ANY) return number;
  throw defect(`${what} must be a bigint from 1 to 2^64 - 2`);
}

// koffi 3.3.4 gives callbacks a uint64_t with a sign.
const unsigned = (number) => BigInt.asUintN(64, BigInt(number));

async function stored(store, name) {
  const record = await store.get(name);
  if (record === null || record === undefined) throw new KmsError('NOT_FOUND', 'there is no such record');
  return [bytes(record.data, "a record's data"), revision(record.revision, "a record's revision")];
}

function named(found) {
  try {
    return text(found, 'an index name');
  } catch (error) {
    throw defect(error.message);
  }
}

async function listed(store, startAfter, name, nameData) {
  for await (const found of await store.list(startAfter)) {
    if (!koffi.call(name, protos.name_callback, named(found), nameData)) break;
  }
  return NONE;
}

const storeMethods = {
  get: (name, reply, id) => answer(reply, id, Status.STORAGE, (store) => stored(store, name)),
  put: (name, data, length, expected, reply, id) => {
    const record = copyOut(data, Number(length));
    answer(reply, id, Status.STORAGE, async (store) => [
      null,
      revision(await store.put(name, record, unsigned(expected)), 'what put gives'),
    ]);
  },
  remove: (name, expected, reply, id) =>
    answer(reply, id, Status.STORAGE, async (store) => {
      await store.remove(name, unsigned(expected));
      return NONE;
    }),
  list: (startAfter, name, nameData, reply, id) =>
    answer(reply, id, Status.STORAGE, (store) => listed(store, startAfter, name, nameData)),
};

// The callbacks of a store, the same for all of them. What they return is nothing: the answer comes later.
function storeCallbacks(flags) {
  const callbacks = { struct_size: koffi.sizeof(structs.store_callbacks), flags, destroy: destroyCallback('store_callbacks') };
  for (const [name, method] of Object.entries(storeMethods)) {
    callbacks[name] = callbackOf(`store_callbacks.${name}`, (...told) => void method(...told));
  }
  return callbacks;
}

// That an object has the methods that will be called.
function implementing(object, methods, what) {
  for (const method of methods) callback(object?.[method], `the ${what}'s ${method}`);
  return object;
}

module.exports = { serve, providerCallbacks, storeCallbacks, implementing };
