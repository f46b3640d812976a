/**
 * One whole sale on one machine, with nobody touching it; or, with --serve, a bench to play with in a browser.
 * Three real processes (terminal, gateway, sandbox) and, in this one, the customer's phone and the story.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import encodeQR from 'qr'
import { type Amount, CURRENCIES, type Currency, formatAmount, parseAmount } from '../device/protocol/money.js'
import { type Country, PAYMENT_METHOD_NAMES, PAYMENT_METHODS, type PaymentMethodName, refuseAmount } from '../device/protocol/payment-method.js'
import { referenceOf } from '../device/protocol/wire.js'
import { readBack } from '../device/qr.js'
import type { Frame, PanelSize } from '../drivers/driver.js'
import { openPngPanel } from '../drivers/panel/png.js'
import { type BenchServer, createBenchServer } from './bench-page/server.js'
import { takeFolder } from './demo-folder.js'
import { createStory, ending, type StoryLine } from './story.js'
import { openWorkbench, type Workbench } from './workbench.js'

const OUTCOMES = ['paid', 'rejected', 'insufficient_fund', 'failed_processing', 'expired'] as const
type Outcome = (typeof OUTCOMES)[number]

interface Options {
  readonly amount: string
  readonly currency: Currency
  readonly method: PaymentMethodName
  readonly outcome: Outcome
  readonly out: string
  readonly serve: boolean
  readonly port: number
}

const COUNTRY: Readonly<Record<Currency, Country>> = { THB: 'TH', SGD: 'SG', MYR: 'MY' }
const SHOP: Readonly<Record<Currency, string>> = { THB: 'Baan Kafae', SGD: 'Kopi Corner', MYR: 'Kedai Kopi Sama' }
/** A 4.2 inch e-paper panel. */
const PANEL: PanelSize = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
/** Short enough to watch a code run out, long enough to see it. */
const EXPIRING_SECONDS = 12
const CODE_MS = 15_000
const ENDING_MS = 45_000

/** What the wallet answers for each ending that a customer brings about; nobody pays when it expires. */
const WALLET: Readonly<Record<Exclude<Outcome, 'expired'>, string>> = {
  paid: 'paid',
  rejected: 'payment_rejected',
  insufficient_fund: 'insufficient_fund',
  failed_processing: 'failed_processing',
}

/** The same for a reader. */
const DECISION: Readonly<Record<Exclude<Outcome, 'expired'>, string>> = {
  paid: 'the customer pays',
  rejected: 'the customer rejects it',
  insufficient_fund: 'the customer has too little money',
  failed_processing: 'the customer pays, but the bank fails',
}

async function main(options: Options): Promise<number> {
  const amount = amountOf(options)
  const folder = resolve(options.out)
  process.once('exit', takeFolderOrExit(folder))
  const teller = createTeller()
  let register: RegisterLine | undefined
  let shop: Shop | undefined
  let closing: Promise<void> | undefined
  let leaving = false
  const close = (): Promise<void> => closing ??= (async () => {
    await shop?.close()
    register?.close()
  })()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const exit = (): never => process.exit(options.serve ? 0 : 128 + constants.signals[signal])
    process.on(signal, () => {
      if (leaving) return exit() // Asked twice: at once.
      leaving = true
      void close().finally(exit)
    })
  }
  try {
    teller.raw(`Starting sandbox, gateway and terminal; their logs are in ${shown(join(folder, 'bench'))}\n`)
    register = options.serve ? await openRegisterLine(folder) : undefined
    // The hardware the terminal finds: the bench plays panel, keypad and lamps over one WebSocket.
    shop = await openShop(options, folder, register, (line) => teller.tell(line))
    await Promise.all([shop.workbench.sandbox.start(), shop.workbench.gateway.start()])
    await shop.workbench.terminal.start()
    await shop.workbench.until(({ msg }) => msg === 'link up')
    if (options.serve) return await serve(shop, register, folder)
    return await playOneSale(shop, amount, options.outcome, folder, teller)
  } catch (error) {
    if (!leaving) throw error
    return await new Promise<number>(() => undefined) // The programs end because they were asked to; so will this one.
  } finally {
    await close()
  }
}

function takeFolderOrExit(folder: string): () => void {
  try {
    return takeFolder(folder)
  } catch (error) {
    return program.error(`error: --out: ${error instanceof Error ? error.message : String(error)}`, { exitCode: 2 })
  }
}

/** Exits through commander's own error line when the method cannot charge the amount. */
function amountOf({ amount: text, currency, method }: Options): Amount {
  const amount = parseAmount(text, currency)
  if (amount === undefined) return program.error(`error: --amount "${text}" is not an amount of ${currency}; write it like 25.00`, { exitCode: 2 })
  const refusal = refuseAmount(method, amount)
  return refusal === undefined ? amount : program.error(`error: ${refusal.text} (${method})`, { exitCode: 2 })
}

