/**
 * A shop for the tests: the three real processes in a folder of their own, a customer whose phone reads the PNG on the
 * panel, and an auditor who asks the payment API, the ledger and the terminal the same question.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader'
import { type Posted, replay } from '../../cloud/ledger.js'
import { readStore } from '../../cloud/store.js'
import type { ProfileFile } from '../../firmware-config/schema.js'
import { type LogRecord, openWorkbench, type Workbench, type WorkbenchOptions } from '../../scripts/workbench.js'

export const DIST = new URL('../../dist/', import.meta.url)

export interface Shop extends Workbench {
  readonly folder: string
  readonly records: readonly LogRecord[]
  /** Starts all three and waits for the link. */
  open(): Promise<void>
  /** What a phone reads off the panel now; undefined when there is no code. */
  look(): Promise<string | undefined>
  /** Resolves when the panel has no code any more. */
  codeGone(): Promise<void>
  /** Waits for a code and pays it, or answers something else; resolves with the charge. */
  pay(outcome?: string): Promise<string>
  wallet(what: 'scan' | 'pay', body: object): Promise<Record<string, unknown>>
  /** Changes the sandbox's behaviour while it runs. */
  turn(switches: Record<string, unknown>): Promise<void>
  charges(): Promise<readonly ApiCharge[]>
  audit(): Promise<Audit>
  /** A file of the shop's folder, as text. */
  read(file: string): string
}

export interface ApiCharge {
  readonly id: string
  readonly status: string
  readonly amount: number
  readonly metadata: Readonly<Record<string, string>>
}

/** What each party believes, by sale. */
export interface Audit {
  readonly bank: readonly { readonly sale: string; readonly status: string }[]
  readonly ledger: readonly { readonly sale: string; readonly key: string }[]
  readonly terminal: readonly { readonly sale: string; readonly outcome: string; readonly reason: string }[]
}

// The phone is not the terminal: it looks for a code anywhere, at any angle, in whatever picture it gets.
const wasm = readFileSync(new URL('../../node_modules/zxing-wasm/dist/reader/zxing_reader.wasm', import.meta.url))
prepareZXingModule({ overrides: { wasmBinary: wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength) as ArrayBuffer } })

export const PANEL = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }

