/**
 * npm run bench: the whole path, measured through the hardware's end, each median beside the floor of this machine taken
 * in the same run, turn and turn about. Also the terminal's memory after many sales, and its processor time to be ready.
 */
import { Command, InvalidArgumentError } from 'commander'
import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startStopwatch, type Stopwatch } from './stopwatch.js'
import { freePorts, openWorkbench, type Workbench } from './workbench.js'

interface Path {
  readonly stopwatch: Stopwatch
  readonly webhookUrl: string
  /** Ends when it takes the keys of the next sale. */
  beReady(): Promise<void>
  /** How long after an ending the next customer waits. */
  readonly restMs: number
}

interface Times {
  /** Amount entered -> code, verified, at the panel. */
  readonly code: number[]
  /** Webhook sent -> lamps. */
  readonly lamps: number[]
}

/** Sales before the clock counts: a terminal is started once a year and sells all day. */
const WARM_ROUNDS = 20

async function main({ rounds, sales }: { rounds: number; sales: number }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-bench-'))
  const stopwatch = await startStopwatch(), floorWatch = await startStopwatch()
  const workbench = await openWorkbench({
    folder, country: 'TH', currency: 'THB', method: 'alipayplus_mpm', shopName: 'Baan Kafae', pollSeconds: 60,
    sandboxSwitches: ['webhooks=lose'], // The measurement sends them itself.
    profile: () => ({
      panel: { driver: 'bench', widthPx: 400, heightPx: 300, pitchMm: 0.212 },
      keypad: { driver: 'bench' }, register: { driver: 'none' }, lamps: { driver: 'bench' }, bench: { url: stopwatch.url },
    }),
  })
  const floor: ChildProcess[] = []
  try {
    await Promise.all([workbench.sandbox.start(), workbench.gateway.start()])
    const cost = await startTerminal(workbench, stopwatch)
    const secret = Buffer.from(readFileSync(join(folder, 'webhook-secret'), 'utf8'), 'base64')
    const bare = await startFloor(workbench, floorWatch, folder, floor)
    const ours: Path = { stopwatch, webhookUrl: workbench.webhookUrl, beReady: () => clearAway(stopwatch), restMs: 60 }

    const warm: Times = { code: [], lamps: [] }, mine: Times = { code: [], lamps: [] }, least: Times = { code: [], lamps: [] }
    for (let round = 0; round < WARM_ROUNDS; round++) for (const path of [ours, bare]) await playSale(path, workbench, secret, warm)
    for (let round = 0; round < rounds; round++) {
      await playSale(ours, workbench, secret, mine)
      await playSale(bare, workbench, secret, least)
    }
    reportTimes(mine, least, rounds)
    const before = memoryOf(workbench)
    for (let sale = rounds + WARM_ROUNDS; sale < sales; sale++) await playSale(ours, workbench, secret, warm)
    reportTerminal({ cost, before, after: memoryOf(workbench), rounds, sales: Math.max(sales, rounds + WARM_ROUNDS) })
  } finally {
    for (const child of floor) child.kill()
    await workbench.close()
    await Promise.all([stopwatch.close(), floorWatch.close()])
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Keys, OK, code; the customer pays; the webhook; the lamps. */
async function playSale(path: Path, { sandboxUrl }: Workbench, secret: Buffer, times: Times): Promise<void> {
  const { stopwatch, webhookUrl, beReady, restMs } = path
  await beReady()
  for (const digit of '2500') stopwatch.press({ type: 'digit pressed', digit })
  await pause(restMs) // The amount stands on the panel.
  const code = stopwatch.nextCode()
  const enteredAt = performance.now()
  stopwatch.press({ type: 'enter pressed' })
  const { at: shownAt, payload } = await code
  times.code.push(shownAt - enteredAt)

  const paid = await fetch(`${sandboxUrl}/sandbox/wallet/pay`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ payload, outcome: 'paid' }),
  })
  const { charge } = await paid.json() as { charge: string } // Our own sandbox's answer.
  await pause(restMs)
  const webhook = signedWebhook(charge, secret)
  const lit = stopwatch.nextLamps('paid')
  const sentAt = performance.now()
  const heard = await fetch(webhookUrl, webhook)
  if (!heard.ok) throw new Error(`the webhook was answered ${heard.status}`)
  times.lamps.push(await lit - sentAt)
  await pause(restMs)
}

