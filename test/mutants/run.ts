/**
 * Breaks the product on purpose, one bug at a time, and watches the named layer of the tests find it. A mutant that
 * nobody kills fails the run: then the layer proves less than it seems to. The bugs exist in scratch copies only.
 *
 *   node dist/test/mutants/run.js [--only NAME] [--layer LAYER] [--jobs N]
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import ts from 'typescript'
import { LAYERS, type LayerName, type Mutant, MUTANTS } from './mutants.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const SCRATCH = join(ROOT, 'out/mutants')
const FOLDERS = ['cloud', 'device', 'drivers', 'firmware-config', 'scripts', 'test', 'dist']
const RUN_MS_MAX = 180_000

interface Run {
  readonly failed: boolean
  readonly said: string
  readonly seconds: number
}

/** Hard links to everything: a second, and no space. What is broken is unlinked first. */
function scratchCopy(name: string): string {
  const scratch = join(SCRATCH, name)
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch, { recursive: true })
  execFileSync('cp', ['-al', ...FOLDERS.map((folder) => join(ROOT, folder)), scratch])
  writeFileSync(join(scratch, 'package.json'), readFileSync(join(ROOT, 'package.json')))
  return scratch
}

function plant(scratch: string, { file, find, replace }: Mutant): void {
  const text = readFileSync(join(ROOT, file), 'utf8')
  if (text.split(find).length !== 2) throw new Error(`${file} does not hold this text exactly once: ${find}`)
  const broken = text.replace(find, () => replace)
  put(join(scratch, file), broken)
  if (!file.endsWith('.ts')) return
  const { outputText } = ts.transpileModule(broken, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
  })
  put(join(scratch, 'dist', file.replace(/\.ts$/, '.js')), outputText)
}

/** Never through the link: that would break the original. */
function put(file: string, text: string): void {
  unlinkSync(file)
  writeFileSync(file, text)
}

/** The layer in this copy; `testFiles` where the layer is tests of vitest. */
async function runLayer(scratch: string, layer: LayerName, testFiles: readonly string[]): Promise<Run> {
  const startedAt = Date.now()
  const { command, failure } = LAYERS[layer]
  if (layer === 'tests') {
    // The programs were built already, so nothing is set up.
    writeFileSync(join(scratch, 'vitest.config.ts'),
      `export default { test: { include: ['test/**/*.test.ts'], pool: 'forks', maxWorkers: 1, testTimeout: 30_000, env: { TZ: 'UTC' } } }\n`)
  }
  const [program = 'node', ...args] = [...command, ...testFiles]
  const child = spawn(program, args, { cwd: scratch, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  const hear = (chunk: Buffer): void => { said = (said + chunk.toString()).slice(-200_000) }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const status = await exitOf(child)
  return { failed: status !== 0 && failure.test(said), said, seconds: (Date.now() - startedAt) / 1_000 }
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, RUN_MS_MAX)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve(code)
    })
  })
}

async function hunt(mutant: Mutant): Promise<boolean> {
  const scratch = scratchCopy(mutant.name)
  try {
    plant(scratch, mutant)
    const { failed, said, seconds } = await runLayer(scratch, mutant.layer, mutant.tests ?? [])
    const proof = LAYERS[mutant.layer].failure.exec(said)?.[0] ?? ''
    print(mutant.name, mutant.layer, failed ? 'killed' : 'ALIVE', seconds, failed ? proof : mutant.bug)
    if (!failed) console.log(said.split('\n').slice(-15).map((line) => `    ${line}`).join('\n'))
    return failed
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** A layer that fails without a bug kills nobody. */
async function isHealthy(layer: LayerName, testFiles: readonly string[]): Promise<boolean> {
  const scratch = scratchCopy(`no bug ${layer}`.replaceAll(' ', '-'))
  try {
    const { failed, said, seconds } = await runLayer(scratch, layer, testFiles)
    const passed = LAYERS[layer].success.test(said)
    print('(no bug)', layer, passed && !failed ? 'passes' : 'FAILS', seconds, '')
    if (!passed || failed) console.log(said.split('\n').slice(-30).map((line) => `    ${line}`).join('\n'))
    return passed && !failed
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function print(name: string, layer: string, verdict: string, seconds: number, note: string): void {
  console.log(`${name.padEnd(34)} ${layer.padEnd(12)} ${verdict.padEnd(7)} ${seconds.toFixed(1).padStart(6)} s  ${note.trim().slice(0, 90)}`)
}

async function inParallel<T>(jobs: number, work: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = []
  const queue = [...work]
  await Promise.all(Array.from({ length: jobs }, async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results.push(await next())
  }))
  return results
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: 'string' }, layer: { type: 'string' }, jobs: { type: 'string', default: '2' } } })
  const wanted = MUTANTS.filter(({ name, layer }) =>
    (values.only === undefined || name === values.only) && (values.layer === undefined || layer === values.layer))
  if (wanted.length === 0) throw new Error(`there is no mutant "${values.only ?? ''}" of layer "${values.layer ?? ''}"`)
  const layers = [...new Set(wanted.map(({ layer }) => layer))]
  const testsOf = (layer: LayerName): readonly string[] =>
    [...new Set(wanted.filter((mutant) => mutant.layer === layer).flatMap(({ tests }) => tests ?? []))]
  const healthy = await inParallel(Number(values.jobs), layers.map((layer) => () => isHealthy(layer, testsOf(layer))))
  const killed = await inParallel(Number(values.jobs), wanted.map((mutant) => () => hunt(mutant)))
  const count = killed.filter(Boolean).length
  console.log(`\n${count} of ${wanted.length} mutants killed, ${layers.length} layers`)
  if (count < wanted.length || healthy.includes(false)) process.exitCode = 1
}

await main()
