'use strict';

// The constants of include/cyborg_kms.h, without their prefix; a test holds them against the header.

const Status = Object.freeze({
  OK: 0,
  INVALID_ARGUMENT: 1,
  NOT_FOUND: 2,
  ALREADY_EXISTS: 3,
  CONFLICT: 4,
  CORRUPT: 5,
  UNSUPPORTED: 6,
  AUTHENTICATION_FAILED: 7,
  ACCESS_DENIED: 8,
  KEY_DISABLED: 9,
  KMS_UNAVAILABLE: 10,
  THROTTLED: 11,
  TIMEOUT: 12,
  STORAGE: 13,
  CONFIG: 14,
  BUFFER_TOO_SMALL: 15,
  INTERNAL: 16,
  CANCELLED: 17,
  KEY_NOT_FOUND: 18,
  ROLLED_BACK: 19,
  KEY_SET_INCOMPLETE: 20,
  EXPIRED: 21,
});

const constants = Object.freeze({
  VERSION: '0.1.0',
  VERSION_MAJOR: 0,
  VERSION_MINOR: 1,
  VERSION_PATCH: 0,
  ABI_VERSION: 0,
  KEY_LEN: 32,
  OVERHEAD: 48,
  MAX_PLAINTEXT: 2 ** 30,
  OPEN_NO_WAIT: 1,
  CAN_ENCRYPT: 1,
  CAN_DECRYPT: 2,
  CAN_DERIVE: 4,
  CAN_EXPORT: 8,
  REVISION_ABSENT: 0n,
  REVISION_ANY: 2n ** 64n - 1n,
  STORE_CALLER_THREAD: 1,
  ROTATE_REWRAP: 0,
  ROTATE_KEK: 1,
  ROTATE_DATA_KEY: 2,
  LOG_OFF: 0,
  LOG_ERROR: 1,
  LOG_WARN: 2,
  LOG_INFO: 3,
  LOG_DEBUG: 4,
  LOG_TRACE: 5,
});

module.exports = { Status, constants };
