/** The house keeps its own rules, and each rule is shown to find what it is there to find. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { ESLint } from 'eslint'
import { describe, expect, test } from 'vitest'
import { type House, type HouseFile, isPure, violations } from './house-rules.js'

const root = join(import.meta.dirname, '..')
const NOT_OURS = new Set(['node_modules', 'dist', 'out', 'coverage', '.git'])

function* pathsUnder(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (NOT_OURS.has(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* pathsUnder(path)
    else if (entry.isFile()) yield path
  }
}

function houseOnDisk(): House {
  const house = new Map<string, HouseFile>()
  for (const path of pathsUnder(root)) {
    const { size, mode } = statSync(path)
    if (size > 4_000_000) continue
    const name = relative(root, path).split(sep).join('/')
    house.set(name, { text: readFileSync(path, 'utf8'), executable: (mode & 0o100) !== 0 })
  }
  return house
}

/** The smallest house in order. Each planted violation changes one thing of it. */
const tidy: Record<string, HouseFile> = {
  'package.json': {
    text: JSON.stringify({
      dependencies: { zod: '^4.0.0', pino: '^10.0.0' },
      devDependencies: { vitest: '^4.0.0', eslint: '^9.0.0', '@types/node': '^20.0.0' },
      scripts: { lint: 'eslint .' },
    }),
  },
  'package-lock.json': {
    text: JSON.stringify({
      packages: {
        '': { name: 'plinth' },
        'node_modules/zod': { version: '4.0.0', integrity: 'sha512-x', funding: { url: 'https://example.com/give' } },
      },
    }),
  },
  'ARCHITECTURE.md': { text: '`zod` parses, `pino` logs, `vitest` tests, `eslint` lints.' },
  'device/protocol/money.ts': { text: `import { z } from 'zod'` },
  'device/sale.ts': { text: `import type { Amount } from './protocol/money.js'` },
  'device/view.ts': { text: `import type { State } from './sale.js'` },
  'device/terminal.ts': {
    text: `import { step } from './sale.js'\nimport type { A } from '../drivers/driver.js'\nimport type { B } from 'pino'`,
  },
  'device/main.ts': {
    text: `import { run } from './terminal.js'\nimport { open } from '../drivers/open.js'\nconsole.log('ready')`,
  },
  'drivers/driver.ts': { text: 'export interface Panel {}' },
  'drivers/open.ts': {
    text: `import type { Config } from '../firmware-config/schema.js'\nexport const open = () => import('./panel/png.js')`,
  },
  'drivers/panel/png.ts': { text: `import type { Panel } from '../driver.js'` },
  'drivers/ecr/line.ts': { text: 'export const line = 1' },
  'firmware-config/schema.ts': { text: `import { z } from 'zod'` },
  'firmware-config/problems.ts': { text: 'export const a = 1' },
  'cloud/charge.ts': { text: `import type { Amount } from '../device/protocol/money.js'` },
  'cloud/gateway.ts': {
    text: `import { step } from './charge.js'\nimport { a } from '../firmware-config/problems.js'`,
  },
  'cloud/sandbox/api.ts': { text: `import { money } from '../../device/protocol/money.js'` },
  'scripts/demo.ts': { text: `import { run } from '../device/terminal.js'\nconsole.log('hello')` },
  'scripts/demo.sh': { text: '#!/usr/bin/env bash\n', executable: true },
  'scripts/prepare.sh': { text: '# sourced\n' },
  'systemd/plinth.service': { text: '[Unit]' },
  'test/device/sale.test.ts': {
    text: `import { test } from 'vitest'\nimport { step } from '../../device/sale.js'\ntest('a sale', () => {})`,
  },
}

const tidyWith = (changes: Record<string, HouseFile | undefined>): House =>
  new Map(Object.entries({ ...tidy, ...changes }).filter((entry): entry is [string, HouseFile] => entry[1] !== undefined))

const file = (text: string): HouseFile => ({ text })
const manifest = (dependencies: Record<string, string>, devDependencies: Record<string, string> = {}): HouseFile =>
  file(JSON.stringify({ dependencies: { zod: '1', pino: '1', ...dependencies }, devDependencies, scripts: {} }))
const locked = (entry: Record<string, unknown>): HouseFile =>
  file(JSON.stringify({ packages: { '': {}, 'node_modules/a': entry } }))

// Spelt apart, so that a search for focused tests does not find this table.
const [ONLY, SKIP] = ['.on' + 'ly', '.sk' + 'ip']

