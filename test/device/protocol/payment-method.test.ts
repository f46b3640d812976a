import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CURRENCIES } from '../../../device/protocol/money.js'
import { PAYMENT_METHOD_NAMES, PAYMENT_METHODS, refuseAmount, voidableUntil } from '../../../device/protocol/payment-method.js'

describe('the limits', () => {
  test.each([
    ['alipayplus_mpm', 'THB', 2_000, 15_000_000],
    ['alipayplus_mpm', 'SGD', 100, 2_000_000],
    ['alipayplus_mpm', 'MYR', 100, 3_000_000],
    ['promptpay', 'THB', 2_000, 15_000_000],
  ] as const)('%s charges %s from %i to %i, both included', (method, currency, min, max) => {
    expect(refuseAmount(method, { minor: min - 1, currency })?.reason).toBe('amount too small')
    expect(refuseAmount(method, { minor: min, currency })).toBeUndefined()
    expect(refuseAmount(method, { minor: max, currency })).toBeUndefined()
    expect(refuseAmount(method, { minor: max + 1, currency })?.reason).toBe('amount too large')
  })

  test.each(['SGD', 'MYR'] as const)('PromptPay cannot charge %s at all', (currency) => {
    expect(refuseAmount('promptpay', { minor: 2_500, currency })).toEqual({
      reason: 'currency not supported', text: `PromptPay cannot charge ${currency}`,
    })
  })

  test('a refusal names the amount and the limit', () => {
    expect(refuseAmount('alipayplus_mpm', { minor: 1_999, currency: 'THB' })?.text).toBe('THB 19.99 is below the minimum of THB 20.00')
    expect(refuseAmount('alipayplus_mpm', { minor: 2_000_001, currency: 'SGD' })?.text).toBe('SGD 20,000.01 is above the maximum of SGD 20,000.00')
  })
})

describe('the registry', () => {
  test('knows each method under its own name, with limits that make sense', () => {
    for (const name of PAYMENT_METHOD_NAMES) {
      const method = PAYMENT_METHODS[name]
      expect(method.name).toBe(name)
      for (const currency of CURRENCIES) {
        const limits = method.limits[currency]
        if (limits !== undefined) expect(limits.minMinor).toBeLessThan(limits.maxMinor)
      }
    }
  })

  test('says which money can go back', () => {
    expect(PAYMENT_METHODS.alipayplus_mpm.refundable).toBe(true)
    expect(PAYMENT_METHODS.promptpay.refundable).toBe(false)
  })

  test('knows the wallets of each country', () => {
    expect(PAYMENT_METHODS.alipayplus_mpm.wallets).toEqual({
      TH: ['Alipay', 'AlipayHK', 'KakaoPay', "Touch 'n Go"],
      SG: ['Alipay', 'AlipayHK', 'KakaoPay', 'GCash', "Touch 'n Go", 'TrueMoney'],
      MY: ['AlipayHK', 'KakaoPay', 'GCash', 'TrueMoney'],
    })
  })
})

describe('a payment can be undone, rather than refunded,', () => {
  const cutOff = (paidAt: string): string => new Date(voidableUntil('alipayplus_mpm', Date.parse(paidAt)) ?? NaN).toISOString()

  /** Whether a full refund at this moment would be a void: the cut-off itself is too late. */
  const inTime = (paidAt: string, at: string): boolean => Date.parse(at) < Date.parse(cutOff(paidAt))

  test('until 16:15 UTC of its day, to the second', () => {
    const paidAt = '2026-11-23T06:00:00Z'
    expect(inTime(paidAt, '2026-11-23T16:14:59Z')).toBe(true)
    expect(inTime(paidAt, '2026-11-23T16:14:59.999Z')).toBe(true)
    expect(inTime(paidAt, '2026-11-23T16:15:00Z')).toBe(false)
    expect(inTime(paidAt, '2026-11-23T16:15:01Z')).toBe(false)
  })

  test.each([
    // The day ends at 16:00 UTC, midnight in UTC+8: who pays a second later has another day, and a cut-off a day later.
    ['the last second of the day', '2026-11-23T15:59:59Z', '2026-11-23T16:15:00.000Z'],
    ['the last millisecond of the day', '2026-11-23T15:59:59.999Z', '2026-11-23T16:15:00.000Z'],
    ['the first second of the next', '2026-11-23T16:00:00Z', '2026-11-24T16:15:00.000Z'],
    ['a second before the cut-off of the day before', '2026-11-23T16:14:59Z', '2026-11-24T16:15:00.000Z'],
    ['at that cut-off', '2026-11-23T16:15:00Z', '2026-11-24T16:15:00.000Z'],
    ['a second after it', '2026-11-23T16:15:01Z', '2026-11-24T16:15:00.000Z'],
    ['before midnight in Bangkok', '2026-11-23T16:59:59Z', '2026-11-24T16:15:00.000Z'],
    ['at midnight in Bangkok', '2026-11-23T17:00:00Z', '2026-11-24T16:15:00.000Z'],
    ['in the evening of UTC', '2026-11-23T20:30:00Z', '2026-11-24T16:15:00.000Z'],
    ['before midnight in UTC', '2026-11-23T23:59:59Z', '2026-11-24T16:15:00.000Z'],
    ['at midnight in UTC', '2026-11-24T00:00:00Z', '2026-11-24T16:15:00.000Z'],
    ['at midnight in Singapore, said in its own time', '2026-11-24T00:00:00+08:00', '2026-11-24T16:15:00.000Z'],
    ['at noon in Bangkok, said in its own time', '2026-11-23T12:00:00+07:00', '2026-11-23T16:15:00.000Z'],
    ['on the last day of a year', '2026-12-31T15:59:59Z', '2026-12-31T16:15:00.000Z'],
    ['in the new year of Singapore', '2026-12-31T16:00:00Z', '2027-01-01T16:15:00.000Z'],
    ['in the new year of UTC', '2027-01-01T00:00:00Z', '2027-01-01T16:15:00.000Z'],
    ['before a leap day', '2028-02-28T16:00:00Z', '2028-02-29T16:15:00.000Z'],
    ['after a leap day', '2028-02-29T16:00:00Z', '2028-03-01T16:15:00.000Z'],
    ['before the first of March of another year', '2027-02-28T16:00:00Z', '2027-03-01T16:15:00.000Z'],
  ])('paid %s (%s), until %s', (_, paidAt, until) => expect(cutOff(paidAt)).toBe(until))

  test('always after it was made, and at most a day and a quarter of an hour later', () => {
    const moments = fc.integer({ min: Date.parse('2000-01-01T00:00:00Z'), max: Date.parse('2100-01-01T00:00:00Z') })
    fc.assert(fc.property(moments, (paidAtMs) => {
      const until = voidableUntil('alipayplus_mpm', paidAtMs) ?? NaN
      expect(new Date(until).toISOString()).toMatch(/T16:15:00\.000Z$/)
      expect(until - paidAtMs).toBeGreaterThan(15 * 60_000)
      expect(until - paidAtMs).toBeLessThanOrEqual((24 * 60 + 15) * 60_000)
    }), { numRuns: 10_000 })
  })

  test('never, if its method gives no money back', () => {
    for (const name of PAYMENT_METHOD_NAMES) {
      const until = voidableUntil(name, Date.parse('2026-11-23T06:00:00Z'))
      if (!PAYMENT_METHODS[name].refundable) expect(until).toBeUndefined()
    }
    expect(voidableUntil('promptpay', Date.parse('2026-11-23T06:00:00Z'))).toBeUndefined()
  })
})
