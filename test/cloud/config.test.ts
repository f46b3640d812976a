import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type GatewayConfig, loadGatewayConfig } from '../../cloud/config.js'
import { mintKey, type PrivateKeyJson } from '../../device/protocol/seal.js'
import { formatProblems, type Problem } from '../../firmware-config/problems.js'

const SECRET_KEY = 'skey_test_5x6636kemfhdaxmrodv'
const WEBHOOK_SECRET = Buffer.from('thirty-two bytes of webhook secret').toString('base64')

let sealKey: PrivateKeyJson
let folder = ''

beforeAll(async () => { sealKey = await mintKey('gateway-1') })
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plinth-config-'))
  write('secret-key', SECRET_KEY)
  write('webhook-secret', `${WEBHOOK_SECRET}\n`)
  write('seal-key.json', JSON.stringify(sealKey))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string): string => join(folder, name)

function write(name: string, text: string, mode = 0o600): void {
  if (existsSync(at(name))) rmSync(at(name))
  writeFileSync(at(name), text, { mode })
  chmodSync(at(name), mode)
}

const good = { omise: { apiUrl: 'https://api.omise.co', secretKeyFile: 'secret-key', webhookSecretFiles: ['webhook-secret'] } }

function load(settings: object = good): ReturnType<typeof loadGatewayConfig> {
  write('gateway.json', JSON.stringify(settings), 0o644)
  return loadGatewayConfig(at('gateway.json'))
}

function problems(settings: object = good): readonly Problem[] {
  const loaded = load(settings)
  return 'problems' in loaded ? loaded.problems : []
}

function config(settings: object = good): GatewayConfig {
  const loaded = load(settings)
  if ('problems' in loaded) throw new Error(formatProblems(loaded.problems))
  return loaded.config
}

const paths = (found: readonly Problem[]): readonly string[] => found.map(({ path }) => path)

describe('a good configuration', () => {
  test('has its secrets read, its defaults filled in and its paths beside its own file', () => {
    const { secretKey, webhookSecrets, database, broker, sale, http, brokerPassword } = config()
    expect(secretKey).toBe(SECRET_KEY)
    expect(webhookSecrets.map(String)).toEqual(['thirty-two bytes of webhook secret'])
    expect(database).toBe(at('gateway.sqlite'))
    expect(broker).toEqual({ kind: 'embedded', host: '127.0.0.1', port: 1883 })
    expect(http).toEqual({ host: '127.0.0.1', port: 8080 })
    expect(sale).toEqual({ codeLifetimeSeconds: 120, leaseGraceSeconds: 30, sweepSeconds: 60, pollSeconds: 5 })
    expect(brokerPassword).toBeUndefined()
    expect(config().sealKey).toEqual(sealKey)
  })

  test('may name two webhook secrets during a rotation, and an external broker', () => {
    write('webhook-secret-2', WEBHOOK_SECRET)
    write('broker-password', 'hunter2 and more\n')
    const { webhookSecrets, brokerPassword } = config({
      omise: { ...good.omise, webhookSecretFiles: ['webhook-secret', 'webhook-secret-2'] },
      broker: { kind: 'external', url: 'mqtts://broker.example:8883', username: 'gateway', passwordFile: 'broker-password' },
    })
    expect(webhookSecrets).toHaveLength(2)
    expect(brokerPassword).toBe('hunter2 and more')
  })

  test('cannot be changed afterwards', () => {
    expect(Object.isFrozen(config())).toBe(true)
  })
})

