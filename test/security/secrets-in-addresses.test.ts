/** Addresses stand in logs. A password in one is refused before anything can log it, and the refusal does not quote it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadGatewayConfig } from '../../cloud/config.js'
import { mintKey, publicPart } from '../../device/protocol/seal.js'
import { formatProblems } from '../../firmware-config/problems.js'
import { Identity } from '../../firmware-config/schema.js'

const WITH_LOGIN = ['mqtt://user:hunter2@broker.example', 'mqtts://:hunter2@broker.example:8883', 'mqtt://hunter2@broker.example'] as const

test.each(WITH_LOGIN)('a terminal has no broker address with a login in it: %s', async (url) => {
  const key = await mintKey('T-1')
  const identity = { terminal: 'T-1', broker: { url, username: 'T-1', password: 'long enough' }, key, gatewayKeys: [publicPart(key)] }
  expect(Identity.safeParse({ ...identity, broker: { ...identity.broker, url: 'mqtt://broker.example' } }).success).toBe(true)
  const { error } = Identity.safeParse(identity)
  expect(error?.issues.map(({ path }) => path.join('.'))).toEqual(['broker.url'])
  expect(JSON.stringify(error?.issues)).not.toContain('hunter2')
})

test.each(WITH_LOGIN)('nor has the gateway: %s', (url) => {
  const folder = mkdtempSync(join(tmpdir(), 'plinth-login-'))
  const file = join(folder, 'gateway.json')
  writeFileSync(file, JSON.stringify({
    broker: { kind: 'external', url, username: 'g', passwordFile: 'p' }, omise: { secretKeyFile: 's', webhookSecretFiles: ['w'] },
  }))
  const loaded = loadGatewayConfig(file)
  const text = 'problems' in loaded ? formatProblems(loaded.problems) : ''
  expect(text).toContain('broker.url: must be an address without a name and a password in it')
  expect(text).not.toContain('hunter2')
  rmSync(folder, { recursive: true, force: true })
})
