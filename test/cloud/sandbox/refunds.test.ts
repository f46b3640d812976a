import { describe, expect, it } from 'vitest'
import { openShop, type Shop } from './shop.js'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

async function paidCharge(shop: Shop, form?: string) {
  const charge = await shop.newCharge(form)
  await shop.pay(charge)
  return charge
}
const refundAt = ({ ask }: Shop, charge: { id: string }) => (form: string) => ask('POST', `/charges/${charge.id}/refunds`, { form })

describe('money going back', () => {
  it('a full refund on the day is a void', async () => {
    const shop = await openShop()
    const charge = await paidCharge(shop)
    const { json } = await refundAt(shop, charge)('amount=2500&metadata[why]=jam')
    expect(json).toEqual({
      object: 'refund', id: json.id, location: `/charges/${charge.id}/refunds/${json.id}`, livemode: false, voided: true, currency: 'THB', amount: 2_500,
      metadata: { why: 'jam' }, charge: charge.id, capture: null, terminal: null, transaction: json.transaction, status: 'closed', funding_amount: 2_500,
      funding_currency: 'THB', created_at: '2026-03-02T03:00:00Z', acquirer_reference_number: null, approval_code: null,
    })
    const after = (await shop.ask('GET', `/charges/${charge.id}`)).json
    expect(after).toMatchObject({ status: 'successful', paid: true, voided: true, refunded_amount: 2_500, refundable: false, refunds: { total: 1, data: [json] } })
    expect((await shop.ask('GET', json.location)).json).toEqual(json)
    expect((await shop.ask('GET', `/charges/${charge.id}/refunds`)).json.data).toEqual([json])
    expect((await shop.ask('GET', '/refunds')).json).toMatchObject({ total: 1, location: '/refunds', data: [json] })
    expect((await shop.ask('GET', `/charges/${charge.id}/refunds/rfnd_test_x`)).status).toBe(404)
  })

  // 16:15 UTC is a quarter past midnight in Beijing, where the day of a transaction is counted.
  it.each([
    ['paid 10:00 UTC, 16:14:59 the same day', true, '2026-03-02T10:00:00Z', '2026-03-02T16:14:59Z'],
    ['paid 10:00 UTC, 16:15 the same day', false, '2026-03-02T10:00:00Z', '2026-03-02T16:15:00Z'],
    ['paid 15:59:59 UTC, 16:14 the same day', true, '2026-03-02T15:59:59Z', '2026-03-02T16:14:00Z'],
    ['paid 16:00 UTC, 16:14:59 the next day', true, '2026-03-02T16:00:00Z', '2026-03-03T16:14:59Z'],
    ['paid 16:00 UTC, 16:15 the next day', false, '2026-03-02T16:00:00Z', '2026-03-03T16:15:00Z'],
  ])('%s: a void is %s', async (_name, voided, paidAt, refundedAt) => {
    const shop = await openShop({}, Date.parse(paidAt))
    const charge = await paidCharge(shop)
    shop.pass(Date.parse(refundedAt) - Date.parse(paidAt))
    expect((await refundAt(shop, charge)('amount=2500')).json.voided).toBe(voided)
    expect((await shop.ask('GET', `/charges/${charge.id}`)).json.voided).toBe(voided)
  })

  it('a void or nothing, too late, is nothing', async () => {
    const shop = await openShop()
    const charge = await paidCharge(shop)
    shop.pass(DAY_MS)
    expect((await refundAt(shop, charge)('amount=2500&void=true')).json.code).toBe('failed_void')
    expect((await shop.ask('GET', '/refunds')).json.total).toBe(0)
  })

  it('parts go back until nothing remains, and never as a void', async () => {
    const shop = await openShop()
    const charge = await paidCharge(shop)
    const refund = refundAt(shop, charge)
    expect((await refund('amount=1000')).json).toMatchObject({ voided: false, amount: 1_000 })
    expect((await shop.ask('GET', `/charges/${charge.id}`)).json).toMatchObject({ refundable: true, refunded_amount: 1_000, voided: false })
    expect((await refund('amount=1501')).json.code).toBe('failed_refund')
    expect((await refund('amount=1500')).json.voided).toBe(false)
    expect((await refund('amount=1')).json.code).toBe('failed_refund')
    expect((await shop.ask('GET', `/charges/${charge.id}`)).json).toMatchObject({ refundable: false, refunded_amount: 2_500, voided: false })
  })

  it('there are fewer than 15 of them', async () => {
    const shop = await openShop()
    const refund = refundAt(shop, await paidCharge(shop))
    for (let part = 1; part <= 14; part++) expect((await refund('amount=10')).status).toBe(200)
    expect((await refund('amount=10')).json).toMatchObject({ code: 'failed_refund', message: 'charge has too many refunds' })
  })

  it('nothing goes back from what was not paid, after a year, without an amount, or from PromptPay', async () => {
    const shop = await openShop()
    const pending = await shop.newCharge()
    expect((await refundAt(shop, pending)('amount=2500')).json).toMatchObject({ code: 'failed_refund' })
    const charge = await paidCharge(shop)
    expect((await refundAt(shop, charge)('')).json.code).toBe('invalid_amount')
    expect((await refundAt(shop, charge)('amount=0')).json.code).toBe('failed_refund')
    const promptpay = await paidCharge(shop, 'amount=2500&currency=THB&source[type]=promptpay')
    expect((await shop.ask('GET', `/charges/${promptpay.id}`)).json.refundable).toBe(false)
    expect((await refundAt(shop, promptpay)('amount=2500')).json.code).toBe('failed_refund')
    shop.pass(365 * DAY_MS)
    expect((await refundAt(shop, charge)('amount=100')).status).toBe(200)
    shop.pass(1_000)
    expect((await refundAt(shop, charge)('amount=100')).json.message).toBe('charge is too old to be refunded')
    expect((await shop.ask('POST', '/charges/chrg_test_x/refunds', { form: 'amount=1' })).status).toBe(404)
  })
})
