#!/usr/bin/env node
/**
 * plinth-gateway: composition root and command line of the gateway.
 */
import { Command, InvalidArgumentError } from 'commander'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import fastify from 'fastify'
import type { Logger } from 'pino'
import { createOpener, createSeal, isKeyPair, mintKey, publicPart } from '../device/protocol/seal.js'
import { UpMessage } from '../device/protocol/wire.js'
import { formatProblems } from '../firmware-config/problems.js'
import { startBroker } from './broker.js'
import { createChargeEffects } from './charge-effects.js'
import { wallClock } from './clock.js'
import { type GatewayConfig, loadGatewayConfig } from './config.js'
import { enrol } from './enrol.js'
import { createGateway } from './gateway.js'
import { createLog } from './log.js'
import { createOmise } from './omise.js'
import { addOperatorCommands } from './operator-commands.js'
import { createCodeReader } from './qr-document.js'
import { createReconciler } from './reconciler.js'
import { openStore, type Store } from './store.js'
import { embeddedLink, externalLink, type TerminalLink } from './terminal-link.js'
import { createSweeper } from './sweeper.js'
import { webhookRoute } from './webhook.js'

const STOP_MS = 5_000
/** For a webhook, from its first byte to its last; half of it for its headers. */
const REQUEST_MS = 10_000
/** Webhooks on their way at once; further callers are hung up on, and the payment API delivers to us again or is polled. */
const CONNECTIONS_MAX = 1_000
/** A configuration or a command line that a person must correct first. */
const EXIT_CORRECT_FIRST = 2
/** The database is another's, or its medium failed (EX_IOERR of sysexits.h). */
const EXIT_STORE = 74

interface Running {
  readonly webhookUrl: string
  stop(): Promise<void>
}

