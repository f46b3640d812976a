import { describe, expect, it } from 'vitest'
import { askAt, openShop } from './shop.js'

const NESTED = 'source[type]=alipayplus_mpm'
const error = (code: string, message: string) =>
  ({ object: 'error', location: `https://www.omise.co/api-errors#${code.replaceAll('_', '-')}`, code, message })

describe('keys', () => {
  it('a public key makes and reads sources and the capability, and nothing else', async () => {
    const { ask } = await openShop()
    const key = 'pkey_test_sandbox'
    const source = await ask('POST', '/sources', { key, form: 'amount=2500&currency=THB&type=alipayplus_mpm' })
    expect(source.status).toBe(200)
    expect((await ask('GET', `/sources/${source.json.id}`, { key })).json).toEqual(source.json)
    expect((await ask('GET', '/capability', { key })).status).toBe(200)
    for (const [method, path] of [['GET', '/charges'], ['POST', '/charges'], ['GET', '/account'], ['GET', '/events'], ['GET', '/refunds']] as const) {
      const refused = await ask(method, path, { key })
      expect([path, refused.status, refused.json]).toEqual([path, 401, error('authentication_failure', 'authentication failed')])
    }
  })

  it('no key, a wrong key or a password is refused everywhere, also where nothing is', async () => {
    const { ask, sandbox } = await openShop()
    for (const key of [null, 'skey_test_other', 'skey_test_sandbox:secret', '']) expect((await ask('GET', '/charges', { key })).status).toBe(401)
    expect((await ask('GET', '/nothing', { key: null })).status).toBe(401)
    const nothing = await askAt(sandbox.url)('GET', '/nothing')
    expect([nothing.status, nothing.json.code]).toEqual([404, 'not_found'])
  })

  it('an API version it does not speak is refused rather than misread', async () => {
    const { ask } = await openShop()
    expect((await ask('GET', '/charges', { version: '2017-11-02' })).json.code).toBe('bad_request')
    expect((await ask('GET', '/charges', { version: '2019-05-29' })).headers.get('omise-version')).toBe('2019-05-29')
  })
})