interface Shop {
  readonly workbench: Workbench
  readonly bench: BenchServer
  close(): Promise<void>
}

async function openShop(options: Options, folder: string, register: RegisterLine | undefined, listen: (line: StoryLine) => void): Promise<Shop> {
  const { currency, method, outcome, serve, port } = options
  const started = { bench: undefined as BenchServer | undefined } // The story reaches the page once there is a page.
  const story = createStory()
  const workbench = await openWorkbench({
    folder: join(folder, 'bench'), country: COUNTRY[currency], currency, method, shopName: SHOP[currency],
    codeLifetimeSeconds: outcome === 'expired' ? EXPIRING_SECONDS : 120,
    profile: (benchUrl) => ({
      panel: { driver: 'bench', ...PANEL }, keypad: { driver: 'bench' }, lamps: { driver: 'bench' }, bench: { url: benchUrl },
      register: register === undefined ? { driver: 'none' } : { driver: 'line', path: register.terminalEnd, baud: 9600 },
    }),
    openBench: async (sandboxUrl) => {
      const bench = await createBenchServer({
        port: serve ? port : 0, sandboxUrl, log: pino({ level: 'silent' }), story: `${SHOP[currency]} · ${PAYMENT_METHODS[method].title} · ${currency}`,
        ...(register === undefined ? {} : { registerPath: register.shopEnd }),
      }).catch((error: unknown) => { throw portError(error, port) })
      started.bench = bench
      return bench.hardwareUrl
    },
    onRecord: (record) => {
      const line = story(record)
      if (line === undefined) return
      listen(line)
      started.bench?.timeline({ at: line.time, from: line.from, to: line.to, text: line.text, tone: line.tone })
    },
  })
  const { bench } = started
  if (bench === undefined) throw new Error('the bench did not open')
  const pictures = await openPngPanel({ directory: join(folder, 'panel'), size: PANEL })
  bench.onFrame((frame) => { void pictures.draw(frame) })
  return {
    workbench, bench,
    async close() {
      await workbench.close()
      await bench.close()
      await pictures.close()
    },
  }
}

function portError(error: unknown, port: number): unknown {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'EADDRINUSE') return error
  return new Error(`port ${port} of the bench page is in use; choose another with --port, or 0 for any`, { cause: error })
}

// -- One sale, by itself ---------------------------------------------------------------------------------------------

async function playOneSale({ workbench, bench }: Shop, amount: Amount, outcome: Outcome, folder: string, teller: Teller): Promise<number> {
  const code = nextCode(bench)
  teller.say('Cashier', 'Terminal', `keys ${amount.minor} and OK: ${formatAmount(amount)}`)
  for (const digit of String(amount.minor)) bench.press({ type: 'digit pressed', digit })
  bench.press({ type: 'enter pressed' })

  const payload = await code
  await workbench.until(({ msg }) => msg === 'code shown')
  teller.raw(`\n${asText(payload)}\n`)

  if (outcome === 'expired') {
    teller.say('Customer', 'Panel', `does not pay; the code may be paid for ${EXPIRING_SECONDS} s`)
  } else {
    teller.say('Customer', 'Panel', 'points a phone at the panel\'s pixels and reads the code')
    const bill = await post(workbench, 'scan', { payload })
    teller.say('Customer', 'Omise sandbox', `wallet shows ${String(bill['merchant'])}, ${formatAmount(amount)}; ${DECISION[outcome]}`)
    await post(workbench, 'pay', { payload, outcome: WALLET[outcome] })
  }

  const ended = await workbench.until(({ msg }) => msg === 'sale ended', ENDING_MS)
  await pause(500) // The last picture and the last lines.
  const { sale, charge } = ended.fields
  teller.raw(`\nPictures of the panel in ${shown(join(folder, 'panel'))}, logs in ${shown(join(folder, 'bench'))}`)
  teller.raw(`RECEIPT  ${formatAmount(amount)}  ${ending(ended.fields)}  ref ${referenceOf(String(sale))}  charge ${String(charge)}  sale ${String(sale)}`)
  return ending(ended.fields) === expectedEnding(outcome) ? 0 : 1
}

function expectedEnding(outcome: Outcome): string {
  switch (outcome) {
    case 'paid':     return 'PAID'
    case 'expired':  return 'NOT PAID (expired)'
    case 'rejected': return 'NOT PAID (payment_rejected)'
    case 'insufficient_fund':
    case 'failed_processing':
      return `NOT PAID (${outcome})`
  }
}

