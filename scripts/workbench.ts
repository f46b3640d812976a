/**
 * A whole shop on one machine: sandbox, gateway and terminal as three real processes in one folder, each of which can
 * be killed and started again. The demo, the tests and the measurements all stand on it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { enrol } from '../cloud/enrol.js'
import { openStore } from '../cloud/store.js'
import type { Currency } from '../device/protocol/money.js'
import type { Country, PaymentMethodName } from '../device/protocol/payment-method.js'
import { mintKey, publicPart } from '../device/protocol/seal.js'
import type { ProfileFile } from '../firmware-config/schema.js'

export interface WorkbenchOptions {
  /** An empty folder: configuration, databases, keys and logs go there. */
  readonly folder: string
  readonly country: Country
  readonly currency: Currency
  readonly method: PaymentMethodName
  readonly shopName: string
  /** The box; a bench that plays its hardware is opened first, if there is one. */
  readonly profile: (benchUrl: string) => ProfileFile
  readonly openBench?: (sandboxUrl: string) => Promise<string>
  /** 10..3600 */
  readonly codeLifetimeSeconds?: number
  readonly pollSeconds?: number
  /** 'external' leaves the broker to `externalBroker`. */
  readonly externalBroker?: { readonly url: string; readonly gatewayUser: string; readonly gatewayPassword: string }
  /** name=value of cloud/sandbox/switches.ts */
  readonly sandboxSwitches?: readonly string[]
  /** The compiled tree; by default the one this module is part of. */
  readonly dist?: URL
  readonly onRecord?: (record: LogRecord) => void
}

/** One line of a program's log. */
export interface LogRecord {
  readonly program: ProgramName
  readonly time: number
  readonly msg: string
  readonly fields: Readonly<Record<string, unknown>>
}

export type ProgramName = 'sandbox' | 'gateway' | 'terminal'

export interface Program {
  readonly name: ProgramName
  readonly records: readonly LogRecord[]
  /** Resolves when the program says that it is ready; rejects when it ends before, or after 20 s. */
  start(): Promise<void>
  /** Resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Its standard input, for a keypad. */
  type(keys: string): void
  pid(): number | undefined
}

export interface Workbench {
  readonly sandbox: Program
  readonly gateway: Program
  readonly terminal: Program
  readonly sandboxUrl: string
  readonly webhookUrl: string
  readonly brokerPort: number
  readonly secretKey: string
  readonly identityFile: string
  readonly gatewayDatabase: string
  /** Resolves with the first record, past or to come, that matches; rejects after timeoutMs. */
  until(matches: (record: LogRecord) => boolean, timeoutMs?: number): Promise<LogRecord>
  close(): Promise<void>
}

const READY_MS = 20_000
const RECORDS_MAX = 100_000
const SECRET_KEY = 'skey_test_sandbox'
const READY = { sandbox: 'sandbox ready', gateway: 'gateway ready', terminal: 'terminal ready' } as const

export async function openWorkbench(options: WorkbenchOptions): Promise<Workbench> {
  const { folder, externalBroker, dist = new URL('../', import.meta.url) } = options
  mkdirSync(folder, { recursive: true })
  const [sandboxPort = 0, httpPort = 0, brokerPort = 0] = await freePorts(3)
  const at = (name: string): string => join(folder, name)
  const webhookSecret = randomBytes(32).toString('base64')
  const webhookUrl = `http://127.0.0.1:${httpPort}/webhooks/omise`
  const sandboxUrl = `http://127.0.0.1:${sandboxPort}`

  const sealKey = await mintKey('gateway-1')
  secretFile(at('secret-key'), SECRET_KEY)
  secretFile(at('webhook-secret'), webhookSecret)
  secretFile(at('broker-password'), externalBroker?.gatewayPassword ?? 'none')
  secretFile(at('seal-key.json'), JSON.stringify(sealKey))
  write(at('gateway.json'), {
    http: { port: httpPort },
    broker: externalBroker === undefined ? { kind: 'embedded', port: brokerPort }
      : { kind: 'external', url: externalBroker.url, username: externalBroker.gatewayUser, passwordFile: 'broker-password' },
    omise: { apiUrl: sandboxUrl, secretKeyFile: 'secret-key', webhookSecretFiles: ['webhook-secret'] },
    sale: { codeLifetimeSeconds: options.codeLifetimeSeconds ?? 120, leaseGraceSeconds: 5, pollSeconds: options.pollSeconds ?? 5 },
  })
  const store = await openStore(at('gateway.sqlite'))
  await enrol(store, {
    terminal: 'counter-1', brokerUrl: externalBroker?.url ?? `mqtt://127.0.0.1:${brokerPort}`, gatewayKey: publicPart(sealKey),
    identityFile: at('identity.json'), at: Date.now(),
  })
  await store.close()

  const { country, currency, method, shopName } = options
  write(at('site.json'), { shopName, country, currency, method })
  write(at('profile.json'), options.profile(await options.openBench?.(sandboxUrl) ?? ''))
  write(at('terminal.json'), { profile: './profile.json', site: './site.json', identity: './identity.json' })

  const watch = createWatch(options.onRecord)
  const program = (name: ProgramName, module: string, args: readonly string[]): Program =>
    createProgram(name, fileURLToPath(new URL(module, dist)), args, at(`${name}.log`), watch.note)
  const switches = (options.sandboxSwitches ?? []).flatMap((text) => ['--switch', text])
  const sandbox = program('sandbox', 'cloud/sandbox/main.js', [
    '--port', String(sandboxPort), '--country', country, '--state', at('sandbox.sqlite'), '--secret-key', SECRET_KEY,
    '--merchant', shopName, '--webhook', webhookUrl, '--webhook-secret', webhookSecret, '--json-log', ...switches,
  ])
  const gateway = program('gateway', 'cloud/main.js', ['run', '--config', at('gateway.json')])
  const terminal = program('terminal', 'device/main.js', ['run', '--config', at('terminal.json')])

  return {
    sandbox, gateway, terminal, sandboxUrl, webhookUrl, brokerPort, secretKey: SECRET_KEY,
    identityFile: at('identity.json'), gatewayDatabase: at('gateway.sqlite'),
    until: watch.until,
    async close() {
      await terminal.kill('SIGTERM')
      await Promise.all([gateway.kill('SIGTERM'), sandbox.kill('SIGTERM')])
    },
  }
}

