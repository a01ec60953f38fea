// bench.mjs PACKAGE CALLS KEYS: what a synchronous call costs over the same call from C, measured by turns in this process.

import { createRequire } from 'node:module';
import path from 'node:path';

const [packageFolder, calls, keys] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(packageFolder), 'package.json'));
const { Engine, constants } = require('./lib/index.js');
const koffi = require('koffi');

const ROUNDS = 201;
const COUNT = 1000;
const MOST_OVER_C = 1500; // nanoseconds

const yaml = `kms: {registry: {local: {provider: local, key_id: ${keys}/wrap.key, create: true}}}`;
const c = koffi.load(calls);
c.func('void calls_start(const char *yaml)')(yaml);
const engine = await Engine.openYaml(yaml);
const index = await engine.createIndex('page', 'local');
const [page, aad] = [Buffer.alloc(4096), Buffer.alloc(16)];
const sealed = Buffer.alloc(page.length + constants.OVERHEAD);

const works = [
  ['seal 4 KiB', c.func('double calls_seal(int count)'), () => index.encryptSync(page, aad, sealed)],
  ['open 4 KiB', c.func('double calls_unseal(int count)'), () => index.decryptSync(sealed, aad, page)],
  ['open a cached index, free it', c.func('double calls_open(int count)'), () => engine.openIndexSync('page')[Symbol.dispose]()],
];

function measured(call) {
  const start = process.hrtime.bigint();
  for (let number = 0; number < COUNT; number += 1) call();
  return Number(process.hrtime.bigint() - start) / COUNT;
}

const median = (values) => values.sort((one, other) => one - other)[values.length >> 1];

console.log('| work, from Node | C | Node | over C | asked | |');
console.log('| --- | ---: | ---: | ---: | ---: | --- |');
for (const [name, fromC, fromNode] of works) {
  const rounds = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push([fromC(COUNT), measured(fromNode)]);
    await new Promise(setImmediate); // the collector's callbacks run between rounds, as they do in a program
  }
  const [one, other, over] = [
    median(rounds.map(([time]) => time)),
    median(rounds.map(([, time]) => time)),
    median(rounds.map(([inC, inNode]) => inNode - inC)),
  ];
  const row = [one, other, over, MOST_OVER_C].map((time) => `${Math.round(time)} ns`);
  console.log(`| ${name} | ${row[0]} | ${row[1]} | ${row[2]} | <= ${row[3]} | ${over <= MOST_OVER_C ? 'met' : 'NOT MET'} |`);
}
await Promise.all([index.close(), engine.close()]);