/** The last sale's end is cleared away as staff do it. A digit typed before that end was told would be dropped, with its sale. */
async function clearAway(stopwatch: Stopwatch): Promise<void> {
  for (let waitedMs = 0; stopwatch.lampsNow() !== 'ready'; waitedMs += CLEAR_EVERY_MS) {
    if (waitedMs >= READY_MS) throw new Error(`the terminal is not ready for a sale: its lamps show ${stopwatch.lampsNow() ?? 'nothing'}`)
    stopwatch.press({ type: 'clear pressed' })
    await pause(CLEAR_EVERY_MS)
  }
}

const CLEAR_EVERY_MS = 20
const READY_MS = 30_000

function signedWebhook(charge: string, secret: Buffer): RequestInit {
  const data = { object: 'charge', id: charge, livemode: false }
  const body = JSON.stringify({ object: 'event', id: `evnt_test_${charge.slice(10)}`, livemode: false, key: 'charge.complete', data })
  const timestamp = String(Math.floor(Date.now() / 1_000))
  const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  const headers = { 'content-type': 'application/json', 'omise-signature': signature, 'omise-signature-timestamp': timestamp }
  return { method: 'POST', body, headers }
}

async function startFloor(
  { sandboxUrl, secretKey }: Workbench, stopwatch: Stopwatch, folder: string, children: ChildProcess[],
): Promise<Path> {
  const [brokerPort = 0, httpPort = 0] = await freePorts(2)
  const module = fileURLToPath(new URL('./measure-floor.js', import.meta.url))
  const start = (args: readonly string[]): Promise<void> => new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [module, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    children.push(child)
    child.stdout.once('data', () => resolve())
    child.once('exit', (code) => reject(new Error(`the floor ended (${code})`)))
  })
  await start(['gateway', String(brokerPort), String(httpPort), sandboxUrl, secretKey, folder])
  await start(['terminal', String(brokerPort), stopwatch.url, folder])
  return { stopwatch, webhookUrl: `http://127.0.0.1:${httpPort}/`, beReady: () => Promise.resolve(), restMs: 60 }
}

interface StartCost {
  readonly picture: number
  readonly ready: number
}

/** Processor milliseconds the terminal has used when its first picture arrives, and when it can sell. */
async function startTerminal({ terminal, until }: Workbench, stopwatch: Stopwatch): Promise<StartCost> {
  const first = stopwatch.firstPicture()
  const started = terminal.start()
  await first
  const picture = processorMs(terminal.pid())
  await started
  await until(({ msg }) => msg === 'link up')
  return { picture, ready: processorMs(terminal.pid()) }
}

/** utime and stime of /proc/<pid>/stat, proc(5), in ticks of 10 ms. */
function processorMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /, '').split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

/** Resident memory of the terminal, in MB. */
function memoryOf({ terminal }: Workbench): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${terminal.pid()}/status`, 'latin1'))
  return Number(line?.[1] ?? NaN) / 1_024
}

interface Rest {
  readonly cost: StartCost
  readonly before: number
  readonly after: number
  readonly rounds: number
  readonly sales: number
}

function reportTimes(mine: Times, least: Times, rounds: number): void {
  const cells = (...numbers: readonly string[]): string => numbers.map((text) => text.padStart(9)).join('')
  const row = (what: string, ours: number, floor: number): string =>
    what.padEnd(44) + cells(ours.toFixed(1), floor.toFixed(1), (ours / floor).toFixed(2))
  process.stdout.write(`
Medians of ${rounds} sales, ours and the floor in turn, on ${cpus().length} processors (load ${loadavg()[0]?.toFixed(1)})

${'milliseconds'.padEnd(44)}${cells('ours', 'floor', 'ratio')}
${row('amount entered -> code verified on the panel', median(mine.code), median(least.code))}
${row('webhook -> lamps', median(mine.lamps), median(least.lamps))}
`)
}

function reportTerminal({ cost, before, after, rounds, sales }: Rest): void {
  process.stdout.write(`
terminal, processor time to its first picture   ${cost.picture} ms, to ready with its link up ${cost.ready} ms
terminal, memory                                ${before.toFixed(0)} MB after ${rounds + WARM_ROUNDS} sales, ${after.toFixed(0)} MB after ${sales}
`)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] ?? NaN : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

const count = (text: string): number => {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1 || number > 100_000) throw new InvalidArgumentError('1 to 100000')
  return number
}

const program = new Command('npm run bench --')
  .option('--rounds <count>', 'sales measured', count, 50)
  .option('--sales <count>', 'sales until memory is read again', count, 1_000)
program.parse()
await main(program.opts())
