#!/usr/bin/env node
/**
 * Simulates the real shells under faults, seed after seed, in worker processes, and says what it saw.
 *
 *   node dist/test/simulation/simulate.js --sales 100000 --hours 5000 --workers 2 --from-seed 1
 *   node dist/test/simulation/simulate.js --seed 7 --profile bad-PSP [--trace]
 *   node dist/test/simulation/simulate.js --regression <name> [--trace]
 *
 * A violation is printed with what led to it and with the one command that shows it again, and is made small into
 * test/simulation/regressions/. A run that did too little of anything fails as well: a silent no-op proves nothing.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { parseArgs } from 'node:util'
import type { Line } from './engine.js'
import { type Fault, FAULTS, type ProfileName, PROFILE_NAMES } from './faults.js'
import { BEHAVIOURS } from './people.js'
import { minimise, readRegression, replay, writeRegression } from './regression.js'
import type { Tally, Violation } from './seen.js'
import { forbidRealTime } from './traps.js'
import { drawn, type Outcome, runWorld } from './world.js'

const stopwatch = performance.now.bind(performance)

interface Job {
  readonly seed: number
  readonly profile: ProfileName
  /** Run it again: the hash must be the same. */
  readonly twice: boolean
}

interface Done extends Omit<Job, 'twice'> {
  readonly violation: Violation | undefined
  readonly trace: readonly string[]
  readonly sameAgain: boolean | undefined
  readonly events: number
  readonly terminalHours: number
  readonly faults: Outcome['faults']
  readonly tally: Tally
  readonly behaviours: Outcome['behaviours']
  readonly busyMs: number
}

const TRACE_LINES = 80
const ALL_LINES = 10_000_000
/** One seed in fifty. */
const TWICE_EVERY = 50
const VIOLATIONS_SHOWN = 5

function formatLine({ at, who, what, more }: Line): string {
  const rest = more === undefined ? '' : typeof more === 'object' ? JSON.stringify(more, showError) : String(more)
  return `${(at / 1_000).toFixed(3).padStart(10)}  ${who.padEnd(10)} ${what} ${rest}`.slice(0, 600)
}

const showError = (_key: string, value: unknown): unknown => (value instanceof Error ? value.stack : value)

const command = ({ seed, profile }: { readonly seed: number; readonly profile: ProfileName }): string =>
  `node dist/test/simulation/simulate.js --seed ${seed} --profile ${profile}`

// -- A worker ---------------------------------------------------------------------------------------------------------

function work(): void {
  forbidRealTime()
  process.on('message', (job: Job) => {
    void doJob(job).then((done) => process.send?.(done))
  })
}

async function doJob({ seed, profile, twice }: Job): Promise<Done> {
  const before = process.cpuUsage()
  const outcome = await runWorld(drawn(seed, profile))
  const { user, system } = process.cpuUsage(before)
  const busyMs = (user + system) / 1_000
  const sameAgain = twice ? (await runWorld(drawn(seed, profile))).hash === outcome.hash : undefined
  const { violation, events, terminalHours, faults, tally, behaviours } = outcome
  return {
    seed, profile, violation, sameAgain, events, terminalHours, faults, tally, behaviours, busyMs,
    trace: violation === undefined ? [] : outcome.lines.slice(-TRACE_LINES).map(formatLine),
  }
}

// -- The whole ---------------------------------------------------------------------------------------------------------

interface Wanted {
  readonly sales: number
  readonly hours: number
  readonly workers: number
  readonly fromSeed: number
  readonly profiles: readonly ProfileName[]
  readonly minutes: number
}

