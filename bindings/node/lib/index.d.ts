/// <reference types="node" />

// Without it what is not exported would be.
export {};

/** A status by its name, as in `error.code`. */
export type StatusName = keyof typeof Status;

/** The statuses of the library. */
export const Status: {
  readonly OK: 0;
  readonly INVALID_ARGUMENT: 1;
  readonly NOT_FOUND: 2;
  readonly ALREADY_EXISTS: 3;
  readonly CONFLICT: 4;
  readonly CORRUPT: 5;
  readonly UNSUPPORTED: 6;
  readonly AUTHENTICATION_FAILED: 7;
  readonly ACCESS_DENIED: 8;
  readonly KEY_DISABLED: 9;
  readonly KMS_UNAVAILABLE: 10;
  readonly THROTTLED: 11;
  readonly TIMEOUT: 12;
  readonly STORAGE: 13;
  readonly CONFIG: 14;
  readonly BUFFER_TOO_SMALL: 15;
  readonly INTERNAL: 16;
  readonly CANCELLED: 17;
  readonly KEY_NOT_FOUND: 18;
  readonly ROLLED_BACK: 19;
  readonly KEY_SET_INCOMPLETE: 20;
  readonly EXPIRED: 21;
};

/** The other constants of the header. */
export const constants: {
  readonly VERSION: '0.1.0';
  readonly VERSION_MAJOR: 0;
  readonly VERSION_MINOR: 1;
  readonly VERSION_PATCH: 0;
  readonly ABI_VERSION: 0;
  /** Bytes of a KEK and of a data key. */
  readonly KEY_LEN: 32;
  /** What sealing adds to a page. */
  readonly OVERHEAD: 48;
  /** The longest page. */
  readonly MAX_PLAINTEXT: 1073741824;
  readonly OPEN_NO_WAIT: 1;
  readonly CAN_ENCRYPT: 1;
  readonly CAN_DECRYPT: 2;
  readonly CAN_DERIVE: 4;
  readonly CAN_EXPORT: 8;
  /** An expected revision: write only if there is no record. */
  readonly REVISION_ABSENT: 0n;
  /** An expected revision: write or remove whatever is there. */
  readonly REVISION_ANY: 18446744073709551615n;
  readonly STORE_CALLER_THREAD: 1;
  /** The same KEK, wrapped anew. */
  readonly ROTATE_REWRAP: 0;
  /** A new KEK, the data keys wrapped anew under it. */
  readonly ROTATE_KEK: 1;
  /** A new data key for new pages. */
  readonly ROTATE_DATA_KEY: 2;
  readonly LOG_OFF: 0;
  readonly LOG_ERROR: 1;
  readonly LOG_WARN: 2;
  readonly LOG_INFO: 3;
  readonly LOG_DEBUG: 4;
  readonly LOG_TRACE: 5;
};

export interface KmsErrorDetails {
  providerCode?: string;
  requestId?: string;
  retryable?: boolean;
  retryAfterMs?: number;
  outcomeUnknown?: boolean;
  cause?: unknown;
}

/**
 * What a failed call throws or rejects with. Act on `code`; the message is for people: one line that says what is wrong
 * and what to do. A provider or store throws one to say which status its failure has.
 */
export class KmsError extends Error {
  constructor(code: Exclude<StatusName, 'OK'>, message: string, details?: KmsErrorDetails);
  readonly code: Exclude<StatusName, 'OK'>;
  readonly status: number;
  /** The provider's own code, such as "AccessDeniedException"; "" where there is none. */
  readonly providerCode: string;
  /** The provider's request id; "" where there is none. */
  readonly requestId: string;
  /** Whether the same call may succeed later without anyone changing anything. */
  readonly retryable: boolean;
  /** How long the server asked to wait; 0 where it did not. */
  readonly retryAfterMs: number;
  /** Whether the change may have happened all the same: opening the index tells. */
  readonly outcomeUnknown: boolean;
  /** Of a failed `auditVerify`: what was found. */
  readonly report?: Record<string, unknown>;
}

