'use strict';

// How a function of the library is called, and how its failure becomes an error.

const koffi = require('koffi');
const { native } = require('./native.js');
const { KmsError } = require('./errors.js');
const { Status } = require('./constants.js');
const { offThread } = require('./lanes.js');

// Places for what a call gives: its error, a handle or number, a length. In memory that the collector does not move.
class Place {
  constructor() {
    this.words = new BigUint64Array(new ArrayBuffer(24));
    this.error = koffi.address(this.words);
    this.out = this.error + 8n;
    this.length = this.error + 16n;
  }

  handle() {
    return this.words[1];
  }

  number() {
    return Number(this.words[1] & 0xffffffffn);
  }

  lengthFound() {
    return Number(this.words[2]);
  }
}

// One for all synchronous calls: what they give is taken at once.
const scratch = new Place();

// Throws what the call that returned `status` set as its error.
function raise(status, place) {
  const pointer = place.words[0];
  place.words[0] = 0n;
  throw pointer === 0n ? new KmsError(native.status_name(status), 'the library gave no reason') : takeError(pointer);
}

const CODES = new Map(Object.entries(Status).map(([code, status]) => [status, code]));

// An error of the library's as one of ours; frees the library's.
function takeError(pointer) {
  try {
    // A status of a newer library is a defect as far as this package can tell.
    const code = CODES.get(native.error_status(pointer)) ?? 'INTERNAL';
    return new KmsError(code, native.error_message(pointer), {
      providerCode: native.error_provider_code(pointer),
      requestId: native.error_request_id(pointer),
      retryable: native.error_is_retryable(pointer),
      retryAfterMs: Number(native.error_retry_after_ms(pointer)),
      outcomeUnknown: native.error_outcome_unknown(pointer),
    });
  } finally {
    native.error_free(pointer);
  }
}

// Calls a function that can fail off the main thread, with `place` for what it gives.
async function callOffThread(function_, parameters, place, mayWaitForUs) {
  // `place` is alive until then: it is used below.
  const status = await offThread(function_, [...parameters, place.error], mayWaitForUs);
  if (status !== Status.OK) raise(status, place);
}

// The same on this thread.
function callHere(function_, ...parameters) {
  const status = function_(...parameters, scratch.error);
  if (status !== Status.OK) raise(status, scratch);
}

// The bytes of a buffer of the library's, in memory of their own; frees (and wipes) the library's.
function takeBuffer(pointer) {
  try {
    return copyOut(native.buffer_data(pointer), native.buffer_len(pointer));
  } finally {
    native.buffer_free(pointer);
  }
}

function copyOut(pointer, length) {
  const copy = Buffer.allocUnsafeSlow(length);
  if (length > 0) copy.set(new Uint8Array(koffi.view(pointer, length)));
  return copy;
}

module.exports = { Place, scratch, raise, takeError, callOffThread, callHere, takeBuffer, copyOut };