describe('a bad configuration', () => {
  test('says every problem of the file at once, each with its path', () => {
    expect(paths(problems({
      omise: { secretKeyFile: '', webhookSecretFiles: [], apiUrl: 'ftp://api.omise.co', colour: 'red' },
      broker: { kind: 'embedded', port: 70_000 },
      sale: { codeLifetimeSeconds: 1, pollSeconds: 0.5 },
      log: 'loud',
    }))).toEqual([
      'broker.port', 'log', 'omise.apiUrl', 'omise.colour', 'omise.secretKeyFile', 'omise.webhookSecretFiles', 'sale.codeLifetimeSeconds', 'sale.pollSeconds',
    ])
  })

  test('says every problem of the secret files at once, whatever is wrong with each', () => {
    write('secret-key', 'pkey_test_5x6636kemfhdaxmrodv')
    write('webhook-secret', '')
    write('seal-key.json', '{"kty":"OKP"}')
    const found = problems({ ...good, broker: { kind: 'external', url: 'mqtt://b:1883', username: 'g', passwordFile: 'nowhere' } })
    expect([...new Set(paths(found))].sort()).toEqual([
      'broker.passwordFile', 'omise.secretKeyFile', 'omise.webhookSecretFiles.0', 'sealKey.crv', 'sealKey.d', 'sealKey.kid', 'sealKey.x',
    ])
  })

  test.each(['secret-key', 'webhook-secret', 'seal-key.json'])('says that %s is missing', (name) => {
    rmSync(at(name))
    expect(problems()).toEqual([expect.objectContaining({ problem: `${at(name)} is missing` })])
  })

  test.each([0o640, 0o604, 0o666, 0o610, 0o601])('refuses secrets that others may touch (mode %i), and says what to do', (mode) => {
    for (const name of ['secret-key', 'webhook-secret', 'seal-key.json']) chmodSync(at(name), mode)
    const found = problems()
    expect(paths(found)).toEqual(['omise.secretKeyFile', 'omise.webhookSecretFiles.0', 'sealKeyFile'])
    for (const { problem, hint } of found) {
      expect(problem).toContain('may be read by others')
      expect(hint).toMatch(/^chmod 600 /)
    }
  })

  test.each(['', '\n\n'])('refuses an empty secret (%j)', (text) => {
    write('secret-key', text)
    expect(problems()).toEqual([expect.objectContaining({ path: 'omise.secretKeyFile', problem: `${at('secret-key')} is empty` })])
  })

  test('refuses a webhook secret that is not what the dashboard shows', () => {
    write('webhook-secret', 'not base64 at all!')
    expect(paths(problems())).toEqual(['omise.webhookSecretFiles.0'])
  })

  test('refuses a live key over plain http, before it is ever sent', () => {
    write('secret-key', 'skey_5x6636kemfhdaxmrodv')
    expect(paths(problems({ omise: { ...good.omise, apiUrl: 'http://api.omise.co' } }))).toEqual(['omise.apiUrl'])
  })

  test('refuses an address of the API with a path, which would not be used', () => {
    expect(paths(problems({ omise: { ...good.omise, apiUrl: 'https://api.omise.co/v1' } }))).toEqual(['omise.apiUrl'])
  })

  test('says so when there is no such file, and when it is no JSON', () => {
    const missing = loadGatewayConfig(at('nowhere.json'))
    expect('problems' in missing && formatProblems(missing.problems)).toContain('no such file')
    write('gateway.json', '{ "omise": ')
    const broken = loadGatewayConfig(at('gateway.json'))
    expect('problems' in broken && formatProblems(broken.problems)).toContain('is not JSON')
  })
})

describe('no problem repeats a secret', () => {
  const secrets: Readonly<Record<string, readonly [file: string, text: string]>> = {
    'a public key where the secret one belongs': ['secret-key', 'pkey_test_canary1234567890'],
    'a key with a stray character': ['secret-key', 'skey_test_canary1234567890 oops'],
    'a webhook secret that is not base64': ['webhook-secret', 'canary!canary!canary'],
    'a seal key that is no JSON': ['seal-key.json', '{"d":"canary'],
    'a seal key of the wrong shape': ['seal-key.json', '{"kty":"OKP","crv":"Ed25519","kid":"g","x":"canaryx","d":"canaryd"}'],
    'a seal key with a secret in an unknown place': ['seal-key.json', '{"kty":"OKP","crv":"Ed25519","kid":"g","secret":"canary"}'],
    'a seal key that is a text': ['seal-key.json', '"canary"'],
    'a seal key with text in a place for numbers': ['seal-key.json', '{"kty":"canary","crv":"canary","kid":["canary"],"x":1,"d":"canary"}'],
    'secrets in a file others may read': ['secret-key', 'skey_test_canary'],
  }
  test.each(Object.entries(secrets))('%s', (title, [file, text]) => {
    write(file, text, title.includes('others') ? 0o644 : 0o600)
    const found = problems()
    expect(found.length).toBeGreaterThan(0)
    expect(formatProblems(found)).not.toContain('canary')
  })
})