describe('amounts and methods', () => {
  const cases = [
    ['TH', 'THB', 2_000, 15_000_000],
    ['SG', 'SGD', 100, 2_000_000],
    ['MY', 'MYR', 100, 3_000_000],
  ] as const
  it.each(cases)('in %s a charge may be for %s %i to %i subunits', async (country, currency, min, max) => {
    const { ask } = await openShop({ country })
    const charge = (amount: number | string) => ask('POST', '/charges', { form: `amount=${amount}&currency=${currency}&${NESTED}` })
    const unit = `(${currency.toLowerCase()} subunits)`
    expect((await charge(min)).json).toMatchObject({ object: 'charge', amount: min, currency })
    expect((await charge(max)).json).toMatchObject({ object: 'charge', amount: max, currency })
    expect((await charge(min - 1)).json).toEqual(error('invalid_charge', `amount must be greater than or equal to ${min} ${unit}`))
    expect((await charge(max + 1)).json).toEqual(error('invalid_charge', `amount must be less than or equal to ${max} ${unit}`))
    const source = (amount: number) => ask('POST', '/sources', { form: `amount=${amount}&currency=${currency}&type=alipayplus_mpm` })
    expect((await source(min - 1)).json).toEqual(error('bad_request', `amount must be at least ${min}`))
    expect((await source(max + 1)).json).toEqual(error('bad_request', `amount must be less than ${max}`))
  })

  it('refuses what is no amount, no currency of the country, no method of the country', async () => {
    const { ask } = await openShop({ country: 'SG' })
    const source = async (form: string) => (await ask('POST', '/sources', { form })).json.message
    expect(await source('currency=SGD&type=alipayplus_mpm')).toBe('amount is not a number')
    expect(await source('amount=25.00&currency=SGD&type=alipayplus_mpm')).toBe('amount is not a number')
    expect(await source('amount=2500&currency=THB&type=alipayplus_mpm')).toBe('currency is currently not supported')
    expect(await source('amount=2500&currency=SGD&type=promptpay')).toBe('type is currently not supported')
    const charge = async (form: string) => (await ask('POST', '/charges', { form })).json.code
    expect(await charge('')).toBe('invalid_amount')
    expect(await charge('amount=2500')).toBe('invalid_charge')
    expect(await charge(`amount=2500&currency=THB&${NESTED}`)).toBe('invalid_charge')
    expect(await charge('amount=2500&currency=SGD')).toBe('not_found')
    expect(await charge('amount=2500&currency=SGD&source=src_test_0000000000000000000')).toBe('not_found')
    expect(await charge('amount=2500&currency=SGD&source[type]=promptpay')).toBe('bad_request')
  })

  it('reads amounts as text in JSON, currencies in any case, and empty or broken bodies', async () => {
    const { ask } = await openShop()
    const charge = (json: unknown) => ask('POST', '/charges', { json })
    expect((await charge({ amount: '2500', currency: 'thb', source: { type: 'alipayplus_mpm' } })).json).toMatchObject({ amount: 2_500, currency: 'THB' })
    expect((await charge([])).json.code).toBe('invalid_amount')
    expect((await charge({ amount: 2_500.5, currency: 'THB' })).json.code).toBe('invalid_amount')
    const broken = await fetch(`${(await openShop()).sandbox.url}/charges`, {
      method: 'POST', body: '{"amount":', headers: { 'content-type': 'application/json', authorization: `Basic ${btoa('skey_test_sandbox:')}` },
    })
    expect([broken.status, (await broken.json() as { code: string }).code]).toEqual([400, 'bad_request'])
    const huge = await ask('POST', '/charges', { form: `amount=2500&description=${'x'.repeat(70_000)}` })
    expect([huge.status, huge.json.code]).toEqual([400, 'bad_request'])
  })

  it('charges no VAT in Singapore, and another fee when the switch says so', async () => {
    const { newCharge, sandbox } = await openShop({ country: 'SG' })
    const form = `amount=12345&currency=SGD&${NESTED}`
    expect(await newCharge(form)).toMatchObject({ fee: 204, fee_vat: 0, net: 12_141, transaction_fees: { fee_rate: '1.65', vat_rate: '0.0' } })
    sandbox.turn({ feeRatePercent: 3.65 })
    expect(await newCharge(form)).toMatchObject({ fee: 451, net: 11_894, transaction_fees: { fee_rate: '3.65' } })
  })

  it('rounds half a subunit of fee and VAT up', async () => {
    const { newCharge } = await openShop()
    // 1.65 % of 3000 is 49.5, and 7 % of 50 is 3.5.
    expect(await newCharge(`amount=3000&currency=THB&${NESTED}`)).toMatchObject({ fee: 50, fee_vat: 4, net: 2_946 })
  })

  it('tells what the account can do', async () => {
    const { ask } = await openShop({ country: 'MY' })
    const { json } = await ask('GET', '/capability')
    expect(json).toMatchObject({ object: 'capability', country: 'MY', limits: { charge_amount: { min: 100, max: 3_000_000 } } })
    expect(json.payment_methods.map(({ name, currencies }: { name: string; currencies: string[] }) => [name, currencies])).toEqual([['alipayplus_mpm', ['MYR']]])
    expect((await ask('GET', '/account')).json).toMatchObject({ object: 'account', currency: 'MYR', livemode: false, webhook_uri: null })
  })
})

describe('a source', () => {
  it('is good for one charge of the same amount, and then shows the code and the charge\'s status', async () => {
    const { ask, pay } = await openShop()
    const source = (await ask('POST', '/sources', { form: 'amount=2500&currency=THB&type=alipayplus_mpm&store_id=S1' })).json
    expect(source).toMatchObject({ charge_status: 'unknown', scannable_code: null, store_id: 'S1' })
    const charge = (amount: number) => ask('POST', '/charges', { form: `amount=${amount}&currency=THB&source=${source.id}` })
    expect((await charge(2_600)).json).toEqual(error('invalid_charge', 'amount does not match the amount of the source'))
    const { json } = await charge(2_500)
    expect(json.source.id).toBe(source.id)
    expect((await charge(2_500)).json).toEqual(error('invalid_charge', 'source was already used'))
    expect((await ask('GET', `/sources/${source.id}`)).json).toEqual(json.source)
    await pay(json)
    expect((await ask('GET', `/sources/${source.id}`)).json.charge_status).toBe('successful')
    expect((await ask('GET', '/sources/src_test_x')).json).toEqual(error('not_found', 'source src_test_x was not found'))
  })
})

