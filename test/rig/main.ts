/**
 * `npm run test:rig`: the product's own drivers, and the whole daemon, on real kernels in machines that QEMU makes. What is
 * checked stands in guest/checks/. The last line is `N passed, N failed`; where the rig cannot run it is `0 passed, 0 failed,
 * not run`, after a sentence that says why, and the exit code is 75.
 *
 *   --without-hardware   one machine on which nothing hangs: its checks must all fail, and so must the run
 *   --matching TEXT      only checks whose names have it
 *   --kernel TEXT        only kernels whose names begin with it
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { eachLine, parseLine } from './lines.js'
import { type Machine, startMachine } from './machine.js'
import { FromGuest, type Outside, type ToGuest } from './outside.js'
import { createWorld } from './world.js'

const EXIT_NOT_RUN = 75
/** From power on to the last check, on a machine that does other things too. */
const MACHINE_MS = 480_000

/** A Raspberry Pi's chips, old and new; one for each kernel. */
const LABELS = ['pinctrl-bcm2835', 'pinctrl-rp1'] as const

const { values: options } = parseArgs({
  options: { 'without-hardware': { type: 'boolean', default: false }, 'matching': { type: 'string', default: '' }, 'kernel': { type: 'string', default: '' } },
})

interface Check {
  readonly name: string
  readonly failure?: string | undefined
}

interface Run {
  /** For people: the kernel, and what is different here. */
  readonly title: string
  readonly kernelFolder: string
  readonly hardware: boolean
  readonly label: string
  readonly consoleOnPanel: boolean
  readonly patienceMs: number
}

async function main(): Promise<never> {
  const kernels = await prepare()
  const boxes = kernels.map((kernelFolder, index): Run => ({
    title: basename(kernelFolder), kernelFolder, hardware: true, label: LABELS[index % 2] ?? LABELS[0], consoleOnPanel: index % 2 === 1, patienceMs: 60_000,
  })).filter(({ title }) => title.startsWith(options.kernel))
  const [first] = boxes
  if (first === undefined) return notRun(`no kernel begins with ${options.kernel}; there are ${kernels.map((folder) => basename(folder)).join(', ')}`)
  const bare: Run = { ...first, title: 'no hardware', hardware: false, consoleOnPanel: false, patienceMs: 2_000 }
  if (options['without-hardware']) return finish(await onMachine(bare))

  const [control, ...checks] = await Promise.all([options.matching === '' ? onMachine(bare) : [], ...boxes.map(onMachine)])
  return finish([...checks.flat(), ...(options.matching === '' ? [seesNothing(control)] : [])])
}

/** Noted only of a machine that did not. */
const TO_THE_END = 'the machine runs to the end'

/** The rig must be able to fail: on a machine without hardware no check of hardware may pass. */
function seesNothing(checks: readonly Check[]): Check {
  const name = 'no hardware: every check of a driver fails'
  const passed = checks.filter(({ failure }) => failure === undefined).map((check) => check.name)
  const cut = checks.find((check) => check.name.endsWith(TO_THE_END))
  if (cut !== undefined || checks.length === 0) return { name, failure: cut?.failure ?? 'no check ran' }
  return passed.length === 0 ? { name } : { name, failure: `these passed: ${passed.join('; ')}` }
}

/** The folders of the kernels. */
async function prepare(): Promise<readonly string[]> {
  const child = spawn(resolve('test/rig/prepare.sh'), [], { stdio: ['ignore', 'pipe', 'inherit'] })
  const folders: string[] = []
  eachLine(child.stdout, (line) => { folders.push(line) })
  const [code] = await once(child, 'close')
  if (code === EXIT_NOT_RUN) return notRun()
  if (code !== 0) throw new Error(`test/rig/prepare.sh ended with ${String(code)}`)
  return folders
}

function notRun(why?: string): never {
  if (why !== undefined) console.error(`rig: ${why}`)
  console.log('0 passed, 0 failed, not run')
  process.exit(EXIT_NOT_RUN)
}

function finish(checks: readonly Check[]): never {
  const failed = checks.filter(({ failure }) => failure !== undefined)
  for (const { name, failure } of failed) console.log(`FAILED  ${name}: ${failure?.split('\n')[0]}`)
  const none = checks.length === 0
  if (none) console.log('no check ran')
  console.log(`${checks.length - failed.length} passed, ${failed.length} failed`)
  process.exit(failed.length > 0 || none ? 1 : 0)
}

/** Every check of one machine, with its title before it. A machine that dies is a failure of its own. */
async function onMachine(run: Run): Promise<readonly Check[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rig-'))
  const checks: Check[] = []
  const say = (text: string): void => { console.log(`${seconds()} s  ${run.title}: ${text}`) }
  const note = (name: string, failure?: string): void => {
    if (run.hardware) say(failure === undefined ? `ok      ${name}` : `FAILED  ${name}\n${failure}`)
    checks.push({ name: `${run.title}: ${name}`, failure })
  }
  const udev = join(dirname(run.kernelFolder), 'udev')
  const main = fileURLToPath(new URL('guest/main.js', import.meta.url))
  const machine = await startMachine({ ...run, folder, main, udev })
  try {
    const world = await createWorld(machine, folder, run.hardware)
    try {
      const ended = converse(machine, world, run, note, say)
      const late = AbortSignal.timeout(MACHINE_MS)
      const why = await Promise.race([
        ended,
        machine.ended.then(() => 'the machine went off in the middle'),
        once(late, 'abort').then(() => `the machine was not done in ${MACHINE_MS / 1000} s`),
      ])
      if (why !== undefined) note(TO_THE_END, `${why}; the last it said:\n${machine.console().split('\n').slice(-20).join('\n')}`)
    } finally {
      await world.close()
    }
    return checks
  } finally {
    await machine.end()
    keep(folder, run, checks)
  }
}

/** Answers what the machine asks until it has nothing more to ask. */
function converse(machine: Machine, world: Outside, run: Run, note: (name: string, failure?: string) => void, say: (text: string) => void): Promise<undefined> {
  const tell = (message: ToGuest): void => { machine.talk.write(`${JSON.stringify(message)}\n`) }
  tell({ say: 'begin', label: run.label, only: run.hardware ? 'all' : 'drivers', matching: options.matching })
  return new Promise((resolve) => {
    eachLine(machine.talk, (line) => {
      const message = parseLine(FromGuest, line)
      switch (message.say) {
        case 'question': {
          const { id, name, argument } = message
          // Both ends are compiled from outside.ts, so the argument is what the method takes.
          const ask = world[name] as (argument: unknown) => Promise<unknown>
          ask(argument).then(
            (value) => { tell({ say: 'answer', id, value }) },
            (error: unknown) => { tell({ say: 'refusal', id, why: error instanceof Error ? error.message : String(error) }) },
          )
          return
        }
        case 'check': return note(message.name, message.failure)
        case 'measure': return say(`        ${message.text}`)
        case 'end': return resolve(undefined)
      }
    })
  })
}

/** Of a machine with failures, everything it left: console, pictures, the logs of its shop. */
function keep(folder: string, { title, hardware }: Run, checks: readonly Check[]): void {
  if (!hardware || checks.every(({ failure }) => failure === undefined)) {
    rmSync(folder, { recursive: true, force: true })
    return
  }
  console.log(`${title}: console, pictures and logs are in ${folder}`)
}

const startedAt = Date.now()
const seconds = (): string => ((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)

await main()