/** What engine, index, store and blob have in common. One that is lost is freed some time; don't count on when. */
declare class Handle {
  protected constructor();
  /** Ends the use at once, calls under way end first. The promise says when all is gone; it never rejects. */
  close(): Promise<void>;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface KmsBlobFields {
  kmsName?: string;
  provider?: string;
  keyId?: string;
  region?: string;
  wrappedKek?: Uint8Array;
  version?: number;
  createdAt?: bigint | number;
}

/** An envelope record's fields, CyborgDB's `KMSBlob`. */
export class KmsBlob extends Handle {
  constructor(fields?: KmsBlobFields);
  /** Reads a stored record. */
  static decode(data: Uint8Array): KmsBlob;
  /** The blob as a stored record. */
  encode(): Buffer;
  /** The slot's name in the registry. */
  kmsName: string;
  /** Such as "aws-kms". */
  provider: string;
  /** The provider's name of the wrapping key. */
  keyId: string;
  region: string;
  get wrappedKek(): Buffer;
  set wrappedKek(value: Uint8Array);
  /** The envelope's, 1 and up: one more with each new wrap. */
  version: number;
  /** Unix seconds. */
  get createdAt(): bigint;
  set createdAt(value: bigint | number);
}

/** A record in a store of the caller's own. */
export interface StoredRecord {
  data: Uint8Array;
  /** Never 0, never the same for two contents of one name. */
  revision: bigint | number;
}

/**
 * Keeps records where the caller does. What a method throws is the call's failure: a `KmsError`'s status, else `STORAGE`.
 * It must not use the engine that it serves.
 */
export interface CustomStore {
  /** The record, or null. */
  get(indexName: string): Promise<StoredRecord | null | undefined> | StoredRecord | null | undefined;
  /**
   * Atomic, and durable when it answers with the new revision. `expectedRevision`: `REVISION_ABSENT` (else
   * `ALREADY_EXISTS`), `REVISION_ANY`, or exactly that one (else `CONFLICT`).
   */
  put(indexName: string, data: Buffer, expectedRevision: bigint): Promise<bigint | number> | bigint | number;
  /** Removes the record, if it has that revision, else `CONFLICT`. That there is none is fine. */
  remove(indexName: string, expectedRevision: bigint): Promise<void> | void;
  /** The names behind `startAfter` (null: all), in one order. */
  list(
    startAfter: string | null,
  ): Iterable<string> | AsyncIterable<string> | Promise<Iterable<string> | AsyncIterable<string>>;
  /** Called once, when nothing uses the store any more and its last method has settled, also when opening it failed. */
  destroy?(): void | Promise<void>;
}

/** A place for envelope records. */
export class Store extends Handle {
  private constructor();
  /** "memory://" (a new one each time), a path, "file:///path"; object stores where the library has them. */
  static open(url: string): Promise<Store>;
  /** `callerThread`: nothing is refreshed ahead. */
  static custom(store: CustomStore, options?: { callerThread?: boolean }): Store;
  /** A strict insert: `ALREADY_EXISTS`. */
  create(indexName: string, blob: KmsBlob): Promise<void>;
  /** Stores a record, whether there is one or not. */
  push(indexName: string, blob: KmsBlob): Promise<void>;
  get(indexName: string): Promise<KmsBlob>;
  /** That there is none is fine. What its keys protect can't be read any more. */
  delete(indexName: string): Promise<void>;
  /** The names of indexes that have a record, in the order of the encoded names. */
  list(options?: { startAfter?: string; limit?: number }): Promise<string[]>;
  /** One more handle to the same store. */
  retain(): Store;
}

/**
 * Wraps KEKs, for slots that say "provider: external:NAME". What a method throws is the call's failure: a `KmsError`'s
 * status, else `INTERNAL`. Never put a secret into a message. It must not use the engine that it serves.
 */
export interface Provider {
  /** Wraps a KEK of 32 bytes, bound to `aad`. `plaintext` is wiped when the promise settles. */
  wrap(keyId: string, aad: Buffer, plaintext: Buffer): Promise<Uint8Array> | Uint8Array;
  /**
   * Gives the 32 bytes back, or fails when they are not what was wrapped with this AAD. What it gives is wiped: return
   * a copy of what must last.
   */
  unwrap(keyId: string, aad: Buffer, wrapped: Buffer): Promise<Uint8Array> | Uint8Array;
  /**
   * Called once, when nothing uses the provider any more and its last method has settled, also when registering it
   * failed.
   */
  destroy?(): void | Promise<void>;
}

export interface OpenOptions {
  /** For provider none only. */
  kek?: Uint8Array;
  /** `constants.CAN_*`; 0: all that the slot grants. */
  capabilities?: number;
  /** Page calls never wait: `KMS_UNAVAILABLE` when the lifetime is over. */
  noWait?: boolean;
  /** An older record is `ROLLED_BACK`. */
  minEpoch?: bigint | number;
}

export interface Stats {
  cacheHits: number;
  cacheMisses: number;
  cacheEntries: number;
  kmsCalls: number;
  kmsErrors: number;
  kmsRetries: number;
  coalescedWaits: number;
  staleServed: number;
  storeReads: number;
  storeWrites: number;
  /** Outcomes that could not be written to the audit log. */
  auditFailures: number;
}

export interface ScopeOptions {
  /** How long a call may take, retries included; 0: no limit of its own. */
  deadlineMs?: number;
  /** Who acts, for the audit trail. */
  principal?: string;
}

export interface Progress {
  done: number;
  total: number;
  indexName: string;
  code: StatusName;
}

export interface SyncOptions {
  /** Reports only. */
  dryRun?: boolean;
  /** How many indexes at once; 0: the default. */
  concurrency?: number;
  /** To each slot's KMS; 0: the slot's setting. */
  requestsPerSecond?: number;
  /** Hears of each index that is done; returns false to stop. */
  progress?: (progress: Progress) => boolean | void;
}

export interface RotateWithKeyOptions {
  /** The slot that wraps from now on; "" for none. */
  kmsName?: string;
  /** The KEK in use; left out where a KMS has it. */
  oldKek?: Uint8Array;
  /** The next one; left out where it stays, or a KMS gets a random one. */
  newKek?: Uint8Array;
}

/** A registry of slots, a store of records and a cache of KEKs. One for a process, made once. */
export class Engine extends Handle {
  private constructor();
  /** From a configuration file, YAML or JSON. No KMS is asked. */
  static open(configPath: string): Promise<Engine>;
  /** From its text; "{}" is a memory store and no slot. `store`: in place of its section `storage`. */
  static openYaml(yaml: string, options?: { store?: Store }): Promise<Engine>;
  /** The configuration anew: a text, or the file that the engine was opened from. */
  reload(yaml?: string): Promise<void>;
  /** One more handle to the same engine. */
  retain(): Engine;
  /** The same engine with a deadline and a principal of its own; `cancel` ends its calls. */
  scope(options?: ScopeOptions): Engine;
  /** Ends the calls through this scope, under way and to come, with `CANCELLED`. */
  cancel(): void;
  /** The engine's store, a handle of its own. */
  store(): Store;
  /** Proves that one slot works, or all, by a wrap and an unwrap. */
  check(kmsName?: string): Promise<void>;
  /** Wipes the cached keys of one index, or of all. */
  evict(indexName?: string): Promise<void>;
  stats(): Stats;
  /** OpenMetrics text. */
  metrics(): string;
  /** Register before indexes are opened. */
  registerProvider(name: string, provider: Provider): void;
  /** null ends it. Set it before indexes are opened. */
  setAuditCallback(callback: ((event: Record<string, unknown>) => void) | null): Promise<void>;