describe('a charge', () => {
  it('carries description and metadata from a form and from JSON, and PATCH changes only these', async () => {
    const { ask, newCharge } = await openShop()
    const form = await newCharge(`amount=2500&currency=THB&${NESTED}&description=Tea&metadata[sale]=S-1&metadata[deep][x]=y`)
    expect(form).toMatchObject({ description: 'Tea', metadata: { sale: 'S-1', deep: { x: 'y' } } })
    const { json } = await ask('POST', '/charges', { json: { amount: 2_500, currency: 'THB', source: { type: 'alipayplus_mpm' }, metadata: { n: 1 } } })
    expect(json.metadata).toEqual({ n: 1 })
    const patched = await ask('PATCH', `/charges/${json.id}`, { json: { description: 'Cake', metadata: { n: 2 }, amount: 1, status: 'successful' } })
    expect(patched.json).toEqual({ ...json, description: 'Cake', metadata: { n: 2 } })
    expect((await ask('GET', `/charges/${json.id}`)).json).toEqual(patched.json)
    expect((await ask('PATCH', '/charges/chrg_test_x', { json: {} })).status).toBe(404)
  })

  it('expires on request: expires_at becomes that moment, and it cannot expire twice', async () => {
    const { ask, newCharge, pass } = await openShop()
    const charge = await newCharge()
    pass(5_000)
    const { json } = await ask('POST', `/charges/${charge.id}/expire`)
    const at = '2026-03-02T03:00:05Z'
    expect(json).toMatchObject({ status: 'expired', expired: true, expires_at: at, expired_at: at, paid: false, failure_code: null, source: { charge_status: 'expired' } })
    expect((await ask('POST', `/charges/${charge.id}/expire`)).json).toEqual(error('failed_expire', 'expire failed'))
    expect((await ask('POST', '/charges/chrg_test_x/expire')).status).toBe(404)
  })

  it('expires by itself after 24 hours to the second, and says so in an event', async () => {
    const { ask, newCharge, pass } = await openShop()
    const charge = await newCharge()
    pass(24 * 3_600_000 - 401)
    expect((await ask('GET', `/charges/${charge.id}`)).json.status).toBe('pending')
    pass(1)
    const { json } = await ask('GET', `/charges/${charge.id}`)
    expect(json).toMatchObject({ status: 'expired', expired_at: charge.expires_at, expires_at: charge.expires_at })
    const { data } = (await ask('GET', `/charges/${charge.id}/events`)).json
    expect(data.map(({ key }: { key: string }) => key)).toEqual(['charge.create', 'charge.expire'])
  })

  it('expires with nobody asking, by the sandbox\'s own timer', async () => {
    const { createSandbox } = await import('../../../cloud/sandbox/sandbox.js')
    const { later, openEar } = await import('./shop.js')
    const ear = await openEar()
    const sandbox = await createSandbox({ webhooks: [ear.url] })
    later(sandbox.close)
    const expiresAt = new Date(Date.now() + 1_500).toISOString()
    await askAt(sandbox.url)('POST', '/charges', { json: { amount: 2_500, currency: 'THB', source: { type: 'alipayplus_mpm' }, expires_at: expiresAt } })
    await expect.poll(() => ear.keys(), { timeout: 8_000 }).toEqual(['charge.create', 'charge.expire'])
  })

  it('honours expires_at within bounds, or ignores it, or ends as failed, as the switches say', async () => {
    const { ask, newCharge, pass, sandbox } = await openShop()
    const at = (moment: string) => ask('POST', '/charges', { form: `amount=2500&currency=THB&${NESTED}&expires_at=${encodeURIComponent(moment)}` })
    const charge = (await at('2026-03-02T10:10:00.900+07:00')).json
    expect(charge.expires_at).toBe('2026-03-02T03:10:00Z')
    expect((await at('2026-03-02T02:00:00Z')).json).toEqual(error('invalid_charge', 'expires_at is too soon'))
    expect((await at('2026-03-12T03:00:00Z')).json).toEqual(error('invalid_charge', 'expires_at is too late'))
    expect((await at('tomorrow')).json).toEqual(error('invalid_charge', 'expires_at is invalid'))
    sandbox.turn({ expiresAt: 'ignored', expiryEndsAs: 'failed' })
    expect((await at('2026-03-02T03:10:00Z')).json.expires_at).toBe((await newCharge()).expires_at)
    pass(601_000)
    expect((await ask('GET', `/charges/${charge.id}`)).json).toMatchObject({ status: 'failed', failure_code: 'payment_expired', failure_message: 'Payment expired.', expired: false })
  })

  it('is marked as paid or failed once', async () => {
    const { ask, newCharge } = await openShop()
    const paid = await newCharge()
    const { json } = await ask('POST', `/charges/${paid.id}/mark_as_paid`)
    expect(json).toMatchObject({ status: 'successful', paid: true, authorized: true, refundable: true, paid_at: '2026-03-02T03:00:00Z', source: { charge_status: 'successful' } })
    expect(json.transaction).toMatch(/^trxn_test_[0-9a-z]{19}$/)
    expect((await ask('POST', `/charges/${paid.id}/mark_as_failed`)).json.code).toBe('invalid_charge')
    expect((await ask('POST', `/charges/${paid.id}/expire`)).json.code).toBe('failed_expire')
    const failed = await newCharge()
    expect((await ask('POST', `/charges/${failed.id}/mark_as_failed`)).json).toMatchObject({ status: 'failed', paid: false, failure_code: 'payment_rejected', failure_message: 'Payment rejected by issuer.', expired: false })
  })

  it('can be neither reversed nor captured', async () => {
    const { ask, newCharge } = await openShop()
    const { id } = await newCharge()
    expect((await ask('POST', `/charges/${id}/reverse`)).json).toEqual(error('failed_reverse', 'only uncaptured authorized charges can be reversed'))
    expect((await ask('POST', `/charges/${id}/capture`)).json.code).toBe('failed_capture')
    expect((await ask('POST', '/charges/chrg_test_x/reverse')).json.code).toBe('not_found')
  })
})

