#!/usr/bin/env node
/**
 * plinth-sandbox: the stand-in of the Omise API, alone. Options in, one line out when it listens, SIGTERM ends it.
 * Exit codes: 0 ended when asked, 1 could not start, 2 the options are wrong.
 */
import { Command, CommanderError } from 'commander'
import { type Logger, pino } from 'pino'
import { z } from 'zod'
import { createSandbox, SandboxOptions } from './sandbox.js'
import { changeSwitches, parseSwitch, Switches } from './switches.js'

const collect = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value]

const Arguments = z.object({
  port: z.string(),
  host: z.string(),
  country: z.string(),
  state: z.string().optional(),
  secretKey: z.string().optional(),
  publicKey: z.string().optional(),
  publicUrl: z.string().optional(),
  merchant: z.string().optional(),
  webhook: z.array(z.string()),
  webhookSecret: z.array(z.string()),
  switch: z.array(z.string()),
  jsonLog: z.boolean().default(false),
})

const command = new Command('plinth-sandbox')
  .description('A stand-in of the Omise API with a pretended wallet. It pays without a key under /sandbox: never expose it to a network.')
  .option('--port <number>', 'port to listen on, 0 for a free one', '8090')
  .option('--host <address>', 'address to listen on', '127.0.0.1')
  .option('--country <code>', 'TH, SG or MY: currency, methods, limits and fees', 'TH')
  .option('--state <file>', 'keep charges in this file; without it they end with the process')
  .option('--secret-key <key>', 'default skey_test_sandbox')
  .option('--public-key <key>', 'default pkey_test_sandbox')
  .option('--public-url <url>', 'where download_uri points, when not to the listening address')
  .option('--merchant <name>', 'the shop a wallet shows')
  .option('--webhook <url>', 'endpoint that hears of every event; may be repeated', collect, [])
  .option('--webhook-secret <base64>', 'signs webhooks; twice during a rotation, the new one first', collect, [])
  .option('--switch <name=value>', 'turn a switch (cloud/sandbox/switches.ts lists them); may be repeated', collect, [])
  .option('--json-log', 'JSON lines on standard output instead of one line of text')
  .exitOverride()
  .configureOutput({ writeErr: () => undefined })

try {
  command.parse()
} catch (cause) {
  if (!(cause instanceof CommanderError)) throw cause
  if (cause.exitCode === 0) process.exit(0)
  endWith(2, cause.message.replace(/^error: /, ''))
}

const given = Arguments.parse(command.opts())
const options = readOptions(given)
const log = given.jsonLog ? pino() : pino({ level: 'silent' })
await run(options, log)

function readOptions(words: z.infer<typeof Arguments>): z.infer<typeof SandboxOptions> {
  const switches: Record<string, unknown> = {}
  for (const text of words.switch) {
    const one = parseSwitch(text)
    if (one === undefined) endWith(2, `--switch ${text}: a switch is turned with name=value`)
    Object.assign(switches, one)
  }
  const turned = changeSwitches(Switches.parse({}), switches)
  if ('problems' in turned) endWith(2, turned.problems.join('; '))
  const { host, country, state, secretKey, publicKey, publicUrl, merchant, webhook, webhookSecret } = words
  const wanted = {
    host, country, secretKey, publicKey, publicUrl, merchant,
    port: /^[0-9]{1,5}$/.test(words.port) ? Number(words.port) : words.port,
    stateFile: state,
    webhooks: webhook,
    webhookSecrets: webhookSecret.length === 0 ? undefined : webhookSecret,
    switches: turned.switches,
  }
  const parsed = SandboxOptions.safeParse(wanted)
  if (!parsed.success) endWith(2, parsed.error.issues.map(({ path, message }) => `--${flagOf(String(path[0]))}: ${message}`).join('; '))
  return parsed.data
}

/** The flag behind an option of the sandbox, for the sentence that complains about it. */
function flagOf(option: string): string {
  switch (option) {
    case 'stateFile':      return 'state'
    case 'webhooks':       return 'webhook'
    case 'webhookSecrets': return 'webhook-secret'
    default:               return option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  }
}

async function run(wanted: z.infer<typeof SandboxOptions>, logger: Logger): Promise<void> {
  try {
    const sandbox = await createSandbox(wanted, { log: logger })
    if (!['127.0.0.1', '::1', 'localhost'].includes(wanted.host)) {
      process.stderr.write(`plinth-sandbox: ${wanted.host} may be reached by others, who can pay without a key and turn switches\n`)
    }
    if (!given.jsonLog) {
      const { url, secretKey, publicKey, webhookSecrets } = sandbox
      print(`plinth-sandbox (${wanted.country}) listens on ${url}  secret key ${secretKey}  public key ${publicKey}  webhook secret ${webhookSecrets.join(' ')}`)
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void sandbox.close().then(() => process.exit(0)))
  } catch (cause) {
    endWith(1, cause instanceof Error ? cause.message : 'could not start')
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function endWith(exitCode: number, sentence: string): never {
  process.stderr.write(`plinth-sandbox: ${sentence}\n`)
  process.exit(exitCode)
}
