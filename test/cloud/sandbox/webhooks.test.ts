import { createHmac, randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Heard, openEar, openShop } from './shop.js'

/** As the webhooks page describes it, written apart from the sandbox. */
function signatures({ headers, body }: Heard, secrets: readonly string[]): boolean[] {
  const stamp = String(headers['omise-signature-timestamp'])
  const given = String(headers['omise-signature']).split(',')
  return secrets.map((secret) => given.includes(createHmac('sha256', Buffer.from(secret, 'base64')).update(stamp + '.' + body, 'utf8').digest('hex')))
}

const newSecret = () => randomBytes(32).toString('base64')

describe('webhooks', () => {
  it('tell of a sale from its charge to its refund, as printed JSON of the event, and every attempt is on record', async () => {
    const ear = await openEar()
    const shop = await openShop({ webhooks: [ear.url] })
    const charge = await shop.newCharge()
    await shop.pay(charge)
    await shop.ask('POST', `/charges/${charge.id}/refunds`, { form: 'amount=2500' })
    await shop.sandbox.settled()
    expect(ear.keys()).toEqual(['charge.complete', 'charge.create', 'refund.create'])

    const complete = ear.heard.find(({ json }) => json.key === 'charge.complete')
    expect(Object.keys(complete?.json)).toEqual(['object', 'id', 'livemode', 'location', 'webhook_deliveries', 'data', 'key', 'created_at'])
    expect(complete?.json.data).toMatchObject({ object: 'charge', id: charge.id, status: 'successful', refunded_amount: 0 })
    expect(complete?.headers['content-type']).toBe('application/json')
    expect(complete?.body.startsWith('{\n  "object": "event",\n')).toBe(true)
    expect(complete?.body.endsWith('}\n')).toBe(true)

    const { json: event } = await shop.ask('GET', complete?.json.location)
    expect({ ...event, webhook_deliveries: [] }).toEqual(complete?.json)
    expect(event.webhook_deliveries).toEqual([{
      object: 'webhook_delivery', id: event.webhook_deliveries[0].id, uri: ear.url, status: 200, key: 'charge.complete', error: null,
      payload: complete?.body, created_at: '2026-03-02 03:00:00 UTC',
    }])
    expect((await shop.ask('GET', '/events?order=reverse_chronological&limit=1')).json).toMatchObject({ total: 3, data: [{ key: 'refund.create', data: { object: 'refund' } }] })
    expect((await shop.ask('GET', '/events/evnt_test_x')).status).toBe(404)
  })

  it('carry a signature over the raw body that another program can check', async () => {
    const ear = await openEar()
    const secret = newSecret()
    const shop = await openShop({ webhooks: [ear.url], webhookSecrets: [secret] })
    await shop.newCharge('amount=2500&currency=THB&source[type]=alipayplus_mpm&description=ชา')
    await shop.sandbox.settled()
    expect(ear.heard.map((heard) => signatures(heard, [secret, newSecret()]))).toEqual([[true, false]])
    expect(ear.heard[0]?.headers['omise-signature']).toMatch(/^[0-9a-f]{64}$/)
    expect(ear.heard[0]?.headers['omise-signature-timestamp']).toBe(String(Math.floor(shop.clock().getTime() / 1_000)))
  })

  it('carry two signatures while the secret changes, and one when the change is over', async () => {
    const ear = await openEar()
    const secrets = [newSecret(), newSecret()]
    const shop = await openShop({ webhooks: [ear.url], webhookSecrets: secrets })
    await shop.newCharge()
    await shop.sandbox.settled()
    shop.sandbox.turn({ rotation: 'over' })
    await shop.newCharge()
    await shop.sandbox.settled()
    shop.sandbox.turn({ signature: 'wrong' })
    await shop.newCharge()
    await shop.sandbox.settled()
    expect(ear.heard.map((heard) => signatures(heard, secrets))).toEqual([[true, true], [true, false], [false, false]])
    shop.sandbox.turn({ signature: 'missing' })
    await shop.newCharge()
    await shop.sandbox.settled()
    expect(ear.heard[3]?.headers['omise-signature']).toBeUndefined()
  })

  it('go to the account\'s endpoints and to those of the charge, each once', async () => {
    const [account, own] = [await openEar(), await openEar()]
    const shop = await openShop()
    await shop.ask('PATCH', '/account', { json: { webhook_uri: account.url } })
    expect((await shop.ask('PATCH', '/account', { json: { webhook_uri: 'nowhere' } })).status).toBe(400)
    await shop.newCharge(`amount=2500&currency=THB&source[type]=alipayplus_mpm&webhook_endpoints[]=${own.url}&webhook_endpoints[]=${account.url}`)
    await shop.sandbox.settled()
    expect([account.keys(), own.keys()]).toEqual([['charge.create'], ['charge.create']])
    const many = { amount: 2_500, currency: 'THB', source: { type: 'alipayplus_mpm' }, webhook_endpoints: [own.url, own.url, own.url] }
    expect((await shop.ask('POST', '/charges', { json: many })).json.code).toBe('invalid_charge')
    expect((await shop.ask('POST', '/charges', { json: { ...many, webhook_endpoints: ['file:///etc/passwd'] } })).json.code).toBe('invalid_charge')
  })

  it('are lost, doubled or sent again when the switches say so, and otherwise sent once whatever comes back', async () => {
    const ear = await openEar()
    const shop = await openShop({ webhooks: [ear.url] })
    const heardAfter = async (change: Parameters<typeof shop.sandbox.turn>[0], ...answers: number[]) => {
      const before = ear.heard.length
      ear.answers.push(...answers)
      shop.sandbox.turn(change)
      await shop.newCharge()
      await shop.sandbox.settled()
      return ear.heard.length - before
    }
    expect(await heardAfter({}, 500)).toBe(1)
    expect(await heardAfter({ webhooks: 'lose' })).toBe(0)
    expect(await heardAfter({ webhooks: 'duplicate' })).toBe(2)
    expect(await heardAfter({ webhooks: 'deliver', webhookRetries: 3, webhookRetryAfterMs: 5 }, 500, 302, 200)).toBe(3)
    expect(await heardAfter({ webhookRetries: 1, webhookDelayMs: 20, webhookOrder: 'shuffled' }, 500, 500)).toBe(2)
    const { data } = (await shop.ask('GET', '/events?order=reverse_chronological')).json
    expect(data[1].webhook_deliveries.map(({ status }: { status: number }) => status)).toEqual([500, 302, 200])
  })

  it('to an endpoint that is not there are on record with the reason', async () => {
    const shop = await openShop({ webhooks: ['http://127.0.0.1:9/hooks'] })
    const { id } = await shop.newCharge()
    await shop.sandbox.settled()
    const { data } = (await shop.ask('GET', `/charges/${id}/events`)).json
    expect(data[0].webhook_deliveries).toMatchObject([{ status: null, error: expect.stringMatching(/./) }])
  })

  it('that still wait do not keep the sandbox from closing', async () => {
    const ear = await openEar()
    const shop = await openShop({ webhooks: [ear.url], switches: { webhookDelayMs: 600_000 } })
    await shop.newCharge()
    await shop.sandbox.close()
    expect(ear.heard).toEqual([])
  })

  it('forget events older than the retention', async () => {
    const shop = await openShop({ switches: { eventRetentionDays: 1 } })
    const { id } = await shop.newCharge()
    const event = (await shop.ask('GET', `/charges/${id}/events`)).json.data[0]
    shop.pass(23 * 3_600_000)
    expect((await shop.ask('GET', event.location)).status).toBe(200)
    shop.pass(2 * 3_600_000)
    expect((await shop.ask('GET', event.location)).status).toBe(404)
    expect((await shop.ask('GET', '/events')).json.data.map(({ key }: { key: string }) => key)).toEqual(['charge.expire'])
  })
})
