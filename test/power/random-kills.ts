/**
 * A busy shop in which, again and again, one program chosen by chance is killed with SIGKILL and started again: terminals
 * (half of them with a register), gateway, sandbox, Mosquitto. Customers pay, cancel, pay late, walk away. When the kills
 * end everything must settle by itself, each terminal must sell once more, and the auditor must find nothing.
 *
 *   node dist/test/power/random-kills.js [--kills 300] [--terminals 6] [--seed N] [--keep]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { audit, type Facts } from './audit.js'
import { type Chance, createChance } from './chance.js'
import { closeTheBooks, unsettled, wordsOf } from './facts.js'
import { lacking } from './machine.js'
import { openPremises, type Premises, type Terminal } from './premises.js'
import { eventually, type Program } from './program.js'
import { createReport, quantile, type Report } from './report.js'
import { HABITS, openRegister, type Register, visit } from './street.js'

const CODE_LIFETIME_S = 10
/** Between two kills, and so many at most are down at once: more, and nothing would ever be sold. */
const PEACE_MS_MAX = 700
const DOWN_MAX = 2
const DOWN_MS_MAX = 300
/** The lease of the last sale, the longest pause of every retry, and for late money the sweeper's minute. */
const SETTLE_MS = 150_000
const SALE_MS = 60_000

interface Victim {
  readonly name: string
  readonly weight: number
  isUp(): boolean
  kill(): Promise<void>
  start(): Promise<void>
  /** Milliseconds from each kill until it was ready again. */
  readonly outagesMs: number[]
  kills: number
}

interface Counter { readonly terminal: Terminal; readonly register: Register | undefined }

async function killAtRandom(kills: number, terminals: number, chance: Chance, keep: boolean, report: Report): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-kills-'))
  const registers: Register[] = []
  for (let line = 1; line <= terminals / 2; line++) registers.push(await openRegister(join(folder, `line-${line}`)))
  const premises = await openPremises({
    folder, terminals, broker: 'mosquitto', codeLifetimeSeconds: CODE_LIFETIME_S,
    registerOf: (terminal) => registers[terminal]?.terminalEnd,
    sandboxSwitches: ['payAfterExpire=succeeds'], // Who was already paying gets through: money for sales that ended.
  })
  const counters = premises.terminals.map((terminal, index) => ({ terminal, register: registers[index] }))
  try {
    const victims = victimsOf(premises)
    for (const victim of victims) await victim.start()
    const open = new AbortController()
    const errands: Promise<unknown>[] = []
    const codeLifetimeMs = CODE_LIFETIME_S * 1_000
    const customers = counters.map(async (counter, index) => {
      const own = createChance(chance.between(0, 2 ** 31) + index)
      while (!open.signal.aborted) await visit({ premises, ...counter, chance: own, codeLifetimeMs, errands }, own.pick(HABITS))
    })
    await execute(victims, kills, chance)
    open.abort()
    await Promise.all([...customers, ...errands])
    await settle(premises, counters, report)
    await pause(1_000) // The last answer is on its way to its register.
    const facts = await closeTheBooks(premises, answersAt(counters))
    for (const { invariant, text } of audit(facts)) report.violation(invariant, text)
    tell(report, victims, facts)
  } finally {
    await premises.close()
    if (keep) console.log(`kept: ${folder}`)
    else rmSync(folder, { recursive: true, force: true })
  }
}

const READY_MS = 30_000

function victimsOf({ sandbox, gateway, mosquitto, terminals }: Premises): readonly Victim[] {
  const victim = (name: string, weight: number, how: Pick<Victim, 'isUp' | 'kill' | 'start'>): Victim =>
    ({ name, weight, ...how, outagesMs: [], kills: 0 })
  const program = (it: Program, weight: number, ready: string): Victim => victim(it.name, weight, {
    isUp: () => it.life?.alive() === true,
    kill: async () => { await it.life?.kill('SIGKILL') },
    start: async () => { await it.start().until(({ msg }) => msg === ready, READY_MS) },
  })
  if (mosquitto === undefined) throw new Error('this shop has no broker to kill')
  let brokerUp = false
  return [
    victim('mosquitto', 1, {
      isUp: () => brokerUp,
      kill: async () => { brokerUp = false; await mosquitto.kill() },
      start: async () => { await mosquitto.start(); brokerUp = true },
    }),
    program(sandbox, 2, 'sandbox ready'),
    program(gateway, 2, 'gateway ready'),
    ...terminals.map((terminal) => program(terminal.program, 2, 'terminal ready')),
  ]
}

