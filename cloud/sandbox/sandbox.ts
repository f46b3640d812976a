/**
 * The sandbox as one thing: opens the records, wires the parts, listens, and closes cleanly. Composition root of
 * everything in this folder but the command line.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger, pino } from 'pino'
import { z } from 'zod'
import { ACCOUNTS } from './account.js'
import { objectId } from './object-id.js'
import { createOperations } from './operations.js'
import { isWebUrl } from './requests.js'
import { createServer } from './server.js'
import { openState } from './state.js'
import { changeSwitches, Switches } from './switches.js'
import { addWalletRoutes } from './wallet.js'
import { createWebhooks } from './webhooks.js'

/** The documented secret of a sandbox that was given none; a merchant's real one comes from Omise's dashboard. */
export const DEFAULT_WEBHOOK_SECRET = Buffer.from('plinth sandbox webhook secret 01').toString('base64')

const webUrl = z.string().refine(isWebUrl, 'must be an http or https address')
const key = (kind: 'skey' | 'pkey') => z.string().regex(new RegExp(`^${kind}_test_[a-z0-9]{1,64}$`), `must look like ${kind}_test_sandbox`)

export const SandboxOptions = z.strictObject({
  host: z.string().min(1).max(255).default('127.0.0.1'),
  port: z.int('must be a whole number').min(0).max(65_535).default(0).describe('0 takes a free one'),
  country: z.enum(['TH', 'SG', 'MY'], 'must be TH, SG or MY').default('TH'),
  stateFile: z.string().min(1).max(4_096).default(':memory:').describe('Where charges are kept across restarts'),
  secretKey: key('skey').default('skey_test_sandbox'),
  publicKey: key('pkey').default('pkey_test_sandbox'),
  webhooks: z.array(webUrl).max(8).default([]).describe('Endpoints that hear of every event'),
  webhookSecrets: z.array(z.base64().min(16).max(1_024)).min(1).max(2).default([DEFAULT_WEBHOOK_SECRET]).describe('Base64, the newest first'),
  publicUrl: webUrl.optional().describe('Where download_uri points, when it is not the listening address'),
  merchant: z.string().min(1).max(60).default('Plinth Sandbox Shop').describe('The name a wallet shows'),
  switches: Switches.default(Switches.parse({})),
})
export type SandboxOptions = z.input<typeof SandboxOptions>

export interface Sandbox {
  readonly url: string
  readonly secretKey: string
  readonly publicKey: string
  readonly webhookSecrets: readonly string[]
  readonly switches: () => Switches
  /** Throws with every problem when the change is not legal. */
  readonly turn: (change: Partial<Switches>) => void
  /** Resolves when no webhook is waiting or under way. */
  readonly settled: () => Promise<void>
  readonly close: () => Promise<void>
}

export interface SandboxWorld {
  readonly now?: () => Date
  readonly log?: Logger
}

/** Opens the records, ends what expired meanwhile, and listens. */
export async function createSandbox(options: SandboxOptions = {}, world: SandboxWorld = {}): Promise<Sandbox> {
  const { now = () => new Date(), log = pino({ level: 'silent' }) } = world
  const { host, port, country, stateFile, secretKey, publicKey, webhooks: endpoints, webhookSecrets, publicUrl, merchant, ...rest } =
    SandboxOptions.parse(options)
  let switches = rest.switches
  let url = ''
  const account = ACCOUNTS[country]
  const state = openState(stateFile)
  const webhooks = createWebhooks({
    secrets: webhookSecrets,
    switches: () => switches,
    now,
    log,
    record: (delivery) => state.recordDelivery({ id: objectId('whdl', delivery.createdAt, randomBytes(7)), ...delivery }),
  })
  const operations = createOperations({
    account, state, webhooks, switches: () => switches, now, random: randomBytes, log,
    baseUrl: () => publicUrl?.replace(/\/$/, '') ?? url,
    endpoints: () => {
      const uri = state.setting('webhook uri')
      return uri === undefined ? endpoints : [...endpoints, uri]
    },
  })
  const change = (wanted: unknown) => {
    const changed = changeSwitches(switches, wanted)
    if ('switches' in changed) switches = changed.switches
    return changed
  }
  const closing = new AbortController()
  const pause = async (ms: number) => {
    if (ms > 0) await sleep(ms, undefined, { signal: closing.signal })
  }

  const shared = { account, operations, state, secretKey, publicKey, merchant, switches: () => switches, change, pause, log }
  const server = createServer(shared)
  addWalletRoutes(server, shared)

  try {
    url = (await server.listen({ host, port })).replace('[::1]', 'localhost')
  } catch (cause) {
    operations.stop()
    state.close()
    throw cause
  }
  operations.sweep()
  log.info({ url, country }, 'sandbox ready')

  return {
    url, secretKey, publicKey, webhookSecrets,
    switches: () => switches,
    turn: (wanted) => {
      const changed = change(wanted)
      if ('problems' in changed) throw new Error(changed.problems.join('; '))
    },
    settled: webhooks.settled,
    close: async () => {
      closing.abort()
      operations.stop()
      await server.close()
      await webhooks.close()
      state.close()
    },
  }
}
