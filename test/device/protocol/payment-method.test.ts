import { describe, expect, test } from 'vitest'
import { CURRENCIES } from '../../../device/protocol/money.js'
import { PAYMENT_METHOD_NAMES, PAYMENT_METHODS, refuseAmount } from '../../../device/protocol/payment-method.js'

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
