import { describe, expect, it } from 'vitest'
import { openEar, openShop } from './shop.js'

const post = (json: unknown) => ({ key: null, json })

describe('the wallet', () => {
  it('reads the code and pays, once', async () => {
    const shop = await openShop({ merchant: 'Tea House' })
    const charge = await shop.newCharge()
    const payload = await shop.payloadOf(charge)
    const seen = { charge: charge.id, amount: 2_500, currency: 'THB', status: 'pending', merchant: 'Tea House', expires_at: charge.expires_at }
    const scanned = await shop.ask('POST', '/sandbox/wallet/scan', post({ payload }))
    expect([scanned.status, scanned.json]).toEqual([200, seen])
    shop.pass(9_000)
    const paid = await shop.pay(charge)
    expect([paid.status, paid.json]).toEqual([200, { ...seen, status: 'successful', failure_code: null }])
    expect((await shop.ask('GET', `/charges/${charge.id}`)).json).toMatchObject({ status: 'successful', paid: true, paid_at: '2026-03-02T03:00:09Z', expired: false })
    expect((await shop.pay(charge)).status).toBe(409)
    expect((await shop.ask('POST', '/sandbox/wallet/scan', post({ payload }))).json.status).toBe('successful')
    const { data } = (await shop.ask('GET', `/charges/${charge.id}/events`)).json
    expect(data.map(({ key }: { key: string }) => key)).toEqual(['charge.create', 'charge.complete'])
  })

  it.each([
    ['payment_rejected', 'Payment rejected by issuer.'],
    ['insufficient_fund', 'Insufficient funds in the account or the payment method has reached its limit.'],
    ['failed_processing', 'General payment processing failure.'],
  ])('fails with %s', async (outcome, message) => {
    const ear = await openEar()
    const shop = await openShop({ webhooks: [ear.url] })
    const charge = await shop.newCharge()
    expect((await shop.pay(charge, outcome)).json).toMatchObject({ status: 'failed', failure_code: outcome })
    const { json } = await shop.ask('GET', `/charges/${charge.id}`)
    expect(json).toMatchObject({ status: 'failed', failure_code: outcome, failure_message: message, paid: false, transaction: null, source: { charge_status: 'failed' } })
    await shop.sandbox.settled()
    expect(ear.keys()).toEqual(['charge.complete', 'charge.create'])
    expect((await shop.pay(charge)).status).toBe(409)
  })

  it('does not know other codes, and reads JSON only', async () => {
    const { ask } = await openShop()
    for (const path of ['scan', 'pay']) {
      expect((await ask('POST', `/sandbox/wallet/${path}`, post({ payload: 'https://order.alipayplus.example/x' }))).status).toBe(404)
      expect((await ask('POST', `/sandbox/wallet/${path}`, post({ payload: '' }))).status).toBe(400)
      expect((await ask('POST', `/sandbox/wallet/${path}`, { key: null, form: 'payload=x' })).json.problems).toEqual(['the body must be application/json'])
    }
    expect((await ask('POST', '/sandbox/wallet/pay', post({ payload: 'x', outcome: 'stolen' }))).json.problems[0]).toMatch(/^outcome: /)
  })

  it('cannot pay an expired charge, unless the customer was already paying and the switch says that wins', async () => {
    const shop = await openShop()
    const charge = await shop.newCharge()
    await shop.ask('POST', `/charges/${charge.id}/expire`)
    expect((await shop.pay(charge)).status).toBe(409)
    shop.sandbox.turn({ payAfterExpire: 'succeeds' })
    expect((await shop.pay(charge, 'payment_rejected')).status).toBe(409)
    expect((await shop.pay(charge)).status).toBe(200)
    expect((await shop.ask('GET', `/charges/${charge.id}`)).json).toMatchObject({ status: 'successful', paid: true, expired: false })
  })

  it('finds the charge expired when the bank thought for too long', async () => {
    const shop = await openShop({ switches: { bankDelayMs: 300 } })
    const charge = await shop.newCharge()
    const payload = await shop.payloadOf(charge)
    const paying = shop.ask('POST', '/sandbox/wallet/pay', post({ payload }))
    expect((await shop.ask('POST', `/charges/${charge.id}/expire`)).json.status).toBe('expired')
    expect((await paying).status).toBe(409)
  })
})

