/**
 * Short scripted scenes with one sale in them, played by real programs: in each of them a fault may be put into one
 * write of the terminal or the gateway. A scene ends when its sale did, or when the program in question is gone.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isOpening, unsettled, wordsOf } from './facts.js'
import type { Premises, Terminal } from './premises.js'
import { comesTrue, createProgram, eventually, type Life, type LogRecord, type Program } from './program.js'
import type { Report } from './report.js'
import { attach, type Fault, strace, type Watched } from './tracer.js'

export const SCENES = ['boot on an empty disk', 'a sale, and stop', 'back to a sale cut off'] as const
export type Scene = (typeof SCENES)[number]

export interface Stage {
  readonly premises: Premises
  readonly terminal: Terminal
  /** Where the tracer writes what it saw. */
  readonly trace: string
}

export const READY_MS = 30_000
const SALE_MS = 60_000
const ASK_AGAIN_MS = 1_500
const STOP_MS = 20_000
const AMOUNT = '2500'

export const isLinkUp = ({ msg }: LogRecord): boolean => msg === 'link up'
const isEnded = ({ msg }: LogRecord): boolean => msg === 'sale ended'

export const watchedOf = ({ journalFile, journalFolder }: Terminal): Watched => ({ database: journalFile, folder: journalFolder })

// -- The terminal ---------------------------------------------------------------------------------------------------

/** Resolves with the life that met the fault, when it is over. */
export async function playTerminal(scene: Scene, { premises, terminal, trace }: Stage, fault: Fault | undefined): Promise<Life> {
  const { program } = terminal
  const watched = watchedOf(terminal)
  switch (scene) {
    case 'boot on an empty disk': {
      const life = program.start(strace(watched, trace, fault))
      await life.until(isLinkUp, READY_MS)
      return stop(life)
    }
    case 'a sale, and stop': {
      const life = program.start()
      await must(life.until(isLinkUp, READY_MS), `${terminal.name} is not up`)
      const tracer = await attach(life.pid, watched, trace, fault)
      const customer = payOnce(premises, terminal)
      life.type(`${AMOUNT}\n`)
      if (await life.until(isEnded, SALE_MS) !== undefined) {
        life.type('\n') // The cashier clears the panel.
        await life.until(({ msg, fields }) => msg === 'sale step' && fields['to'] === 'idle', READY_MS)
      }
      customer.leave()
      await stop(life)
      await tracer.gone
      return life
    }
    case 'back to a sale cut off': {
      const first = program.start()
      await must(first.until(isLinkUp, READY_MS), `${terminal.name} is not up`)
      first.type(`${AMOUNT}\n`)
      await must(first.until(({ msg }) => msg === 'code shown', READY_MS), `${terminal.name} shows no code`)
      await first.kill('SIGKILL')
      const life = program.start(strace(watched, trace, fault))
      await life.until(isEnded, SALE_MS)
      return stop(life)
    }
  }
}

/**
 * Without faults: the journal opens, what it holds settles, and one that holds nothing sells. Resolves with the
 * milliseconds from the start to 'terminal ready'.
 */
export async function terminalComesBack({ premises, terminal }: Stage, run: string, report: Report): Promise<number> {
  const lastStep = terminal.program.records.findLast(({ msg }) => msg === 'sale step')
  const startedMs = performance.now()
  const life = terminal.program.start()
  const ready = await life.until(({ msg }) => msg === 'terminal ready', READY_MS)
  const readyMs = performance.now() - startedMs
  if (ready === undefined) {
    const { complaint } = await life.kill('SIGKILL')
    report.violation('P2', `the terminal does not start after ${run}: ${complaint || JSON.stringify(life.records.at(-1))}`)
    return readyMs
  }
  if (life.records.some(({ msg }) => msg.startsWith('journal was damaged'))) {
    report.violation('P3', `the journal counts as damaged after ${run}`)
  }
  const restored = life.records.find(({ msg, fields }) => msg === 'sale step' && fields['event'] === 'restarted')
  const was = String(lastStep?.fields['to'] ?? 'idle')
  if (['opening', 'presenting', 'resolving'].includes(was) && restored?.fields['sale'] !== lastStep?.fields['sale']) {
    report.violation('P1', `sale ${String(lastStep?.fields['sale'])} was ${was}, and is forgotten after ${run}`)
  }
  const customer = payOnce(premises, terminal)
  if (wordsOf([terminal]).length === 0 && restored === undefined) {
    await life.until(isLinkUp, READY_MS)
    life.type(`${AMOUNT}\n`)
  }
  const isSettled = (): boolean => wordsOf([terminal]).length > 0 && unsettled([terminal]).length === 0
  if (!await comesTrue(isSettled, SALE_MS)) report.violation('I10', `${terminal.name} does not end its sale after ${run}`)
  customer.leave()
  await stop(life)
  return readyMs
}

// -- The gateway ----------------------------------------------------------------------------------------------------

export const databaseOf = ({ databaseFile }: Premises): Watched => ({ database: databaseFile, folder: dirname(databaseFile) })