  /** Creates an index with a fresh KEK in the care of a slot; durable when it resolves. */
  createIndex(indexName: string, kmsName: string): Promise<Index>;
  /** `kmsName` null: the caller brings the KEK at each opening. */
  createIndexWithKey(indexName: string, kmsName: string | null, kek: Uint8Array): Promise<Index>;
  openIndex(indexName: string, options?: OpenOptions): Promise<Index>;
  openIndexWithKey(indexName: string, kek: Uint8Array): Promise<Index>;
  /** For an index that is cached. Throws at once where it could wait for JavaScript: `await openIndex()`. */
  openIndexSync(indexName: string, options?: OpenOptions): Index;
  /** By a thread of the library, so that none of Node's waits for a KMS. */
  openIndexInBackground(indexName: string, options?: OpenOptions): Promise<Index>;

  /** `rotation`: `constants.ROTATE_*`. `kmsName`: the slot that wraps from now on; left out: its own. */
  rotateIndex(indexName: string, rotation: number, kmsName?: string): Promise<void>;
  /** The same from, to or within provider none. */
  rotateIndexWithKey(indexName: string, rotation: number, options?: RotateWithKeyOptions): Promise<void>;
  /** What the data key sealed can never be read again. */
  retireDataKey(indexName: string, dataKeyId: number): Promise<void>;
  /** What was encrypted under the former KEK can never be read again. */
  retireKek(indexName: string, version: number): Promise<void>;
  disableIndex(indexName: string): Promise<void>;
  enableIndex(indexName: string): Promise<void>;
  /** 24 to 8,760 hours. */
  scheduleIndexDeletion(indexName: string, waitingHours: number): Promise<void>;
  /** Leaves the index disabled. */
  cancelIndexDeletion(indexName: string): Promise<void>;
  /** Deletes an index at once; gives a receipt. */
  deleteIndex(indexName: string): Promise<Record<string, unknown>>;
  /** State, slot and keys of an index; no KMS is asked. */
  describeIndex(indexName: string): Promise<Record<string, unknown>>;
  /** Holds every record against the registry and mends what drifted; gives a report. */
  sync(options?: SyncOptions): Promise<Record<string, unknown>>;
}

/**
 * An open index. Of each page and key call there are two: `…Sync` answers in a microsecond while the key is cached, and
 * else blocks for store and KMS; the other runs off the main thread: don't touch its buffers until it settles. Where
 * JavaScript may be asked (a provider, store, audit or log callback), `…Sync` never waits: `KMS_UNAVAILABLE` or
 * `UNSUPPORTED` name the other call.
 *
 * Bytes are used in place, `out` too where it is given; its part that was written is returned.
 */
export class Index extends Handle {
  private constructor();
  readonly name: string;
  readonly kmsName: string;
  readonly provider: string;
  readonly keyId: string;
  /** The envelope's version in the record that was read last. */
  readonly version: number;
  /** For `minEpoch`. */
  readonly epoch: bigint;
  /** The data key that seals new pages; 0 for an index that holds only its KEK. */
  readonly dataKeyId: number;
  /** Asks store and KMS now. */
  refresh(): Promise<void>;
  /** One more handle to the same index. */
  retain(): Index;

