// A small document store: one file for each document, each collection encrypted under the key of one index.

import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';

const SUFFIX = '.doc';

// Documents of one kind. Neither their contents nor their ids are on disk in plaintext: a file is named by a keyed hash.
export class Collection {
  #folder;
  #index;

  constructor(folder, index) {
    this.#folder = folder;
    this.#index = index;
  }

  // Opens a collection, or creates it where `create` says that it is new: the caller's catalog knows, not the store. A
  // record that is missing although there are documents is a lost store, and a new key would open none of them.
  static async open(engine, root, name, { slot, create = false }) {
    const index = create ? await engine.createIndex(name, slot) : await engine.openIndex(name);
    const folder = path.join(root, index.deriveKeySync('documents: folder').toString('hex', 0, 16));
    await fs.mkdir(folder, { recursive: true, mode: 0o700 });
    return new Collection(folder, index);
  }

  // Durable when it resolves; a crash leaves the former document or the new one.
  async put(id, document) {
    const file = this.#file(id);
    const plaintext = Buffer.from(JSON.stringify({ id, document }));
    const sealed = this.#index.encryptSync(plaintext, place(file));
    plaintext.fill(0);
    const temporary = `${file}.${randomBytes(8).toString('hex')}.tmp`;
    await writeDurably(temporary, sealed);
    await fs.rename(temporary, file);
    await syncFolder(this.#folder);
  }

  // The document, or undefined.
  async get(id) {
    return (await this.#read(this.#file(id)))?.document;
  }

  async delete(id) {
    await fs.rm(this.#file(id), { force: true });
    await syncFolder(this.#folder);
  }

  // Every { id, document }, in no order.
  async *entries() {
    for (const name of await fs.readdir(this.#folder)) {
      if (!name.endsWith(SUFFIX)) continue;
      const entry = await this.#read(path.join(this.#folder, name));
      if (entry !== undefined) yield entry;
    }
  }

  async *find(matches) {
    for await (const entry of this.entries()) if (matches(entry.document)) yield entry;
  }

  close() {
    return this.#index.close();
  }

  async #read(file) {
    let sealed;
    try {
      sealed = await fs.readFile(file);
    } catch (error) {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    }
    return JSON.parse(this.#index.decryptSync(sealed, place(file), sealed).toString());
  }

  #file(id) {
    const hash = this.#index.deriveKeySync('documents: file', Buffer.from(id));
    return path.join(this.#folder, hash.toString('hex') + SUFFIX);
  }
}

// The AAD: a document that is put in the place of another is refused.
const place = (file) => Buffer.from(`document ${path.basename(file)}`);

async function writeDurably(file, bytes) {
  const handle = await fs.open(file, 'wx', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder) {
  const handle = await fs.open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