/** What is planted, where, and the beginning of what must be said about it. */
const planted: readonly (readonly [string, Record<string, HouseFile | undefined>, string])[] = [
  ['the terminal imports the gateway',
    { 'device/terminal.ts': file(`import '../cloud/gateway.js'\nimport type {} from 'pino'`) },
    'device/terminal.ts may not import cloud/gateway.ts'],
  ['even as a type',
    { 'device/terminal.ts': file(`import type { A } from '../cloud/gateway.js'\nimport type {} from 'pino'`) },
    'device/terminal.ts may not import cloud/gateway.ts'],
  ['even lazily',
    { 'device/main.ts': file(`const a = await import('../cloud/gateway.js')`) },
    'device/main.ts may not import cloud/gateway.ts'],
  ['even by passing it on',
    { 'device/main.ts': file(`export { a } from '../cloud/gateway.js'`) },
    'device/main.ts may not import cloud/gateway.ts'],
  ['the terminal opens a driver by itself',
    { 'device/view.ts': file(`import '../drivers/open.js'`) },
    'device/view.ts may not import drivers/open.ts'],
  ['the terminal imports one driver',
    { 'device/main.ts': file(`import '../drivers/panel/png.js'`) },
    'device/main.ts may not import drivers/panel/png.ts'],
  ['the protocol imports the sale',
    { 'device/protocol/money.ts': file(`import '../sale.js'\nimport 'zod'`) },
    'device/protocol/money.ts may not import device/sale.ts'],
  ['the sale imports the shell',
    { 'device/sale.ts': file(`import './terminal.js'`) },
    'device/sale.ts may not import device/terminal.ts'],
  ['somebody imports a composition root',
    { 'cloud/main.ts': file(''), 'cloud/gateway.ts': file(`import './main.js'`) },
    'cloud/gateway.ts may not import cloud/main.ts'],
  ['a driver imports the terminal',
    { 'drivers/panel/png.ts': file(`import '../../device/sale.js'`) },
    'drivers/panel/png.ts may not import device/sale.ts'],
  ['a driver imports the gateway',
    { 'drivers/panel/png.ts': file(`import '../../cloud/gateway.js'`) },
    'drivers/panel/png.ts may not import cloud/gateway.ts'],
  ['a driver reads the configuration',
    { 'drivers/panel/png.ts': file(`import '../../firmware-config/schema.js'`) },
    'drivers/panel/png.ts may not import firmware-config/schema.ts'],
  ['the schema imports something of ours',
    { 'firmware-config/schema.ts': file(`import './problems.js'`) },
    'firmware-config/schema.ts may not import firmware-config/problems.ts'],
  ['the configuration imports the terminal',
    { 'firmware-config/problems.ts': file(`import '../device/sale.js'`) },
    'firmware-config/problems.ts may not import device/sale.ts'],
  ['the gateway imports the terminal',
    { 'cloud/gateway.ts': file(`import '../device/sale.js'`) },
    'cloud/gateway.ts may not import device/sale.ts'],
  ['the gateway imports the schema of the terminal',
    { 'cloud/gateway.ts': file(`import '../firmware-config/schema.js'`) },
    'cloud/gateway.ts may not import firmware-config/schema.ts'],
  ['the gateway imports a driver',
    { 'cloud/gateway.ts': file(`import '../drivers/driver.js'`) },
    'cloud/gateway.ts may not import drivers/driver.ts'],
  ['the sandbox leans on the gateway',
    { 'cloud/sandbox/api.ts': file(`import '../charge.js'`) },
    'cloud/sandbox/api.ts may not import cloud/charge.ts'],
  ['the core of the gateway imports its shell',
    { 'cloud/charge.ts': file(`import './gateway.js'`) },
    'cloud/charge.ts may not import cloud/gateway.ts'],
  ['the product imports a script',
    { 'device/terminal.ts': file(`import '../scripts/demo.js'\nimport 'pino'`) },
    'device/terminal.ts may not import scripts/demo.ts'],
  ['a script imports a test',
    { 'scripts/demo.ts': file(`import '../test/device/sale.test.js'`) },
    'scripts/demo.ts may not import test/device/sale.test.ts'],
  ['a folder nobody drew',
    { 'lib/a.ts': file('') },
    'lib/a.ts stands in no folder'],
  ['an import of nothing',
    { 'device/main.ts': file(`import './gone.js'`) },
    'device/main.ts imports device/gone.ts, which does not exist'],
  ['the sale reads a file',
    { 'device/sale.ts': file(`import { readFileSync } from 'node:fs'`) },
    'device/sale.ts is pure and may not import node:fs'],
  ['the protocol opens a socket',
    { 'device/protocol/money.ts': file(`import 'node:net'\nimport 'zod'`) },
    'device/protocol/money.ts is pure and may not import node:net'],
  ['the view logs',
    { 'device/view.ts': file(`import { pino } from 'pino'`) },
    'device/view.ts is pure and may not import pino'],
  ['the charge hashes',
    { 'cloud/charge.ts': file(`import 'node:crypto'`) },
    'cloud/charge.ts is pure and may not import node:crypto'],
  ['the register line reads a port',
    { 'drivers/ecr/line.ts': file(`import 'node:stream'`) },
    'drivers/ecr/line.ts is pure and may not import node:stream'],
  ['a file named utils',
    { 'device/utils.ts': file('') },
    'device/utils.ts is named for nothing'],
  ['a file named helpers in the tests',
    { 'test/device/helpers.ts': file('') },
    'test/device/helpers.ts is named for nothing'],
  ['a folder named common',
    { 'cloud/common/a.ts': file('') },
    'cloud/common/a.ts is named for nothing'],
  ['a file named manager',
    { 'cloud/manager.ts': file('') },
    'cloud/manager.ts is named for nothing'],
  ['a file named base',
    { 'drivers/base.ts': file('') },
    'drivers/base.ts is named for nothing'],
  ['a barrel by name',
    { 'drivers/index.ts': file('') },
    'drivers/index.ts is a barrel'],
  ['a barrel by habit',
    { 'drivers/all.ts': file(`export * from './driver.js'`) },
    'drivers/all.ts is a barrel'],
  ['console in the product',
    { 'cloud/gateway.ts': file(`console.error('no')`) },
    'cloud/gateway.ts uses console.error'],
  ['a focused test',
    { 'test/device/sale.test.ts': file(`test${ONLY}('a', () => {})\nimport 'vitest'`) },
    `test/device/sale.test.ts has test${ONLY}`],
  ['a skipped test',
    { 'test/device/sale.test.ts': file(`describe${SKIP}('a', () => {})\nimport 'vitest'`) },
    `test/device/sale.test.ts has describe${SKIP}`],
  ['a test skipped on some machines',
    { 'test/device/sale.test.ts': file(`it.skipIf(!browser)('a', () => {})\nimport 'vitest'`) },
    'test/device/sale.test.ts has it.skipIf'],
  ['an empty folder',
    { 'systemd/plinth.service': undefined },
    'systemd/ is missing or empty'],
  ['a test of nothing',
    { 'test/device/gone/a.test.ts': file('') },
    'test/device/gone/a.test.ts mirrors no folder'],
  ['a dependency nobody uses',
    { 'package.json': manifest({ lodash: '1' }) },
    'package.json: lodash is used nowhere in the product'],
  ['a dependency only tests use',
    { 'package.json': manifest({ vitest: '1' }) },
    'package.json: vitest is used nowhere in the product'],
  ['a tool nobody uses',
    { 'package.json': manifest({}, { prettier: '1' }) },
    'package.json: prettier is used nowhere'],
  ['types of a package we do not have',
    { 'package.json': manifest({}, { '@types/ws': '1' }) },
    'package.json: @types/ws is used nowhere'],
  ['a dependency nobody explains',
    { 'ARCHITECTURE.md': file('`pino` `vitest` `eslint`, and zod') },
    'ARCHITECTURE.md has no sentence on `zod`'],
  ['a package that is only there by chance',
    { 'cloud/gateway.ts': file(`import debug from 'debug'`) },
    'cloud/gateway.ts imports debug, which is no dependency'],
  ['a lockfile that names a registry',
    { 'package-lock.json': locked({ integrity: 'x', resolved: 'https://npm.example.com/a.tgz' }) },
    'package-lock.json: node_modules/a names where it came from'],
  ['a lockfile without a hash',
    { 'package-lock.json': locked({ version: '1' }) },
    'package-lock.json: node_modules/a has no hash'],
  ['a lockfile that names a host elsewhere',
    { 'package-lock.json': locked({ integrity: 'x', version: 'git+ssh://example.com/a' }) },
    'package-lock.json: node_modules/a names a host'],
  ['a script that cannot be run',
    { 'scripts/demo.sh': { text: '#!/bin/sh\n' } },
    'scripts/demo.sh begins with #! but is not executable'],
  ['a sourced script that can be run',
    { 'scripts/prepare.sh': { text: '# sourced\n', executable: true } },
    'scripts/prepare.sh is executable but does not begin with #!'],
]