async function runAll({ sales, hours, workers, fromSeed, profiles, minutes }: Wanted): Promise<readonly Done[]> {
  const done: Done[] = []
  const began = stopwatch()
  let next = 0
  let soldSoFar = 0
  let hoursSoFar = 0
  const isEnough = (): boolean => {
    if (done.filter(({ violation }) => violation !== undefined).length >= VIOLATIONS_SHOWN) return true
    if (minutes > 0) return stopwatch() - began >= minutes * 60_000
    return soldSoFar >= sales && hoursSoFar >= hours
  }
  const take = (): Job | undefined => {
    if (isEnough()) return undefined
    const at = next++
    const profile = profiles[at % profiles.length] ?? 'everything'
    return { seed: fromSeed + Math.floor(at / profiles.length), profile, twice: at % TWICE_EVERY === TWICE_EVERY - 1 }
  }

  await Promise.all(Array.from({ length: workers }, () => new Promise<void>((resolve, reject) => {
    const child: ChildProcess = fork(import.meta.filename, ['--worker'], { serialization: 'advanced' })
    const give = (): void => {
      const job = take()
      if (job === undefined) child.kill()
      else child.send(job)
    }
    child.on('message', (message) => {
      const result = message as Done // Only doJob sends.
      done.push(result)
      soldSoFar += result.tally.sales
      hoursSoFar += result.terminalHours
      if (result.violation !== undefined) report(result)
      give()
    })
    child.on('exit', (code, signal) => {
      if (code === null && signal === 'SIGTERM') resolve()
      else reject(new Error(`a worker ended with ${code ?? signal ?? 'nothing'}`))
    })
    give()
  })))
  return done
}

function report(result: Done): void {
  const { violation, trace } = result
  if (violation === undefined) return
  console.log(`\nVIOLATION ${violation.invariant}: ${violation.what}`)
  console.log(`  at ${(violation.at / 1_000).toFixed(3)} s of ${result.profile}, seed ${result.seed}; what led to it:`)
  for (const line of trace) console.log(`  ${line}`)
  console.log(`  again: ${command(result)}\n`)
}

// -- What was seen -----------------------------------------------------------------------------------------------------

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0)

function quantile(numbers: readonly number[], share: number): string {
  const sorted = [...numbers].sort((a, b) => a - b)
  const at = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return at === undefined ? '-' : `${(at / 1_000).toFixed(1)} s`
}