  /** Seals a page, 48 bytes longer. `aad` says where it belongs: the same is needed to open it. */
  encryptSync(plaintext: Uint8Array, aad?: Uint8Array | null): Buffer;
  encryptSync<Out extends Uint8Array>(plaintext: Uint8Array, aad: Uint8Array | null, out: Out): Out;
  encrypt(plaintext: Uint8Array, aad?: Uint8Array | null): Promise<Buffer>;
  encrypt<Out extends Uint8Array>(plaintext: Uint8Array, aad: Uint8Array | null, out: Out): Promise<Out>;
  /** Opens a sealed page. */
  decryptSync(sealed: Uint8Array, aad?: Uint8Array | null): Buffer;
  decryptSync<Out extends Uint8Array>(sealed: Uint8Array, aad: Uint8Array | null, out: Out): Out;
  decrypt(sealed: Uint8Array, aad?: Uint8Array | null): Promise<Buffer>;
  decrypt<Out extends Uint8Array>(sealed: Uint8Array, aad: Uint8Array | null, out: Out): Promise<Out>;
  /** Seals a page whose 48 bytes of overhead are kept apart; `out` is as long as the page, and may be it. */
  encryptDetachedSync(
    plaintext: Uint8Array,
    aad?: Uint8Array | null,
    out?: Uint8Array | null,
    overhead?: Uint8Array,
  ): { ciphertext: Uint8Array; overhead: Uint8Array };
  encryptDetached(
    plaintext: Uint8Array,
    aad?: Uint8Array | null,
    out?: Uint8Array | null,
    overhead?: Uint8Array,
  ): Promise<{ ciphertext: Uint8Array; overhead: Uint8Array }>;
  decryptDetachedSync(
    ciphertext: Uint8Array,
    overhead: Uint8Array,
    aad?: Uint8Array | null,
    out?: Uint8Array | null,
  ): Uint8Array;
  decryptDetached(
    ciphertext: Uint8Array,
    overhead: Uint8Array,
    aad?: Uint8Array | null,
    out?: Uint8Array | null,
  ): Promise<Uint8Array>;
  /** A fresh 32-byte key, the caller's to `wipe`, and its wrapped form of 80 bytes. */
  generateDataKeySync(): { key: Buffer; wrapped: Buffer };
  generateDataKey(): Promise<{ key: Buffer; wrapped: Buffer }>;
  unwrapDataKeySync(wrapped: Uint8Array): Buffer;
  unwrapDataKey(wrapped: Uint8Array): Promise<Buffer>;
  /** The same label and context give the same bytes for as long as the index lives. 1 to 8,160 bytes. */
  deriveKeySync(label: string, context?: Uint8Array | null, length?: number): Buffer;
  deriveKey(label: string, context?: Uint8Array | null, length?: number): Promise<Buffer>;
  /** The KEK in plaintext, the caller's to `wipe`; 0 is the current version. */
  exportKekSync(version?: number): Buffer;
  exportKek(version?: number): Promise<Buffer>;
}

/** The data key that sealed a page, of which 8 bytes suffice. */
export function pageDataKeyId(sealed: Uint8Array): number;
/** The library's version. */
export function version(): string;
/** The number of the library's ABI. */
export function abiVersion(): number;
/** The name of a status; "UNKNOWN" for a number that is none. */
export function statusName(status: number): StatusName | 'UNKNOWN';
/** Random bytes of the operating system's. */
export function randomKey(length?: number): Buffer;
/** Overwrites bytes with zeros. */
export function wipe(data: Uint8Array): void;
/** Finds the first line of an audit file that was changed; `CORRUPT` when there is one. `head`: of `auditHead`. */
export function auditVerify(
  path: string,
  options?: { key?: Uint8Array; head?: string },
): Promise<Record<string, unknown>>;
/** The head of an audit file, JSON text to be kept elsewhere. */
export function auditHead(path: string): Promise<string>;

export interface LogLine {
  /** `constants.LOG_*`. */
  level: number;
  target: string;
  message: string;
  fields: Record<string, unknown>;
}

/**
 * The process's log: lines up to `level`; null or `LOG_OFF` ends it. On the main thread only. While it is set, calls
 * there must not wait: set it before indexes are opened, and open them with `await`.
 */
export function setLogCallback(level: number, callback?: ((line: LogLine) => void) | null): Promise<void>;