/**
 * However this process ends, by an error or by process.exit, it leaves no program running. SIGKILL, since a program that
 * is asked to end while the reader of its log goes away may try for ever to write its last line.
 */
const alive = new Set<ChildProcess>()
process.on('exit', () => { for (const child of alive) child.kill('SIGKILL') })

function createProgram(
  name: ProgramName, module: string, args: readonly string[], logFile: string, note: (record: LogRecord) => void,
): Program {
  const records: LogRecord[] = []
  let child: ChildProcess | undefined
  let gone: Promise<void> = Promise.resolve()

  return {
    name,
    records,
    start() {
      const started = spawn(process.execPath, [module, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
      child = started
      alive.add(started)
      started.once('exit', () => { alive.delete(started) })
      gone = new Promise((resolve) => started.once('exit', () => resolve()))
      const file = createWriteStream(logFile, { flags: 'a' })
      started.stdout.pipe(file)
      let complaint = ''
      started.stderr.on('data', (chunk: Buffer) => { complaint = (complaint + chunk.toString()).slice(-2_000) })
      started.stdin.on('error', () => undefined) // Keys typed to a program that was just killed.

      return new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error(`${name} was not ready after ${READY_MS} ms, see ${logFile}`)), READY_MS)
        started.once('exit', (code, signal) => {
          clearTimeout(late)
          reject(new Error(`${name} ended (${signal ?? code}): ${complaint}`))
        })
        createInterface(started.stdout).on('line', (line) => {
          const record = readRecord(name, line)
          if (record === undefined) return
          if (records.length < RECORDS_MAX) records.push(record)
          note(record)
          if (record.msg === READY[name]) {
            clearTimeout(late)
            resolve()
          }
        })
      })
    },
    async kill(signal = 'SIGKILL') {
      child?.kill(signal)
      await gone
      child = undefined
    },
    type: (keys) => { child?.stdin?.write(keys) },
    pid: () => child?.pid,
  }
}

interface Watch {
  note(record: LogRecord): void
  until(matches: (record: LogRecord) => boolean, timeoutMs?: number): Promise<LogRecord>
}

function createWatch(onRecord: ((record: LogRecord) => void) | undefined): Watch {
  const seen: LogRecord[] = []
  const waiting = new Set<(record: LogRecord) => void>()
  return {
    note(record) {
      if (seen.length < RECORDS_MAX) seen.push(record)
      onRecord?.(record)
      for (const look of waiting) look(record)
    },
    until(matches, timeoutMs = 30_000) {
      const past = seen.find(matches)
      if (past !== undefined) return Promise.resolve(past)
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          waiting.delete(look)
          const last = seen.slice(-5).map(({ program, msg }) => `${program}: ${msg}`).join(', ')
          reject(new Error(`what was waited for did not happen in ${timeoutMs} ms; last: ${last}`))
        }, timeoutMs)
        const look = (record: LogRecord): void => {
          if (!matches(record)) return
          clearTimeout(late)
          waiting.delete(look)
          resolve(record)
        }
        waiting.add(look)
      })
    },
  }
}

function readRecord(program: ProgramName, line: string): LogRecord | undefined {
  try {
    const json: unknown = JSON.parse(line)
    if (!(json instanceof Object) || !('msg' in json) || !('time' in json)) return undefined
    const { time, msg, ...fields } = json
    return { program, time: Number(time), msg: String(msg), fields }
  } catch {
    return undefined // Not a log line.
  }
}

export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening'))) // All at once, so that no two are the same.
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

const write = (file: string, value: unknown): void => { writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`) }
const secretFile = (file: string, text: string): void => { writeFileSync(file, `${text}\n`, { mode: 0o600 }) }