describe('the house', () => {
  test('keeps its rules', () => {
    expect(violations(houseOnDisk())).toEqual([])
  })

  test('is read whole: the sale and its tests are there', () => {
    const paths = [...houseOnDisk().keys()]
    const some = ['device/sale.ts', 'test/house-rules.ts', '.ci/run', 'package-lock.json', 'LICENSE']
    expect(paths).toEqual(expect.arrayContaining(some))
  })
})

describe('eslint.config.js', () => {
  test('keeps clocks and dice out of the very files that may import neither', async () => {
    const eslint = new ESLint({ cwd: root })
    const product = [...houseOnDisk().keys()].filter((path) => /^(device|drivers|cloud)\/.*\.ts$/.test(path))
    const isGuarded = async (path: string): Promise<boolean> => {
      const { rules } = await eslint.calculateConfigForFile(join(root, path))
      return 'no-restricted-globals' in rules && 'no-restricted-syntax' in rules
    }
    const guarded = await Promise.all(product.map(isGuarded))
    expect(product.filter((_, i) => guarded[i])).toEqual(product.filter(isPure))
    expect(product.filter(isPure).length).toBeGreaterThan(5)
  })
})

describe('the rules', () => {
  test('leave a tidy house alone', () => {
    expect(violations(tidyWith({}))).toEqual([])
  })

  test.each(planted)('say so: %s', (_what, changes, said) => {
    expect(violations(tidyWith(changes)).filter((violation) => violation.startsWith(said))).toHaveLength(1)
  })
})