/** One after the other; each is started again a moment later, and may be killed again before it is ready. */
async function execute(victims: readonly Victim[], kills: number, chance: Chance): Promise<void> {
  const restarts = new Set<Promise<void>>()
  for (let kill = 0; kill < kills; kill++) {
    await pause(chance.between(0, PEACE_MS_MAX))
    while (restarts.size >= DOWN_MAX) await Promise.race(restarts)
    const [first, ...others] = victims.filter((victim) => victim.isUp())
      .flatMap((victim) => Array.from({ length: victim.weight }, () => victim))
    if (first === undefined) continue
    const victim = chance.pick([first, ...others])
    const at = performance.now()
    await victim.kill()
    victim.kills++
    const restart: Promise<void> = pause(chance.between(0, DOWN_MS_MAX)).then(() => victim.start()).then(() => {
      if (victim.isUp()) victim.outagesMs.push(performance.now() - at)
      restarts.delete(restart)
    })
    restarts.add(restart)
  }
  await Promise.all(restarts)
}

/** No more faults: every sale ends, and every terminal sells again. */
async function settle(premises: Premises, counters: readonly Counter[], report: Report): Promise<void> {
  const quiet = await eventually(async () => {
    const notPaid = new Set(wordsOf(premises.terminals).filter(({ outcome }) => outcome !== 'paid').map(({ sale }) => sale))
    const waits = (await premises.charges()).some(({ status, sale, amount, refunded_amount }) =>
      status === 'pending' || status === 'successful' && notPaid.has(sale) && refunded_amount < amount)
    return waits || unsettled(premises.terminals).length > 0 ? undefined : true
  }, SETTLE_MS)
  if (quiet === undefined) report.violation('I10', `not everything had ended ${SETTLE_MS / 1_000} s after the last kill`)
  const world = { premises, chance: createChance(1), codeLifetimeMs: CODE_LIFETIME_S * 1_000, errands: [] }
  await Promise.all(counters.map(async ({ terminal, register }) => {
    const before = wordsOf([terminal]).length
    const sold = await eventually(async () => {
      await visit({ ...world, terminal, register }, 'pays')
      await pause(500)
      return wordsOf([terminal]).slice(before).find(({ outcome }) => outcome === 'paid')
    }, SALE_MS)
    if (sold === undefined) report.violation('P2', `${terminal.name} did not sell again after the last kill`)
  }))
}

const answersAt = (counters: readonly Counter[]): Facts['answers'] =>
  new Map(counters.flatMap(({ terminal, register }) => (register === undefined ? [] : [[terminal.name, register.heard]])))

function tell(report: Report, victims: readonly Victim[], { words, charges, answers }: Facts): void {
  for (const { name, kills, outagesMs } of victims) {
    const times = { 'ready again, median ms': quantile(outagesMs, 0.5), 'at most ms': quantile(outagesMs, 1) }
    report.row(`kills of ${name}`, { count: kills, ...times })
  }
  const last = new Map(words.map((word) => [word.sale, word.outcome]))
  const ended = (outcome: string): number => [...last.values()].filter((one) => one === outcome).length
  if (last.size === 0) report.violation('B1', 'nothing was sold')
  report.row('kills', { count: victims.reduce((sum, { kills }) => sum + kills, 0) })
  report.row('sales', { count: last.size })
  report.row('sales paid', { count: ended('paid') })
  report.row('sales not paid', { count: ended('unpaid') })
  report.row('outcomes told again', { count: words.length - last.size })
  report.row('charges at the bank', { count: charges.length })
  report.row('payments at the bank', { count: charges.filter(({ status }) => status === 'successful').length })
  report.row('late payments that went back', { count: charges.filter(({ refunded_amount }) => refunded_amount > 0).length })
  report.row('answers at registers', { count: [...answers.values()].reduce((sum, lines) => sum + lines.length, 0) })
}

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '300' }, terminals: { type: 'string', default: '6' }, seed: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const report = createReport(`random kills (seed ${seed})`)
const missing = lacking(['mosquitto', 'socat'])
if (missing === undefined) {
  await killAtRandom(Number(values.kills), Number(values.terminals), createChance(seed), values.keep, report)
} else report.notRun('random kills', missing)
report.end()
process.exit() // Whoever still waits for the bank waits in vain.