describe('lists', () => {
  it('come in pages, in both orders, and from a moment on', async () => {
    const { ask, newCharge, pass } = await openShop()
    const ids: string[] = []
    for (let made = 0; made < 5; made++) {
      ids.push((await newCharge()).id)
      pass(1_000)
    }
    const list = async (query: string) => (await ask('GET', `/charges?${query}`)).json
    const idsOf = async (query: string) => (await list(query)).data.map(({ id }: { id: string }) => id)
    expect(await list('limit=2&offset=1')).toMatchObject({ object: 'list', limit: 2, offset: 1, total: 5, location: '/charges', order: 'chronological', from: '1970-01-01T00:00:00Z', to: '2026-03-02T03:00:05Z' })
    expect(await idsOf('limit=2&offset=1')).toEqual(ids.slice(1, 3))
    expect(await idsOf('order=reverse_chronological&limit=2')).toEqual([ids[4], ids[3]])
    expect(await idsOf('from=2026-03-02T03:00:03Z')).toEqual(ids.slice(3))
    expect(await idsOf('from=2026-03-02T03:00:01Z&to=2026-03-02T03:00:02Z')).toEqual(ids.slice(1, 3))
    expect((await list('limit=500')).limit).toBe(100)
    expect([...ids].sort()).toEqual(ids)
  })

  it('refuse a page that is none', async () => {
    const { ask, sandbox } = await openShop()
    for (const query of ['limit=0', 'limit=x', 'offset=-1', 'order=random', 'from=yesterday', 'from=2026-03-02T03:00:00ZT1', 'to=2026-03-02T25:00:00Z', 'limit=1&limit=2']) {
      expect([query, (await ask('GET', `/charges?${query}`)).json.code]).toEqual([query, 'bad_request'])
    }
    sandbox.turn({ limitAboveMax: 'refused' })
    expect((await ask('GET', '/charges?limit=101')).status).toBe(400)
  })
})
