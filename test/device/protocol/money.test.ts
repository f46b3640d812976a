import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Amount, AMOUNT_DIGITS_MAX, amountFromDigits, amountFromKeys, CURRENCIES, CURRENCY_DIGITS, formatAmount, formatMajor, parseAmount, sameAmount,
  typeDigits, typePoint,
} from '../../../device/protocol/money.js'

const amounts: fc.Arbitrary<Amount> = fc.record({ minor: fc.integer({ min: 1, max: 999_999_999 }), currency: fc.constantFrom(...CURRENCIES) })

describe('an amount', () => {
  test('that is written out and read again is the same amount', () => {
    fc.assert(fc.property(amounts, (amount) => {
      expect(parseAmount(formatMajor(amount), amount.currency)).toEqual(amount)
      expect(amountFromDigits(String(amount.minor), amount.currency)).toEqual(amount)
    }), { numRuns: 2_000 })
  })

  test('as the customer reads it has the same digits, with the currency in front', () => {
    fc.assert(fc.property(amounts, (amount) => {
      const text = formatAmount(amount)
      expect(text).toMatch(/^[A-Z]{3} [0-9]{1,3}(,[0-9]{3})*\.[0-9]{2}$/)
      expect(Number(text.replace(/[^0-9]/g, ''))).toBe(amount.minor)
      expect(text.startsWith(amount.currency)).toBe(true)
    }))
  })

  test.each([
    ['150', 15_000], ['150.0', 15_000], ['150.00', 15_000], ['0.01', 1], ['0.1', 10], ['00150.00', 15_000], ['9999999.99', 999_999_999],
    ['000000001', 100], ['000000000.01', 1],
  ])('%s is %i minor units', (text, minor) => expect(parseAmount(text, 'THB')).toEqual({ minor, currency: 'THB' }))

  test.each([
    '', '0', '0.00', '000', '.5', '5.', '.', '1e3', '1E3', '0x10', '0b1', '+5', '-5', '5-', ' 5', '5 ', '5\n', '\t5', '5\r\n', '1,500', '1,500.00', '1.500,00',
    '1 500', '1_500', '1.234', '1.2.3', '1..2', '٢٥', '๒๕', '２５', '²5', '½', 'NaN', 'Infinity', '150.00THB', '฿150', '$1', "1'000", '1;2', '5\0', '5\u200b',
    '9007199254740993', '99999999999999999999', '10000000.00', '9999999999', '999999999.1', '0000000001', '1'.repeat(1_000_000),
  ])('%j is none', (text) => expect(parseAmount(text, 'THB')).toBeUndefined())

  test('is never made of any text but digits with one point, and never is zero, negative, broken or too large', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.stringMatching(/^[0-9.,eEx+-]{0,14}$/)), (text) => {
      const amount = parseAmount(text, 'THB')
      if (amount === undefined) return
      expect(text).toMatch(/^[0-9]{1,9}(\.[0-9]{1,2})?$/)
      expect(Number.isSafeInteger(amount.minor)).toBe(true)
      expect(amount.minor).toBeGreaterThanOrEqual(1)
      expect(amount.minor).toBeLessThanOrEqual(999_999_999)
      expect(amount.minor).toBe(Math.round(Number(text) * 100))
    }), { numRuns: 5_000 })
  })

  test('reads on every day as the customer expects', () => {
    expect(formatAmount({ minor: 1, currency: 'THB' })).toBe('THB 0.01')
    expect(formatAmount({ minor: 150_000, currency: 'SGD' })).toBe('SGD 1,500.00')
    expect(formatAmount({ minor: 999_999_999, currency: 'MYR' })).toBe('MYR 9,999,999.99')
    expect(formatMajor({ minor: 5, currency: 'THB' })).toBe('0.05')
  })

  test('is the same only in the same currency', () => {
    expect(sameAmount({ minor: 5, currency: 'THB' }, { minor: 5, currency: 'THB' })).toBe(true)
    expect(sameAmount({ minor: 5, currency: 'THB' }, { minor: 6, currency: 'THB' })).toBe(false)
    expect(sameAmount({ minor: 5, currency: 'THB' }, { minor: 5, currency: 'SGD' })).toBe(false)
  })

  test('has as many decimals as its currency has', () => expect(CURRENCY_DIGITS).toEqual({ THB: 2, SGD: 2, MYR: 2 }))
})

describe('keys', () => {
  test.each([['2500', 2_500], ['1', 1], ['000000000001', 1], ['999999999', 999_999_999]])('%s are %i minor units', (keys, minor) => {
    expect(amountFromDigits(keys, 'MYR')).toEqual({ minor, currency: 'MYR' })
  })
  test.each(['', '0', '000', '1000000000', '12a', '1.5', '-1', '๒', ' 1', '1 '])('%j are no amount', (keys) => {
    expect(amountFromDigits(keys, 'MYR')).toBeUndefined()
  })

  test.each(CURRENCIES.flatMap((currency): [string, Amount['currency'], number][] => {
    const one = 10 ** CURRENCY_DIGITS[currency]
    return [['25.', currency, 25 * one], ['25.5', currency, 25.5 * one], ['0.5', currency, 0.5 * one], ['.5', currency, 0.5 * one], ['2500', currency, 2_500]]
  }))('%s of %s are %i minor units', (keys, currency, minor) => expect(amountFromKeys(keys, currency)).toEqual({ minor, currency }))

  test.each(['', '.', '0.', '0.0', '0.00', '99999999999.', '9999999999', '12345678.', '1.2a', '๒.', '-1.5'])('%j with a point are no amount', (keys) => {
    expect(amountFromKeys(keys, 'THB')).toBeUndefined()
  })

  const keysAre = fc.array(fc.constantFrom(...'0123456789', '00', '000', '.'), { maxLength: 16 })
  const typed = (keys: readonly string[], currency: Amount['currency']): string =>
    keys.reduce((text, key) => (key === '.' ? typePoint(text, currency) : typeDigits(text, key, currency)), '')

  test('that can be typed mean what the same text means to a register, and never more digits than an amount has', () => {
    fc.assert(fc.property(keysAre, fc.constantFrom(...CURRENCIES), (keys, currency) => {
      const text = typed(keys, currency)
      expect(text.replace('.', '').length).toBeLessThanOrEqual(AMOUNT_DIGITS_MAX)
      expect(text.split('.')[1]?.length ?? 0).toBeLessThanOrEqual(CURRENCY_DIGITS[currency])
      expect(amountFromKeys(text, currency)).toEqual(
        text.includes('.') ? parseAmount(text.replace(/\.$/, ''), currency) : amountFromDigits(text, currency))
    }), { numRuns: 3_000 })
  })

  test.each([['1234567', '000', '1234567'], ['1234567', '00', '123456700'], ['123456', '000', '123456000'], ['', '000', ''], ['25.', '000', '25.'],
    ['25.', '00', '25.00'], ['25.5', '00', '25.5'], ['25.5', '0', '25.50'], ['0.', '5', '0.5']])(
    'after %j the key %s leads to %j: it counts whole or not at all', (keys, key, after) => expect(typeDigits(keys, key, 'THB')).toBe(after))

  test.each(['12', '0000', '', '.', 'a', '๐', '٠', '０', ' 0'])('%j is no key', (key) => expect(typeDigits('25', key, 'THB')).toBe('25'))

  test.each([['', '0.'], ['25', '25.'], ['25.', '25.'], ['25.5', '25.5'], ['1234567', '1234567.'], ['12345678', '12345678']])(
    'after %j the point leads to %j', (keys, after) => expect(typePoint(keys, 'THB')).toBe(after))
})