/** The same: its terminal runs all the time, and goes on running. */
export async function playGateway(scene: Scene, stage: Stage, fault: Fault | undefined): Promise<Life> {
  const { premises, terminal, trace } = stage
  const { gateway } = premises
  switch (scene) {
    case 'boot on an empty disk': {
      const { program, database } = emptyGateway(premises)
      const life = program.start(strace(database, trace, fault))
      await life.until(isGatewayReady, READY_MS)
      return stop(life)
    }
    case 'a sale, and stop': {
      const life = gateway.life ?? gateway.start()
      await must(life.until(isGatewayReady, READY_MS), 'the gateway is not ready')
      const tracer = await attach(life.pid, databaseOf(premises), trace, fault)
      const customer = payOnce(premises, terminal)
      await sell(terminal, life)
      await untilSettled(terminal, life)
      customer.leave()
      await stop(life)
      await tracer.gone
      return life
    }
    case 'back to a sale cut off': {
      await must(gateway.life?.until(isGatewayReady, READY_MS), 'the gateway is not ready')
      await sell(terminal, gateway.life)
      await must(eventually(() => terminal.look(), READY_MS), 'no code is shown')
      await gateway.life?.kill('SIGKILL')
      const life = gateway.start(strace(databaseOf(premises), trace, fault))
      const customer = payOnce(premises, terminal)
      await untilSettled(terminal, life)
      customer.leave()
      return stop(life)
    }
  }
}

/** Without faults: the database opens, and the sale ends everywhere. Resolves with the milliseconds to 'gateway ready'. */
export async function gatewayComesBack(
  scene: Scene, { premises, terminal }: Stage, run: string, report: Report,
): Promise<number> {
  const program = scene === 'boot on an empty disk' ? emptyGateway(premises).program : premises.gateway
  const startedMs = performance.now()
  const life = program.start()
  const ready = await life.until(isGatewayReady, READY_MS)
  const readyMs = performance.now() - startedMs
  if (ready === undefined) {
    const { complaint } = await life.kill('SIGKILL')
    report.violation('P2', `the gateway does not start after ${run}: ${complaint || JSON.stringify(life.records.at(-1))}`)
    return readyMs
  }
  if (scene === 'boot on an empty disk') {
    await stop(life)
    return readyMs
  }
  const customer = payOnce(premises, terminal)
  const settled = await eventually(async () => {
    if (unsettled([terminal]).length > 0) return undefined
    return (await premises.charges()).some(({ status }) => status === 'pending') ? undefined : true
  }, SALE_MS)
  customer.leave()
  if (settled === undefined) report.violation('I10', `sale ${unsettled([terminal]).join()} does not end after ${run}`)
  return readyMs
}

const isGatewayReady = ({ msg }: LogRecord): boolean => msg === 'gateway ready'

/** A second gateway of the same owner, with nothing on its disk. */
function emptyGateway({ folder }: Premises): { readonly program: Program; readonly database: Watched } {
  const at = (name: string): string => join(folder, name)
  const settings = JSON.parse(readFileSync(at('gateway.json'), 'utf8')) as object
  const database: Watched = { database: at('empty/gateway.sqlite'), folder: at('empty') }
  const anywhere = { http: { port: 0 }, broker: { kind: 'embedded', port: 0 } }
  writeFileSync(at('empty.json'), JSON.stringify({ ...settings, ...anywhere, database: database.database }))
  return { program: createProgram('gateway', 'cloud/main.js', ['run', '--config', at('empty.json')], at('empty.log')), database }
}

// -- People ---------------------------------------------------------------------------------------------------------

/** Statuses from here on say that the bank could not answer, and so does this one. */
const NO_ANSWER = 500

/** Pays the first code that can be read off the panel, once. */
export function payOnce(premises: Premises, terminal: Terminal): { leave(): void } {
  const left = new AbortController()
  void (async () => {
    while (!left.signal.aborted) {
      const payload = await terminal.look()
      const status = payload === undefined ? NO_ANSWER : await premises.pay(payload, 'paid').catch(() => NO_ANSWER)
      if (status < NO_ANSWER) return
      await pause(40)
    }
  })()
  return { leave: () => { left.abort() } }
}

/** Asks until the terminal has taken up a sale, or the life it depends on is over. */
async function sell(terminal: Terminal, depends: Life | undefined): Promise<void> {
  const opened = (): number => terminal.program.records.filter(isOpening).length
  const before = opened()
  for (const end = performance.now() + SALE_MS; performance.now() < end && opened() === before && depends?.alive() === true;) {
    terminal.program.life?.type(`\nc${AMOUNT}\n`)
    await comesTrue(() => opened() > before || !depends.alive(), ASK_AGAIN_MS)
  }
}

async function untilSettled(terminal: Terminal, depends: Life): Promise<void> {
  await comesTrue(() => unsettled([terminal]).length === 0 || !depends.alive(), SALE_MS)
}

/** As its owner would, and as its owner would not when it takes too long. */
export async function stop(life: Life): Promise<Life> {
  if (life.alive()) {
    const impatience = setTimeout(() => void life.kill('SIGKILL'), STOP_MS)
    await life.kill('SIGTERM')
    clearTimeout(impatience)
  }
  await life.ended
  return life
}

async function must<T>(promise: Promise<T | undefined> | undefined, otherwise: string): Promise<T> {
  const value = await promise
  if (value === undefined) throw new Error(otherwise)
  return value
}
