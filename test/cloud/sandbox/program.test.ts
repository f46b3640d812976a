import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { startSandbox } from './program.js'
import { askAt, later, openEar, openShop } from './shop.js'

// Each test starts programs, on a machine that may be busy.
vi.setConfig({ testTimeout: 60_000 })

const folder = mkdtempSync(join(tmpdir(), 'plinth-sandbox-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const FORM = 'amount=2500&currency=THB&source[type]=alipayplus_mpm'
const start = (...words: readonly string[]) => {
  const started = startSandbox('--port', '0', ...words)
  later(async () => { started.child.kill('SIGKILL'); await started.ended })
  return started
}

describe('plinth-sandbox', () => {
  it('says in one line where it listens and with which keys, and ends cleanly when asked', async () => {
    const { child, ready, ended } = start('--country', 'SG', '--secret-key', 'skey_test_mine')
    const ask = askAt(await ready)
    expect((await ask('GET', '/account', { key: 'skey_test_mine' })).json.currency).toBe('SGD')
    child.kill('SIGTERM')
    const { code, output } = await ended
    expect(code).toBe(0)
    expect(output.trimEnd().split('\n')).toEqual([expect.stringMatching(/^plinth-sandbox \(SG\) listens on http:\S+ +secret key skey_test_mine +public key pkey_test_sandbox/)])
  })

  it('with --json-log tells each step as a record, and never a key, a code or its address', async () => {
    const ear = await openEar()
    const { child, ready, ended } = start('--json-log', '--webhook', ear.url, '--switch', 'rawData=true')
    const ask = askAt(await ready)
    const charge = (await ask('POST', '/charges', { form: FORM })).json
    await ask('POST', '/sandbox/wallet/pay', { key: null, json: { payload: charge.source.scannable_code.raw_data, outcome: 'insufficient_fund' } })
    await ask('POST', `/charges/${charge.id}/expire`)
    await fetch(charge.source.scannable_code.image.download_uri)
    await expect.poll(() => ear.heard.length, { timeout: 5_000 }).toBe(2)
    child.kill('SIGTERM')
    const { output } = await ended
    const lines = output.trimEnd().split('\n').map((line) => JSON.parse(line))
    const find = (msg: string) => lines.filter((line) => line.msg === msg)
    expect(find('sandbox ready')).toMatchObject([{ url: expect.stringMatching(/^http:/), country: 'TH' }])
    expect(find('charge created')).toMatchObject([{ charge: charge.id, amountMinor: 2_500, currency: 'THB' }])
    expect(find('charge completed')).toMatchObject([{ charge: charge.id, status: 'failed', failureCode: 'insufficient_fund' }])
    expect(find('request answered')).toMatchObject([
      { method: 'POST', path: '/charges', status: 200 },
      { method: 'POST', path: '/sandbox/wallet/pay', status: 200 },
      { method: 'POST', path: '/charges/:charge/expire', status: 400, code: 'failed_expire' },
      { method: 'GET', path: '/charges/:charge/documents/:document/downloads/:secret', status: 200 },
    ])
    expect(find('webhook delivered').map(({ key, charge: of, status }) => [key, of, status]).sort()).toEqual([['charge.complete', charge.id, 200], ['charge.create', charge.id, 200]])
    for (const secret of ['skey_test', 'pkey_test', 'alipayplus.example', charge.source.scannable_code.image.download_uri.slice(-16)]) expect(output).not.toContain(secret)
  })

  it.each([
    [['--port', 'x'], '--port: must be a whole number'],
    [['--country', 'XX'], '--country: must be TH, SG or MY'],
    [['--nope'], 'unknown option \'--nope\''],
    [['--switch', 'failNext'], '--switch failNext: a switch is turned with name=value'],
    [['--switch', 'nope=1'], 'there is no switch "nope"'],
    [['--webhook', 'ftp://x'], '--webhook: must be an http or https address'],
    [['--secret-key', 'pkey_test_x'], '--secret-key: must look like skey_test_sandbox'],
    [['--webhook-secret', 'not base64!'], '--webhook-secret: '],
  ])('refuses %j with a sentence and exit code 2', async (words, sentence) => {
    const { code, output } = await start(...words).ended
    expect(code).toBe(2)
    expect(output.startsWith(`plinth-sandbox: ${sentence}`)).toBe(true)
    expect(output.trimEnd().split('\n')).toHaveLength(1)
  })

  it('says so when it cannot start', async () => {
    const { sandbox } = await openShop()
    const taken = await start('--port', new URL(sandbox.url).port).ended
    expect([taken.code, taken.output]).toEqual([1, expect.stringContaining('EADDRINUSE')])
    expect((await start('--state', '/nonexistent/x.db').ended).code).toBe(1)
  })
})

describe('killed at any moment', () => {
  it('loses nothing that was answered, and goes on where it was', async () => {
    const file = join(folder, 'killed.db')
    const answered: { id: string }[] = []
    for (let life = 0; life < 3; life++) {
      const { child, ready, ended } = start('--state', file, '--switch', 'rawData=true')
      const ask = askAt(await ready)
      let killed = false
      const killAt = answered.length + 5
      // Four clients at once, so that the axe falls in the middle of requests.
      await Promise.all(Array.from({ length: 4 }, async () => {
        while (!killed) {
          const { json } = await ask('POST', '/charges', { form: FORM }).catch(() => ({ json: undefined }))
          if (json === undefined) return
          answered.push(json)
          if (answered.length >= killAt && !killed) killed = child.kill('SIGKILL')
        }
      }))
      await ended
    }
    const { ready } = start('--state', file, '--switch', 'rawData=true')
    const url = await ready
    const ask = askAt(url)
    expect(answered.length).toBeGreaterThanOrEqual(15)
    for (const { id } of answered) expect((await ask('GET', `/charges/${id}`)).json).toMatchObject({ id, status: 'pending', source: { charge_status: 'pending' } })
    const { total } = (await ask('GET', '/charges')).json
    expect((await ask('GET', '/events')).json.total).toBe(total)

    const first = (await ask('GET', `/charges/${answered[0]?.id}`)).json
    expect(first.source.scannable_code.image.download_uri.startsWith(url)).toBe(true)
    const { status } = await ask('POST', '/sandbox/wallet/pay', { key: null, json: { payload: first.source.scannable_code.raw_data } })
    const refunded = (await ask('POST', `/charges/${first.id}/refunds`, { form: 'amount=2500' })).json
    expect([status, refunded]).toEqual([200, expect.objectContaining({ amount: 2_500 })])
  })

  it('ends at its next start what expired while it was dead', async () => {
    const stateFile = join(folder, 'expired.db')
    const ear = await openEar()
    const before = await openShop({ stateFile })
    const charge = await before.newCharge()
    await before.sandbox.close()
    const after = await openShop({ stateFile, webhooks: [ear.url] }, before.clock().getTime() + 25 * 3_600_000)
    await after.sandbox.settled()
    expect(ear.keys()).toEqual(['charge.expire'])
    expect((await after.ask('GET', `/charges/${charge.id}`)).json).toMatchObject({ status: 'expired', expired_at: charge.expires_at })
  })
})