/** Watches the panel as a phone would, until a code can be read in its pixels. */
function nextCode(bench: BenchServer): Promise<string> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no code on the panel after ${CODE_MS} ms`)), CODE_MS)
    const stop = bench.onFrame((frame: Frame) => {
      readBack(frame).then((payload) => {
        if (payload === undefined) return
        clearTimeout(late)
        stop()
        resolve(payload)
      }, reject)
    })
  })
}

async function post({ sandboxUrl }: Workbench, what: 'scan' | 'pay', body: object): Promise<Record<string, unknown>> {
  const response = await fetch(`${sandboxUrl}/sandbox/wallet/${what}`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal: AbortSignal.timeout(5_000),
  })
  if (!response.ok) throw new Error(`the wallet answered ${response.status}: ${await response.text()}`)
  return await response.json() as Record<string, unknown> // The sandbox answers with objects only.
}

/** Half blocks, light on dark, so that a phone reads it off most terminal windows. */
const asText = (payload: string): string => encodeQR(payload, 'ascii', { ecc: 'medium', border: 2 }).trimEnd()

// -- The bench ---------------------------------------------------------------------------------------------------------

async function serve({ bench }: Shop, register: RegisterLine | undefined, folder: string): Promise<number> {
  process.stdout.write(`
The bench is open:  ${bench.url}
${register === undefined ? '' : `A register may speak to ${register.shopEnd}  (150.00 CR LF)\n`}Pictures of the panel in ${shown(join(folder, 'panel'))}. Ctrl-C ends it.\n\n`)
  return new Promise<number>(() => undefined) // Until a signal ends it.
}

interface RegisterLine {
  readonly terminalEnd: string
  readonly shopEnd: string
  close(): void
}

/** A pair of ptys: the terminal opens one end, any program may open the other. Undefined where socat is not installed. */
async function openRegisterLine(folder: string): Promise<RegisterLine | undefined> {
  const terminalEnd = join(folder, 'register-of-terminal'), shopEnd = join(folder, 'register')
  const socat = spawn('socat', [`pty,raw,echo=0,link=${terminalEnd}`, `pty,raw,echo=0,link=${shopEnd}`], { stdio: 'ignore' })
  process.once('exit', () => socat.kill()) // However this process ends.
  const missing = new Promise<true>((resolve) => socat.once('error', () => resolve(true)))
  for (let tries = 0; tries < 50; tries++) {
    if (existsSync(terminalEnd) && existsSync(shopEnd)) return { terminalEnd, shopEnd, close: () => { socat.kill() } }
    if (await Promise.race([missing, pause(100, false)])) return undefined
  }
  socat.kill()
  return undefined
}

// -- The story ---------------------------------------------------------------------------------------------------------

interface Teller {
  tell(line: StoryLine): void
  say(from: StoryLine['from'], to: StoryLine['to'], text: string): void
  raw(text: string): void
}

function createTeller(): Teller {
  const startedAt = Date.now()
  const colour = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
  const paint = (code: number, text: string): string => (colour ? `\u001b[${code}m${text}\u001b[0m` : text)
  const tones = { plain: 0, money: 32, warning: 33 }
  const line = ({ time, from, to, text, tone }: StoryLine): void => {
    const seconds = ((time - startedAt) / 1_000).toFixed(3).padStart(7)
    const who = from === to ? from : `${from} -> ${to}`
    process.stdout.write(`${paint(2, `${seconds} s`)}  ${who.padEnd(26)}  ${paint(tones[tone], text)}\n`)
  }
  return {
    tell: line,
    say: (from, to, text) => line({ time: Date.now(), from, to, text, tone: 'plain' }),
    raw: (text) => { process.stdout.write(`${text}\n`) },
  }
}

/** As a person would type it from here. */
const shown = (path: string): string => {
  const near = relative('.', path)
  return near.startsWith('..') ? path : near
}

const folderName = (text: string): string => {
  if (text === '') throw new InvalidArgumentError('It needs a name.')
  return text
}

const portNumber = (text: string): number => {
  const port = Number(text)
  if (!/^[0-9]{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError('It must be 0 to 65535.')
  return port
}

const program = new Command('scripts/demo.sh')
  .description('Plays one whole sale on this machine, or opens a bench to play with.')
  .option('--amount <amount>', 'what the customer is asked for', '25.00')
  .addOption(new Option('--currency <code>', 'and in what').choices(CURRENCIES).default('THB'))
  .addOption(new Option('--method <name>', 'payment method').choices(PAYMENT_METHOD_NAMES).default('alipayplus_mpm'))
  .addOption(new Option('--outcome <ending>', 'how the sale ends').choices(OUTCOMES).default('paid'))
  .option('--out <folder>', 'where pictures, logs and databases go; emptied first', folderName, 'out/demo')
  .addOption(new Option('--serve', 'keep the bench open in a browser instead').default(false).conflicts(['amount', 'outcome']))
  .option('--port <number>', 'port of the bench page', portNumber, 8100)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))

program.parse()
// Nobody reads the story any more, or its disk is full. The exit ends the programs of the bench too.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') process.stderr.write(`demo: the story cannot be written: ${error.message}\n`)
  process.exit(1)
})
try {
  process.exitCode = await main(program.opts<Options>())
} catch (error) {
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
