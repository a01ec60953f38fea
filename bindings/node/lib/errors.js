'use strict';

const { Status } = require('./constants.js');

// What a failed call throws or rejects with. A provider or store in JavaScript may throw one to say which status its
// failure has.
class KmsError extends Error {
  constructor(code, message, details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    if (!Object.hasOwn(Status, code) || code === 'OK') {
      throw new TypeError(`"${code}" is no failure's code: use one of those of Status`);
    }
    this.code = code;
    this.status = Status[code];
    this.providerCode = details.providerCode ?? '';
    this.requestId = details.requestId ?? '';
    this.retryable = details.retryable ?? false;
    this.retryAfterMs = details.retryAfterMs ?? 0;
    this.outcomeUnknown = details.outcomeUnknown ?? false;
  }
}

Object.defineProperty(KmsError.prototype, 'name', { value: 'KmsError', configurable: true, writable: true });

const invalid = (message) => new KmsError('INVALID_ARGUMENT', message);
const unsupported = (message) => new KmsError('UNSUPPORTED', message);

module.exports = { KmsError, invalid, unsupported };
