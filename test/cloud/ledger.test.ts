import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { latePayment, salePaid } from '../../cloud/ledger.js'
import { order } from './charge-story.js'

const taken = { id: 'chrg_a', amountMinor: 150_000, feeMinor: 2_475, feeVatMinor: 173 }

describe('the ledger', () => {
  test('books a paid sale: what the API owes us, what it cost, what was sold', () => {
    expect(salePaid(order, taken)).toEqual({
      key: 'sale paid chrg_a', sale: order.sale, currency: 'THB',
      lines: [{ account: 'receivable', minor: 147_352 }, { account: 'fees', minor: 2_648 }, { account: 'sales', minor: -150_000 }],
    })
  })

  test('books money that came too late apart from sales: it is not ours', () => {
    expect(latePayment(order, taken)).toEqual({
      key: 'late payment chrg_a', sale: order.sale, currency: 'THB',
      lines: [{ account: 'receivable', minor: 147_352 }, { account: 'fees', minor: 2_648 }, { account: 'late', minor: -150_000 }],
    })
  })

  test('lines of any entry sum to zero in whole minor units', () => {
    const charge = fc.record({
      id: fc.string(), amountMinor: fc.integer({ min: 1, max: 999_999_999 }), feeMinor: fc.nat(999_999_999), feeVatMinor: fc.nat(999_999_999),
    })
    fc.assert(fc.property(charge, fc.constantFrom(salePaid, latePayment), (seen, post) => {
      const { lines } = post(order, seen)
      expect(lines.reduce((sum, { minor }) => sum + minor, 0)).toBe(0)
      expect(lines.every(({ minor }) => Number.isSafeInteger(minor))).toBe(true)
    }))
  })

  test.each([0.5, NaN, 2 ** 53])('a fee of %d is no money, and nothing is booked', (feeMinor) => {
    expect(() => salePaid(order, { ...taken, feeMinor })).toThrow('does not sum to zero')
  })

  test('two charges of one sale never share a key', () => {
    expect(salePaid(order, taken).key).not.toBe(salePaid(order, { ...taken, id: 'chrg_b' }).key)
    expect(salePaid(order, taken).key).not.toBe(latePayment(order, taken).key)
  })
})