export async function createShop(options: Partial<WorkbenchOptions> & { register?: string } = {}): Promise<Shop> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-shop-'))
  const records: LogRecord[] = []
  const { register } = options
  const profile = (): ProfileFile => ({
    panel: { driver: 'png', directory: 'panel', ...PANEL }, keypad: { driver: 'stdin' }, lamps: { driver: 'log' },
    register: register === undefined ? { driver: 'none' } : { driver: 'line', path: register, baud: 9600 },
  })
  const bench = await openWorkbench({
    folder, country: 'TH', currency: 'THB', method: 'alipayplus_mpm', shopName: 'Baan Kafae', profile, dist: DIST, pollSeconds: 1,
    ...options,
    onRecord: (record) => { records.push(record) },
  })

  const wallet: Shop['wallet'] = async (what, body) => {
    const response = await fetch(`${bench.sandboxUrl}/sandbox/wallet/${what}`, {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`the wallet answered ${response.status}: ${await response.text()}`)
    return await response.json() as Record<string, unknown>
  }
  const look: Shop['look'] = async () => {
    const file = join(folder, 'panel', 'latest.png')
    if (!existsSync(file)) return undefined
    const [code] = await readBarcodes(readFileSync(file), { formats: ['QRCode'] })
    return code?.text
  }
  const charges: Shop['charges'] = async () => {
    const response = await fetch(`${bench.sandboxUrl}/charges?limit=100&from=2000-01-01T00:00:00Z`, {
      headers: { authorization: `Basic ${Buffer.from(`${bench.secretKey}:`).toString('base64')}` },
    })
    return (await response.json() as { data: ApiCharge[] }).data
  }

  return {
    ...bench, folder, records, wallet, look, charges,
    async open() {
      await Promise.all([bench.sandbox.start(), bench.gateway.start()])
      await bench.terminal.start()
      await bench.until(({ msg }) => msg === 'link up')
    },
    async pay(outcome = 'paid') {
      for (let tries = 0; tries < 300; tries++) {
        const payload = await look()
        if (payload !== undefined) return String((await wallet('pay', { payload, outcome }))['charge'])
        await pause(100)
      }
      throw new Error('no code came onto the panel in 30 s')
    },
    async codeGone() {
      for (let tries = 0; tries < 300; tries++) {
        if (await look() === undefined) return
        await pause(100)
      }
      throw new Error('the code stayed on the panel for 30 s')
    },
    async turn(switches) {
      const response = await fetch(`${bench.sandboxUrl}/sandbox/switches`, {
        method: 'PATCH', headers: { 'content-type': 'application/json' }, body: JSON.stringify(switches),
      })
      if (!response.ok) throw new Error(await response.text())
    },
    async audit() {
      const ledger = await readLedger(bench.gatewayDatabase)
      const bank = (await charges()).map(({ status, metadata }) => ({ sale: metadata['plinth_sale'] ?? '', status }))
      const ended = records.filter(({ msg }) => msg === 'sale ended')
      return {
        bank,
        ledger: ledger.map(({ sale, key }) => ({ sale, key })),
        terminal: ended.map(({ fields }) => ({ sale: String(fields['sale']), ...(fields['ending'] as { outcome: string; reason: string }) })),
      }
    },
    read: (file) => readFileSync(join(folder, file), 'latin1'),
    async close() {
      await bench.close()
      if (process.env['KEEP_SHOPS'] === undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Every entry, after the chain was followed and the balances were compared with it; the gateway may be at work meanwhile. */
async function readLedger(database: string): Promise<readonly Posted[]> {
  const books = await readStore(database)
  try {
    return await books.together(async () => {
      const entries: Posted[] = []
      for await (const entry of books.entries()) entries.push(entry)
      const replayed = await replay(entries)
      if (!replayed.ok) throw new Error(`the ledger is broken: entry ${replayed.seq} ${replayed.fault}`)
      const [sums, balances] = [replayed.balances, await books.balances()].map((all) => JSON.stringify(all))
      if (sums !== balances) throw new Error(`the ledger's entries sum to ${sums}, its balances are ${balances}`)
      return entries
    })
  } finally {
    await books.close()
  }
}

/** As impatient as customers are: whatever code can be read off the panel is paid, once. */
export function payWheneverACodeIsShown(shop: Shop): { leave(): void } {
  const left = new AbortController()
  const visit = async (): Promise<void> => {
    while (!left.signal.aborted) {
      const payload = await shop.look().catch(() => undefined) // A picture that is just being replaced.
      if (payload !== undefined) {
        try {
          await shop.wallet('pay', { payload, outcome: 'paid' })
          return
        } catch (error) {
          if (error instanceof Error && error.message.includes('409')) return // Closed or paid already.
        }
      }
      await pause(50)
    }
  }
  void visit()
  return { leave: () => { left.abort() } }
}

/** Every byte that any of the three ever wrote: logs, databases, journals, pictures. */
export function everythingWritten(folder: string, except: readonly string[]): Map<string, Buffer> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(files.filter(({ name }) => !except.includes(name)).map((entry) => {
    const file = join(entry.parentPath, entry.name)
    return [file, readFileSync(file)]
  }))
}

export interface PtyPair {
  readonly terminalEnd: string
  readonly registerEnd: string
  close(): void
}

/** Two ends of a real line, made by socat. */
export async function openPtyPair(): Promise<PtyPair> {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-pty-'))
  const terminalEnd = join(folder, 'terminal'), registerEnd = join(folder, 'register')
  const socat: ChildProcess = spawn('socat', [`pty,raw,echo=0,link=${terminalEnd}`, `pty,raw,echo=0,link=${registerEnd}`], { stdio: 'ignore' })
  socat.on('error', () => undefined)
  for (let tries = 0; tries < 100 && !existsSync(registerEnd); tries++) await pause(50)
  if (!existsSync(registerEnd)) throw new Error(`socat made no pty pair (${execFileSync('which', ['socat']).toString().trim()})`)
  return {
    terminalEnd, registerEnd,
    close: () => {
      socat.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
