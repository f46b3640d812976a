/**
 * A shop of real programs in one folder: sandbox, gateway, terminals, and a Mosquitto if wanted. Each can be started,
 * started under a tracer, killed, and started again; what it logged over all its lives is kept. Nothing here knows what
 * should happen: that is in audit.ts.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { prepareZXingModule, readBarcodes, type ReaderOptions } from 'zxing-wasm/reader'
import { enrol } from '../../cloud/enrol.js'
import { openStore } from '../../cloud/store.js'
import { mintKey, type PrivateKeyJson, publicPart } from '../../device/protocol/seal.js'
import type { Identity, ProfileFile } from '../../firmware-config/schema.js'
import { freePorts } from '../../scripts/workbench.js'
import { type Mosquitto, prepareMosquitto } from '../interop/mosquitto.js'
import type { BankCharge, Facts, LedgerEntry } from './audit.js'
import { createProgram, DIST, type Program } from './program.js'

export interface PremisesOptions {
  readonly folder: string
  readonly terminals: number
  /** The line of the register at a terminal, if it has one. */
  readonly registerOf?: (terminal: number) => string | undefined
  readonly broker: 'embedded' | 'mosquitto'
  /** name=value of cloud/sandbox/switches.ts */
  readonly sandboxSwitches?: readonly string[]
  /** 10..3600 */
  readonly codeLifetimeSeconds: number
  /** Where the gateway's database is; by default in `folder`. */
  readonly databaseFolder?: string
  /** Where a terminal's journal is; by default in its own folder. */
  readonly journalFolderOf?: (terminal: number) => string
}

export interface Premises {
  readonly folder: string
  readonly sandbox: Program
  readonly gateway: Program
  readonly terminals: readonly Terminal[]
  readonly mosquitto: Mosquitto | undefined
  readonly databaseFile: string
  /** Resolves with the HTTP status of the bank's answer; `outcome` is 'paid' or a failure code. */
  pay(payload: string, outcome: string): Promise<number>
  charges(): Promise<readonly BankCharge[]>
  /** Only while the gateway is not running. */
  books(): Promise<Pick<Facts, 'entries' | 'open' | 'exceptions'>>
  /** What `plinth-gateway ledger verify` complains of, if anything. */
  verifyLedger(): Promise<string | undefined>
  /** SIGKILL for all. */
  close(): Promise<void>
}

export interface Terminal {
  readonly name: string
  readonly program: Program
  readonly journalFolder: string
  readonly journalFile: string
  /** What a phone reads off the panel now. */
  look(): Promise<string | undefined>
}

const GATEWAY = 'cloud/main.js'
const GATEWAY_USER = 'plinth-gateway'
const SECRET_KEY = 'skey_test_sandbox'
const SHOP_NAME = 'Baan Kafae'
const PANEL = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }

const wasm = readFileSync(new URL('../node_modules/zxing-wasm/dist/reader/zxing_reader.wasm', DIST))
prepareZXingModule({ overrides: { wasmBinary: new Uint8Array(wasm).buffer } })