function table(done: readonly Done[]): void {
  const columns = ['profile', 'seeds', 'sales', 'hours', 'events', 'faults', 'a sale', 'paid', 'unpaid', 'refused', 'reversed', 'exceptions', 'untold', 'let out', 'in doubt']
  const row = (name: string, of: readonly Done[]): string[] => {
    const count = (pick: (tally: Tally) => number): number => sum(of.map(({ tally }) => pick(tally)))
    const struck = sum(of.map(({ faults }) => sum(Object.values(faults))))
    const sold = count(({ sales }) => sales)
    return [
      name, String(of.length), String(sold), sum(of.map(({ terminalHours }) => terminalHours)).toFixed(0), String(sum(of.map(({ events }) => events))),
      String(struck), (struck / Math.max(sold, 1)).toFixed(2), String(count(({ toldPaid }) => toldPaid)), String(count(({ toldUnpaid }) => toldUnpaid)),
      String(count(({ refused }) => refused)), String(count(({ reversed }) => reversed)), String(count(({ exceptions }) => exceptions)),
      String(count(({ neverTold }) => neverTold)), String(count(({ letOut }) => letOut)), String(count(({ inDoubt }) => inDoubt)),
    ]
  }
  const rows = [columns, ...PROFILE_NAMES.map((name) => row(name, done.filter(({ profile }) => profile === name))).filter((it) => it[1] !== '0'), row('all', done)]
  const widths = columns.map((_, at) => Math.max(...rows.map((it) => it[at]?.length ?? 0)))
  for (const it of rows) console.log(it.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  '))
}

function faultCounts(done: readonly Done[]): Readonly<Record<Fault, number>> {
  const counts = Object.fromEntries(FAULTS.map((fault) => [fault, sum(done.map(({ faults }) => faults[fault] ?? 0))]))
  return counts as Record<Fault, number> // Every fault has its row.
}

function tell(done: readonly Done[], tookMs: number): void {
  console.log()
  table(done)
  console.log('\nfaults that struck:')
  const counts = faultCounts(done)
  for (const fault of FAULTS) console.log(`  ${fault.padEnd(30)} ${String(counts[fault]).padStart(8)}`)
  const busyS = sum(done.map(({ busyMs }) => busyMs)) / 1_000
  const events = sum(done.map((it) => it.events))
  const sold = sum(done.map(({ tally }) => tally.sales))
  const hours = sum(done.map(({ terminalHours }) => terminalHours))
  const again = done.filter(({ sameAgain }) => sameAgain !== undefined).length
  console.log(`\nspeed, one core: ${Math.round(events / busyS)} events/s, ${(sold / busyS).toFixed(1)} sales/s, ${(hours / busyS).toFixed(2)} simulated terminal-hours/s`)
  console.log(`  in ${(tookMs / 1_000).toFixed(0)} s; ${again} seeds ran twice`)
  const times = (pick: (tally: Tally) => readonly number[]): readonly number[] => done.flatMap(({ tally }) => pick(tally))
  const line = (what: string, numbers: readonly number[]): void =>
    console.log(`  ${what.padEnd(36)} p50 ${quantile(numbers, 0.5)}, p99 ${quantile(numbers, 0.99)}, longest ${quantile(numbers, 1)} (${numbers.length})`)
  console.log('simulated time:')
  line('asked -> code on the panel', times(({ codes }) => codes))
  line("bank's word -> answer PAID", times(({ paids }) => paids))
  line('link restored -> doubt settled', times(({ doubts }) => doubts))
  line('late success -> money is back', times(({ reversals }) => reversals))
}

// -- Floors: what a run of this size must at least have done. About a third of what it does. ---------------------------

/** Below this many sales a fault may be missing by chance. */
const FLOORS_FROM_SALES = 20_000
/** For each 100 000 sales. */
const FAULT_FLOOR = 20

function shortcomings(done: readonly Done[], isWhole: boolean): readonly string[] {
  const said: string[] = []
  const floor = (what: string, is: number, atLeast: number): void => {
    if (is < atLeast) said.push(`${what}: ${is.toFixed(2)}, and at least ${atLeast.toFixed(2)} was expected`)
  }
  const sold = sum(done.map(({ tally }) => tally.sales))
  const sunny = done.filter(({ profile }) => profile === 'sunny')
  const stormy = done.filter(({ profile }) => profile !== 'sunny')
  const struck = (of: readonly Done[]): number => sum(of.map(({ faults }) => sum(Object.values(faults))))
  const sales = (of: readonly Done[]): number => Math.max(1, sum(of.map(({ tally }) => tally.sales)))
  if (struck(sunny) > 0) said.push(`${struck(sunny)} faults struck in sunny worlds`)
  if (sold < FLOORS_FROM_SALES || !isWhole) return said
  floor('faults a sale', struck(stormy) / sales(stormy), 0.4)
  floor('share of sales called paid', sum(done.map(({ tally }) => tally.toldPaid)) / sold, 0.5)
  floor('share of sales called unpaid', sum(done.map(({ tally }) => tally.toldUnpaid)) / sold, 0.1)
  floor('share of sales whose goods were let out', sum(done.map(({ tally }) => tally.letOut)) / sold, 0.08)
  floor('goods in doubt a thousand sales', sum(done.map(({ tally }) => tally.inDoubt)) / sold * 1_000, 1)
  floor('events a sale', sum(done.map(({ events }) => events)) / sold, 40)
  floor('reversals a thousand sales', sum(done.map(({ tally }) => tally.reversed)) / sold * 1_000, 0.5)
  const counts = faultCounts(done)
  for (const fault of FAULTS) floor(`'${fault}'`, counts[fault], FAULT_FLOOR * sold / 100_000)
  for (const behaviour of BEHAVIOURS.filter((it) => it !== 'cancels' && it !== 'walks away')) {
    const seen = sum(done.flatMap(({ behaviours }) => Object.entries(behaviours).filter(([key]) => key.startsWith(`${behaviour}:`)).map(([, n]) => n)))
    floor(`customers of whom one ${behaviour}`, seen, 200 * sold / 100_000)
  }
  return said
}

// -- The command line ---------------------------------------------------------------------------------------------------

async function runOne(seed: number, profile: ProfileName, wholeTrace: boolean): Promise<void> {
  forbidRealTime()
  const began = stopwatch()
  const outcome = await runWorld({ ...drawn(seed, profile), ...(wholeTrace ? { linesKept: ALL_LINES } : {}) })
  const again = await runWorld(drawn(seed, profile))
  tellOne(outcome, wholeTrace)
  if (again.hash !== outcome.hash) console.log(`NOT REPEATABLE: ${outcome.hash}, and then ${again.hash}`)
  console.log(`${profile}, seed ${seed}: ${outcome.tally.sales} sales, ${outcome.events} events, trace ${outcome.hash}, ${Math.round(stopwatch() - began)} ms`)
  if (outcome.violation === undefined && again.hash === outcome.hash) return
  process.exitCode = 1
  await shrink({ seed, profile })
}

function tellOne(outcome: Outcome, wholeTrace: boolean): void {
  const { violation, lines } = outcome
  if (wholeTrace || violation !== undefined) for (const line of wholeTrace ? lines : lines.slice(-TRACE_LINES)) console.log(formatLine(line))
  if (violation !== undefined) console.log(`\nVIOLATION ${violation.invariant}: ${violation.what}`)
}

async function shrink({ seed, profile }: { readonly seed: number; readonly profile: ProfileName }): Promise<void> {
  const small = await minimise(profile, drawn(seed, profile))
  if (small === undefined) return
  const file = writeRegression(`${small.invariant}-${profile}-${seed}`, small)
  console.log(`made small, to ${small.decisions.length} faults and ${small.shape.boxes.length} terminals: ${file}`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sales: { type: 'string', default: '100000' }, hours: { type: 'string', default: '5000' }, workers: { type: 'string', default: '2' },
      'from-seed': { type: 'string', default: '1' }, minutes: { type: 'string', default: '0' }, profile: { type: 'string' },
      seed: { type: 'string' }, regression: { type: 'string' }, trace: { type: 'boolean', default: false }, worker: { type: 'boolean', default: false },
    },
  })
  if (values.worker) return work()
  const profile = PROFILE_NAMES.find((name) => name === values.profile)
  if (values.profile !== undefined && profile === undefined) throw new Error(`there is no profile ${values.profile}; there are ${PROFILE_NAMES.join(', ')}`)
  if (values.regression !== undefined) {
    forbidRealTime()
    const outcome = await replay(readRegression(values.regression), values.trace ? ALL_LINES : undefined)
    tellOne(outcome, values.trace)
    process.exitCode = outcome.violation === undefined ? 0 : 1
    return undefined
  }
  if (values.seed !== undefined) return runOne(wholeNumber(values.seed), profile ?? 'everything', values.trace)

  const began = stopwatch()
  const done = await runAll({
    sales: wholeNumber(values.sales), hours: wholeNumber(values.hours), workers: Math.max(1, wholeNumber(values.workers)),
    fromSeed: wholeNumber(values['from-seed']), minutes: Number(values.minutes), profiles: profile === undefined ? PROFILE_NAMES : [profile],
  })
  tell(done, stopwatch() - began)
  const bad = done.filter(({ violation }) => violation !== undefined)
  const unlike = done.filter(({ sameAgain }) => sameAgain === false)
  const short = shortcomings(done, profile === undefined && bad.length === 0)
  for (const it of unlike) console.log(`NOT REPEATABLE: ${command(it)}`)
  for (const it of short) console.log(`TOO LITTLE: ${it}`)
  for (const it of bad) console.log(`VIOLATION ${it.violation?.invariant ?? ''}: ${command(it)}`)
  console.log(bad.length + unlike.length + short.length === 0 ? '\nnothing was wrong' : '\nsomething was wrong')
  if (bad[0] !== undefined) await shrink(bad[0])
  process.exitCode = bad.length + unlike.length + short.length === 0 ? 0 : 1
  return undefined
}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new Error(`${text} is not a whole number`)
  return Number(text)
}

await main()