async function runGateway(config: GatewayConfig, log: Logger, fatal: (error: unknown) => void): Promise<Running> {
  const { sale, omise: api } = config
  const store = await openStore(config.database)
  const omise = createOmise({
    apiUrl: api.apiUrl, secretKey: config.secretKey, timeoutMs: api.timeoutMs, documentHosts: api.documentHosts, log,
  })
  const codes = createCodeReader()
  await codes.warm()
  const gateway = createGateway({
    store,
    link: openLink(config, store, log),
    effects: createChargeEffects({ omise, codes, sendExpiresAt: api.sendExpiresAt, log }),
    seal: await createSeal(config.sealKey),
    createOpener: (key) => createOpener(UpMessage, [key]),
    terms: {
      codeLifetimeMs: sale.codeLifetimeSeconds * 1_000,
      leaseGraceMs: sale.leaseGraceSeconds * 1_000,
      pollMs: sale.pollSeconds * 1_000,
      livemode: omise.livemode,
    },
    clock: wallClock,
    fatal,
    log,
  })
  await gateway.start()
  const sweeper = createSweeper({ omise, gateway, store, clock: wallClock, everyMs: sale.sweepSeconds * 1_000, log })
  sweeper.start()
  const reconciler = createReconciler({ omise, store, clock: wallClock, log })
  reconciler.start()

  const http = fastify({
    bodyLimit: 65_536, requestTimeout: REQUEST_MS, connectionTimeout: REQUEST_MS, keepAliveTimeout: 5_000,
    // Node takes the longer of the two times for the body, and looks every half a minute, unless told otherwise.
    http: { headersTimeout: REQUEST_MS / 2, connectionsCheckingInterval: 1_000 },
  })
  http.server.maxConnections = CONNECTIONS_MAX
  webhookRoute(http, {
    path: '/webhooks/omise',
    secrets: config.webhookSecrets,
    now: () => new Date(wallClock.now()),
    livemode: omise.livemode,
    onHint: (hint) => {
      gateway.hint(hint)
        .then((known) => (known || hint.charge === undefined ? undefined : sweeper.lookAt(hint.charge)))
        .catch((error: unknown) => log.error({ error }, 'webhook hint failed'))
    },
    onRefused: () => undefined, // Counted and logged by the route itself.
    log,
  })
  http.get('/health', () => ({ ok: true, refused: gateway.refused() }))
  const { host, port } = config.http
  const address = await http.listen({ host, port }).catch((cause: unknown) => {
    throw new Error(`webhooks cannot be heard on ${host}:${port}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  })

  return {
    webhookUrl: `${address}/webhooks/omise`,
    async stop() {
      await http.close()
      await reconciler.stop()
      await sweeper.stop()
      await gateway.stop()
      await codes.close()
      await store.close()
    },
  }
}

function openLink(config: GatewayConfig, store: Store, log: Logger): TerminalLink {
  const { broker, brokerPassword = '' } = config
  switch (broker.kind) {
    case 'embedded':
      return embeddedLink(() => startBroker({
        host: broker.host, port: broker.port, log,
        passwordHashOf: async (terminal) => (await store.terminal(terminal))?.passwordHash,
      }))
    case 'external':
      return externalLink({ url: broker.url, username: broker.username, password: brokerPassword, clientId: broker.clientId }, log)
  }
}

/** Exits with 2 and every problem at once when the configuration is bad. */
async function configOrExit(file: string): Promise<GatewayConfig> {
  const loaded = loadGatewayConfig(file)
  if ('config' in loaded && await isKeyPair(loaded.config.sealKey)) return loaded.config
  const problems = 'problems' in loaded ? loaded.problems
    : [{ file: resolve(file), path: 'sealKeyFile', problem: 'does not hold a key pair: its x and d do not belong together' }]
  process.stderr.write(`${formatProblems(problems)}\n`)
  process.exit(EXIT_CORRECT_FIRST)
}

async function run({ config: file }: { config: string }): Promise<void> {
  process.umask(0o077) // The database holds codes that can be paid.
  const config = await configOrExit(file)
  const log = createLog(config.log)
  const gateway = await runGateway(config, log, (error) => {
    log.fatal({ error }, 'gateway stops')
    process.exit(EXIT_STORE)
  })
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      log.info({ signal }, 'gateway stopping')
      setTimeout(() => process.exit(1), STOP_MS).unref()
      gateway.stop().then(() => process.exit(0), (error: unknown) => {
        log.error({ error }, 'gateway did not stop cleanly')
        process.exit(1)
      })
    })
  }
  log.info({ webhookUrl: gateway.webhookUrl }, 'gateway ready') // Only now: who waits for this word may end us with a signal.
}

/** A folder with everything a gateway needs but the key of the payment API. */
async function init(folder: string, { secretKeyFile, apiUrl }: { secretKeyFile: string; apiUrl: string }): Promise<void> {
  const at = (name: string): string => join(resolve(folder), name)
  if (existsSync(at('gateway.json'))) throw new Error(`${at('gateway.json')} exists already`)
  mkdirSync(at(''), { recursive: true })
  const sealKey = await mintKey(`gateway-${randomBytes(4).toString('hex')}`)
  writeFileSync(at('seal-key.json'), `${JSON.stringify(sealKey, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' })
  writeFileSync(at('webhook-secret'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600, flag: 'wx' })
  const settings = { broker: { kind: 'embedded' }, omise: { apiUrl, secretKeyFile, webhookSecretFiles: ['webhook-secret'] } }
  writeFileSync(at('gateway.json'), `${JSON.stringify(settings, undefined, 2)}\n`, { flag: 'wx' })
  process.stdout.write(`${at('gateway.json')} is ready.
Put the secret key of your account into ${resolve(folder, secretKeyFile)} (chmod 600),
and the webhook secret of your dashboard over ${at('webhook-secret')}.\n`)
}

interface EnrolOptions { config: string; out: string; broker?: string; replace: boolean }

async function enrolTerminal(terminal: string, options: EnrolOptions): Promise<void> {
  process.umask(0o077) // The database may begin here, and will hold codes that can be paid.
  const config = await configOrExit(options.config)
  const { broker } = config
  const anywhere = broker.kind === 'embedded' && (broker.host === '0.0.0.0' || broker.host === '::' || broker.port === 0)
  if (options.broker === undefined && anywhere) {
    throw new Error(`a terminal cannot connect to ${broker.host}:${broker.port}; say with --broker how it reaches the broker`)
  }
  const store = await openStore(config.database)
  try {
    const brokerUrl = options.broker ?? (broker.kind === 'external' ? broker.url : `mqtt://${broker.host}:${broker.port}`)
    await enrol(store, {
      terminal, brokerUrl, gatewayKey: publicPart(config.sealKey), identityFile: options.out,
      replace: options.replace, at: wallClock.now(),
    })
    process.stdout.write(`${terminal} is enrolled. ${resolve(options.out)} goes onto the box, and nowhere else.\n`)
  } finally {
    await store.close()
  }
}

const brokerUrl = (text: string): string => {
  if (!URL.canParse(text) || !/^mqtts?:$/.test(new URL(text).protocol)) throw new InvalidArgumentError('It must begin with mqtt:// or mqtts://.')
  return text
}

const program = new Command('plinth-gateway').description('The merchant cloud of Plinth terminals')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_CORRECT_FIRST)) // Before the commands, which inherit it.
program.command('run').description('run the gateway').requiredOption('--config <file>', 'gateway.json').action(run)
program.command('check').description('say every problem of a configuration').requiredOption('--config <file>', 'gateway.json')
  .action(async ({ config }: { config: string }) => {
    await configOrExit(config)
    process.stdout.write(`${resolve(config)} is good\n`)
  })
program.command('init').description('make a folder with a new configuration and keys').argument('<folder>')
  .option('--api-url <url>', 'address of the payment API', 'https://api.omise.co')
  .option('--secret-key-file <file>', 'where the secret key of the account will be', 'secret-key')
  .action(init)
program.command('enrol').description('make a terminal known and write its identity file').argument('<terminal>')
  .requiredOption('--config <file>', 'gateway.json').requiredOption('--out <file>', 'identity file to write')
  .option('--broker <url>', 'address of the broker as the terminal sees it', brokerUrl)
  .option('--replace', 'shut out the box that has this id now', false).action(enrolTerminal)

addOperatorCommands(program, configOrExit)

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`plinth-gateway: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
