import { describe, expect, test } from 'vitest'
import type { LampPattern } from '../../../drivers/driver.js'
import { flashesPerSecond, RHYTHMS } from '../../../drivers/lamps/patterns.js'

const PATTERNS = Object.keys(RHYTHMS) as LampPattern[]

describe('the lamps', () => {
  test.each(PATTERNS)('%s never flash more than three times in any second', (pattern) => {
    expect(flashesPerSecond(RHYTHMS[pattern])).toBeLessThanOrEqual(3)
  })

  test('never flash at all while a customer is only asked for an amount, and when it is paid', () => {
    expect(['off', 'ready', 'paid'].map((pattern) => flashesPerSecond(RHYTHMS[pattern as LampPattern]))).toEqual([0, 0, 0])
  })

  test('tell every pattern from every other by rhythm alone', () => {
    expect(new Set(PATTERNS.map((pattern) => JSON.stringify(RHYTHMS[pattern]))).size).toBe(PATTERNS.length)
  })

  test('keep the rhythms that the promise names', () => {
    expect(flashesPerSecond(RHYTHMS.working)).toBe(1)
    expect(flashesPerSecond(RHYTHMS.waiting)).toBe(1)
    expect(flashesPerSecond(RHYTHMS.checking)).toBe(2)
    expect(flashesPerSecond(RHYTHMS['not paid'])).toBe(2)
    expect(flashesPerSecond(RHYTHMS['out of service'])).toBe(3)
  })
})

test('flashes are counted over the end of a rhythm into its next round', () => {
  expect(flashesPerSecond({ onOffMs: [100, 100, 100, 100, 100, 100] })).toBe(5)
  expect(flashesPerSecond({ onOffMs: [100, 100, 100, 100, 100, 500, 100, 200] })).toBe(4)
})
