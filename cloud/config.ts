/**
 * The gateway's configuration: one file, read once. Secrets are never in it, only the paths of the files they are in.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { PrivateKeyJson } from '../device/protocol/seal.js'
import { readJsonFile } from '../firmware-config/json-file.js'
import { type Problem, sortProblems } from '../firmware-config/problems.js'
import { webhookSecrets } from './webhook.js'

const path = z.string().min(1).max(4096)
const host = z.string().min(1).max(255)
const port = z.int().min(0).max(65_535).describe('0 picks a free one')

export const GatewayFile = z.strictObject({
  $schema: z.string().optional(),
  http: z.strictObject({ host: host.default('127.0.0.1'), port: port.default(8080) })
    .prefault({}).describe('Where webhooks arrive; put a TLS proxy before it'),
  broker: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('embedded'), host: host.default('127.0.0.1'), port: port.default(1883) }),
    z.strictObject({
      kind: z.literal('external'),
      url: z.url({ protocol: /^mqtts?$/ }).refine(withoutLogin, 'must be an address without a name and a password in it'),
      username: z.string().min(1).max(128),
      passwordFile: path,
      clientId: z.string().regex(/^[A-Za-z0-9_-]{1,23}$/).default('plinth-gateway'),
    }),
  ]).prefault({ kind: 'embedded' }),
  database: path.default('gateway.sqlite'),
  sealKeyFile: path.default('seal-key.json').describe('Terminals believe what this key signed'),
  omise: z.strictObject({
    apiUrl: z.url({ protocol: /^https?$/ }).refine(isOrigin, 'must be an address without a path, such as https://api.omise.co')
      .default('https://api.omise.co'),
    secretKeyFile: path,
    webhookSecretFiles: z.array(path).min(1).max(2).describe('Two during a rotation'),
    documentHosts: z.array(host).max(8).default([]).describe('Hosts besides the API that may serve code images'),
    timeoutMs: z.int().min(1_000).max(60_000).default(10_000),
    sendExpiresAt: z.boolean().default(true).describe('Ask the API to end the charge with its code'),
  }),
  sale: z.strictObject({
    codeLifetimeSeconds: z.int().min(10).max(3_600).default(120),
    leaseGraceSeconds: z.int().min(5).max(600).default(30)
      .describe('A silent terminal\'s charge is closed this long after its code ended'),
    sweepSeconds: z.int().min(5).max(3_600).default(60)
      .describe('How often recent charges and events are read, for money that nobody told us of'),
    pollSeconds: z.int().min(1).max(60).default(5).describe('The longest pause between two looks at an open charge'),
  }).prefault({}),
  log: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
})
export type GatewayFile = z.infer<typeof GatewayFile>

export interface GatewayConfig extends GatewayFile {
  readonly sealKey: PrivateKeyJson
  readonly secretKey: string
  readonly webhookSecrets: readonly Buffer[]
  readonly brokerPassword: string | undefined
}

/** Every problem at once, or a configuration with its secrets read and its paths made absolute. */
export function loadGatewayConfig(file: string): { readonly config: GatewayConfig } | { readonly problems: readonly Problem[] } {
  const main = readJsonFile(resolve(file), '', GatewayFile)
  if ('problems' in main) return main
  const settings = main.value
  const from = (path: string): string => resolve(dirname(resolve(file)), path)

  const problems: Problem[] = []
  const complain = (path: string, problem: string, hint?: string): undefined => {
    problems.push({ file: resolve(file), path, problem, ...(hint === undefined ? {} : { hint }) })
  }
  const secret = (path: string, named: string): string | undefined => {
    const read = readSecret(from(named))
    return 'text' in read ? read.text : complain(path, `${from(named)} ${read.problem}`, read.hint)
  }

  const { broker, omise } = settings
  const secretKey = secret('omise.secretKeyFile', omise.secretKeyFile)
  if (secretKey !== undefined && !/^skey_(test_)?[A-Za-z0-9]{1,64}$/.test(secretKey)) {
    complain('omise.secretKeyFile', `${from(omise.secretKeyFile)} does not hold a secret key`, 'it begins with skey_')
  } else if (secretKey?.startsWith('skey_test_') === false && omise.apiUrl.startsWith('http:')) {
    complain('omise.apiUrl', 'a live key goes over https only')
  }
  const webhookTexts = omise.webhookSecretFiles.map((name, at) => secret(`omise.webhookSecretFiles.${at}`, name))
  const decoded = webhookTexts.flatMap((text, at) => (text === undefined ? [] : decodeSecret(text)
    ?? complain(`omise.webhookSecretFiles.${at}`, 'holds no base64 webhook secret', 'copy it from the dashboard as it is') ?? []))
  const brokerPassword = broker.kind === 'external' ? secret('broker.passwordFile', broker.passwordFile) : undefined
  const sealKey = secret('sealKeyFile', settings.sealKeyFile) === undefined
    ? undefined
    : readJsonFile(from(settings.sealKeyFile), 'sealKey', PrivateKeyJson)
  // What stands in a key file is not repeated, whatever is wrong with it.
  if (sealKey !== undefined && 'problems' in sealKey) {
    problems.push(...sealKey.problems.map((it) => ({ ...it, problem: it.problem.replace(/ \(found .*\)$/s, '') })))
  }
  if (problems.length > 0 || secretKey === undefined || sealKey === undefined || 'problems' in sealKey) {
    return { problems: sortProblems(problems) }
  }
  return {
    config: Object.freeze({
      ...settings, database: from(settings.database), sealKey: sealKey.value, secretKey, webhookSecrets: decoded, brokerPassword,
    }),
  }
}

/** Addresses are logged; the password is in a file of its own. */
function withoutLogin(address: string): boolean {
  if (!URL.canParse(address)) return true // The schema says so by itself.
  const { username, password } = new URL(address)
  return username === '' && password === ''
}

/** The client of the API adds its own paths. */
function isOrigin(address: string): boolean {
  if (!URL.canParse(address)) return true // The schema says so by itself.
  const { pathname, search, username, password } = new URL(address)
  return pathname === '/' && search === '' && username === '' && password === ''
}

function decodeSecret(text: string): Buffer | undefined {
  try {
    return webhookSecrets([text])[0]
  } catch {
    return undefined // Said as a problem of the configuration by the caller.
  }
}

/** One line of text that nobody but its owner may read. */
function readSecret(file: string): { readonly text: string } | { readonly problem: string; readonly hint?: string } {
  try {
    if ((statSync(file).mode & 0o077) !== 0) return { problem: 'may be read by others', hint: `chmod 600 ${file}` }
    const text = readFileSync(file, 'utf8').trim()
    return text === '' ? { problem: 'is empty' } : { text }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    return { problem: code === 'ENOENT' ? 'is missing' : `cannot be read (${code})` }
  }
}