export async function openPremises(options: PremisesOptions): Promise<Premises> {
  const { folder, databaseFolder = folder } = options
  mkdirSync(folder, { recursive: true })
  const at: At = (...names) => join(folder, ...names)
  const [sandboxPort = 0, httpPort = 0, brokerPort = 0] = await freePorts(3)
  const address: Address = {
    sandboxUrl: `http://127.0.0.1:${sandboxPort}`, httpPort, brokerPort, databaseFile: join(databaseFolder, 'gateway.sqlite'),
  }
  const secrets = await keepSecrets(at)
  const names = Array.from({ length: options.terminals }, (_, index) => `counter-${index + 1}`)
  await enrolAll(names, at, address, secrets)
  const mosquitto = options.broker === 'mosquitto' ? await mosquittoFor(names, at, secrets) : undefined
  write(at('gateway.json'), gatewaySettings(address, mosquitto, options.codeLifetimeSeconds))

  const terminals = names.map((name, index) =>
    terminalIn(at(name), name, options.journalFolderOf?.(index) ?? at(name, 'journal'), options.registerOf?.(index)))
  const sandbox = createProgram('sandbox', 'cloud/sandbox/main.js', [
    '--port', String(sandboxPort), '--country', 'TH', '--merchant', SHOP_NAME, '--state', at('sandbox.sqlite'),
    '--secret-key', SECRET_KEY, '--webhook', `http://127.0.0.1:${httpPort}/webhooks/omise`, '--webhook-secret', secrets.webhook,
    '--json-log', ...(options.sandboxSwitches ?? []).flatMap((text) => ['--switch', text]),
  ], at('sandbox.log'))
  const gatewayConfig = ['--config', at('gateway.json')]
  const gateway = createProgram('gateway', GATEWAY, ['run', ...gatewayConfig], at('gateway.log'))
  const verify = createProgram('verify', GATEWAY, ['ledger', 'verify', ...gatewayConfig], at('verify.log'))

  return {
    folder, sandbox, gateway, terminals, mosquitto,
    databaseFile: address.databaseFile,
    pay: (payload, outcome) => payWithWallet(address, payload, outcome),
    charges: () => listCharges(address),
    books: () => readBooks(address),
    async verifyLedger() {
      const { code, complaint } = await verify.start().ended
      return code === 0 ? undefined : `exit code ${code}: ${complaint}`
    },
    async close() {
      const programs = [sandbox, gateway, ...terminals.map(({ program }) => program)]
      await Promise.all(programs.map(async ({ life }) => { await life?.kill('SIGKILL') }))
      await mosquitto?.remove()
    },
  }
}

type At = (...names: readonly string[]) => string

interface Address {
  readonly sandboxUrl: string
  readonly httpPort: number
  readonly brokerPort: number
  readonly databaseFile: string
}

interface Secrets {
  readonly seal: PrivateKeyJson
  readonly webhook: string
  readonly broker: string
}

async function keepSecrets(at: At): Promise<Secrets> {
  const secrets: Secrets = {
    seal: await mintKey('gateway-1'), webhook: randomBytes(32).toString('base64'), broker: randomBytes(16).toString('hex'),
  }
  const keep = (name: string, text: string): void => { writeFileSync(at(name), `${text}\n`, { mode: 0o600 }) }
  keep('secret-key', SECRET_KEY)
  keep('webhook-secret', secrets.webhook)
  keep('broker-password', secrets.broker)
  keep('seal-key.json', JSON.stringify(secrets.seal))
  return secrets
}

async function enrolAll(names: readonly string[], at: At, address: Address, { seal }: Secrets): Promise<void> {
  const store = await openStore(address.databaseFile)
  for (const terminal of names) {
    mkdirSync(at(terminal), { recursive: true })
    await enrol(store, {
      terminal, brokerUrl: `mqtt://127.0.0.1:${address.brokerPort}`, gatewayKey: publicPart(seal),
      identityFile: at(terminal, 'identity.json'), at: Date.now(),
    })
  }
  await store.close()
}

/** Terminals have got their passwords when they were enrolled; only then is there a port for them to connect to. */
async function mosquittoFor(names: readonly string[], at: At, secrets: Secrets): Promise<Mosquitto> {
  const identities = names.map((name) => [name, JSON.parse(readFileSync(at(name, 'identity.json'), 'utf8')) as Identity] as const)
  const passwords = Object.fromEntries(identities.map(([name, { broker }]) => [name, broker.password]))
  const mosquitto = await prepareMosquitto({ ...passwords, [GATEWAY_USER]: secrets.broker })
  for (const [name, identity] of identities) {
    write(at(name, 'identity.json'), { ...identity, broker: { ...identity.broker, url: `mqtt://127.0.0.1:${mosquitto.port}` } })
  }
  return mosquitto
}

