// Each program of docs/languages/node.md runs, beside the configuration that the page gives.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { TREE, folder, runs } from './support.mjs';

const page = fs.readFileSync(path.join(TREE, 'docs/languages/node.md'), 'utf8');
const blocks = (language) => [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, text]) => text);

test('every program of the page runs, and runs again', async (t) => {
  const root = folder(t);
  fs.writeFileSync(path.join(root, 'db.yaml'), blocks('yaml')[0]);
  const programs = blocks('js');
  const says = [/25 bytes sealed into 73 and opened again: what nobody/, /orders.* false/, /\[ 'orders' \] page/];
  assert.equal(programs.length, says.length);
  for (const [number, program] of programs.entries()) {
    for (const time of ['first', 'second']) {
      const { stdout, stderr, code } = await runs(program, { cwd: root });
      assert.equal(code, 0, `${time} run of program ${number + 1}: ${stderr}`);
      assert.match(stdout, says[number]);
    }
  }
});

test('the page is one screen from the installation to the sealed page', () => {
  const until = page.indexOf('await engine.close();');
  assert.ok(page.slice(0, until).split('\n').length <= 45);
});