describe('switches', () => {
  it('are read and turned while the sandbox runs; a wrong one changes nothing and is named', async () => {
    const { ask, sandbox } = await openShop()
    expect((await ask('GET', '/sandbox/health', { key: null })).json).toEqual({ status: 'ok', country: 'TH' })
    const before = (await ask('GET', '/sandbox/switches', { key: null })).json
    expect(before).toEqual(sandbox.switches())
    const turn = (json: unknown) => ask('PATCH', '/sandbox/switches', post(json))
    expect((await turn({ latencyMs: 1, webhooks: 'lose' })).json).toEqual({ ...before, latencyMs: 1, webhooks: 'lose' })
    const unknown = await turn({ webhooks: 'deliver', webhoks: 'lose' })
    expect([unknown.status, unknown.json.problems[0]]).toEqual([400, expect.stringMatching(/^there is no switch "webhoks"; the switches are createAnswer, /)])
    expect((await turn({ failNext: -1, svgStyle: 'oil' })).json.problems.map((text: string) => text.split(':')[0]).sort()).toEqual(['switch "failNext"', 'switch "svgStyle"'])
    expect((await turn([])).status).toBe(400)
    expect((await ask('PATCH', '/sandbox/switches', { key: null, form: 'webhooks=deliver' })).status).toBe(400)
    expect(sandbox.switches()).toEqual({ ...before, latencyMs: 1, webhooks: 'lose' })
  })

  it('fail the next requests without executing them', async () => {
    const { ask, sandbox } = await openShop()
    sandbox.turn({ failNext: 2 })
    for (let request = 0; request < 2; request++) {
      const failed = await ask('POST', '/charges', { form: 'amount=2500&currency=THB&source[type]=alipayplus_mpm' })
      expect([failed.status, failed.json.object]).toEqual([503, 'error'])
    }
    expect((await ask('GET', '/charges')).json.total).toBe(0)
    expect(sandbox.switches().failNext).toBe(0)
  })

  it('lose the answer of a charge that was made: it is found by its metadata', async () => {
    const { ask, sandbox } = await openShop({ switches: { createAnswer: 'lost after execution' } })
    const form = 'amount=2500&currency=THB&source[type]=alipayplus_mpm&metadata[sale]=S-1'
    await expect(ask('POST', '/charges', { form })).rejects.toThrow()
    const { data } = (await ask('GET', '/charges?order=reverse_chronological&limit=100')).json
    expect(data.map(({ metadata }: { metadata: unknown }) => metadata)).toEqual([{ sale: 'S-1' }])
    expect((await ask('POST', '/charges', { form: 'amount=1' })).status).toBe(400)
    sandbox.turn({ createAnswer: 'slow', slowAnswerMs: 30 })
    expect((await ask('POST', '/charges', { form })).status).toBe(200)
  })

  it.each(['expireAnswer', 'refundAnswer'] as const)('lose the answer of what was done (%s): it is found by reading', async (which) => {
    const { ask, sandbox } = await openShop()
    const { json: charge } = await ask('POST', '/charges', { form: 'amount=2500&currency=THB&source[type]=alipayplus_mpm' })
    if (which === 'refundAnswer') await ask('POST', `/charges/${charge.id}/mark_as_paid`)
    sandbox.turn({ [which]: 'lost after execution' })
    const lost = which === 'expireAnswer' ? ask('POST', `/charges/${charge.id}/expire`) : ask('POST', `/charges/${charge.id}/refunds`, { form: 'amount=2500' })
    await expect(lost).rejects.toThrow()
    const { json: now } = await ask('GET', `/charges/${charge.id}`)
    expect([now.status, now.refunded_amount]).toEqual(which === 'expireAnswer' ? ['expired', 0] : ['successful', 2500])
  })

  it('limit the rate, with Retry-After when asked', async () => {
    const { ask, sandbox } = await openShop({ switches: { rateLimitPerSecond: 3, retryAfterSeconds: 7 } })
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask('GET', '/charges')))
    const refused = answers.filter(({ status }) => status === 429)
    expect(refused.length).toBeGreaterThan(10)
    expect([refused[0]?.json.code, refused[0]?.headers.get('retry-after')]).toEqual(['too_many_requests', '7'])
    sandbox.turn({ rateLimitPerSecond: 0 })
    expect((await ask('GET', '/charges')).status).toBe(200)
  })
})