function gatewaySettings(address: Address, mosquitto: Mosquitto | undefined, codeLifetimeSeconds: number): object {
  const { sandboxUrl, httpPort, brokerPort, databaseFile } = address
  return {
    http: { port: httpPort }, database: databaseFile,
    broker: mosquitto === undefined ? { kind: 'embedded', port: brokerPort }
      : { kind: 'external', url: `mqtt://127.0.0.1:${mosquitto.port}`, username: GATEWAY_USER, passwordFile: 'broker-password' },
    omise: { apiUrl: sandboxUrl, secretKeyFile: 'secret-key', webhookSecretFiles: ['webhook-secret'], timeoutMs: 3_000 },
    sale: { codeLifetimeSeconds, leaseGraceSeconds: 5, pollSeconds: 1, sweepSeconds: 5 },
  }
}

function terminalIn(folder: string, name: string, journalFolder: string, register: string | undefined): Terminal {
  mkdirSync(journalFolder, { recursive: true })
  const at: At = (...names) => join(folder, ...names)
  const journalFile = join(journalFolder, 'journal.sqlite')
  const profile: ProfileFile = {
    panel: { driver: 'png', directory: 'panel', ...PANEL }, keypad: { driver: 'stdin' }, lamps: { driver: 'none' },
    register: register === undefined ? { driver: 'none' } : { driver: 'line', path: register, baud: 115_200 },
  }
  write(at('profile.json'), profile)
  write(at('site.json'), { shopName: SHOP_NAME, country: 'TH', currency: 'THB', method: 'alipayplus_mpm' })
  const layers = { profile: './profile.json', site: './site.json', identity: './identity.json' }
  write(at('terminal.json'), { ...layers, journal: journalFile })
  return {
    name, journalFolder, journalFile,
    program: createProgram(name, 'device/main.js', ['run', '--config', at('terminal.json')], at('terminal.log')),
    look: phoneBefore(at('panel', 'latest.png')),
  }
}

/** The panel is right before it, upright. */
const PHONE = { formats: ['QRCode'], tryRotate: false, tryInvert: false, maxNumberOfSymbols: 1 } satisfies ReaderOptions

/** A picture that has not changed is not read again. */
function phoneBefore(picture: string): Terminal['look'] {
  let seen: { readonly when: bigint; readonly text: string | undefined } | undefined
  return async () => {
    try {
      const when = statSync(picture, { bigint: true }).mtimeNs
      if (seen?.when !== when) {
        const [code] = await readBarcodes(readFileSync(picture), PHONE)
        seen = { when, text: code?.text }
      }
      return seen.text
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined // Nothing was drawn yet.
      throw error
    }
  }
}

async function readBooks({ databaseFile }: Address): ReturnType<Premises['books']> {
  const store = await openStore(databaseFile)
  const entries: LedgerEntry[] = []
  for await (const entry of store.entries()) entries.push(entry)
  const open = (await store.openSales()).map(({ sale }) => sale)
  const exceptions = (await store.exceptions('open')).map(({ sale, charge }) => ({ sale, charge }))
  await store.close()
  return { entries, open, exceptions }
}

async function payWithWallet({ sandboxUrl }: Address, payload: string, outcome: string): Promise<number> {
  const response = await fetch(`${sandboxUrl}/sandbox/wallet/pay`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ payload, outcome }),
  })
  await response.body?.cancel()
  return response.status
}

const PAGE = 100

interface ChargePage {
  readonly total: number
  readonly data: readonly (Omit<BankCharge, 'sale'> & { readonly metadata: Readonly<Record<string, string>> })[]
}

async function listCharges({ sandboxUrl }: Address): Promise<readonly BankCharge[]> {
  const headers = { authorization: `Basic ${Buffer.from(`${SECRET_KEY}:`).toString('base64')}` }
  const charges: BankCharge[] = []
  for (let total = Infinity; charges.length < total;) {
    const address = `${sandboxUrl}/charges?limit=${PAGE}&offset=${charges.length}&from=2000-01-01T00:00:00Z`
    const page = await (await fetch(address, { headers })).json() as ChargePage
    charges.push(...page.data.map((charge) => ({ ...charge, sale: charge.metadata['plinth_sale'] ?? '' })))
    total = page.total
  }
  return charges
}

const write = (file: string, value: unknown): void => { writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`) }
