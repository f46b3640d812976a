import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ageText, bothText, isDay, offsetText, theDay, wallText, widely, yesterday } from '../../cloud/calendar.js'

const at = (text: string): number => Date.parse(text)

describe('the day of a shop', () => {
  test.each([
    ['THB', '2026-02-28T17:00:00.000Z', '2026-03-01T17:00:00.000Z'],
    ['SGD', '2026-02-28T16:00:00.000Z', '2026-03-01T16:00:00.000Z'],
    ['MYR', '2026-02-28T16:00:00.000Z', '2026-03-01T16:00:00.000Z'],
  ])('in %s begins and ends at its own midnight', (currency, start, end) => {
    const day = theDay('2026-03-01')(currency)
    expect([day.name, new Date(day.start).toISOString(), new Date(day.end).toISOString()]).toEqual(['2026-03-01', start, end])
  })

  test('is over everywhere when it is over in the last of them', () => {
    expect(widely(theDay('2026-03-01'))).toEqual({ start: at('2026-02-28T16:00:00Z'), end: at('2026-03-01T17:00:00Z') })
  })

  test.each([
    ['2026-03-01T15:59:59Z', 'SGD', '2026-02-28'], ['2026-03-01T16:00:00Z', 'SGD', '2026-03-01'],
    ['2026-03-01T16:59:59Z', 'THB', '2026-02-28'], ['2026-03-01T17:00:00Z', 'THB', '2026-03-01'],
    ['2026-01-01T00:00:00Z', 'THB', '2025-12-31'], ['2028-03-01T00:00:00Z', 'MYR', '2028-02-29'],
  ])('that ended last, at %s in %s, was %s', (now, currency, name) => {
    expect(yesterday(at(now))(currency).name).toBe(name)
  })

  test('that ended last had ended, and the next one had not', () => {
    fc.assert(fc.property(fc.integer({ min: at('2020-01-01'), max: at('2100-01-01') }), fc.constantFrom('THB', 'SGD', 'MYR'), (now, currency) => {
      const { start, end } = yesterday(now)(currency)
      expect(end - start).toBe(86_400_000)
      expect(end).toBeLessThanOrEqual(now)
      expect(end + 86_400_000).toBeGreaterThan(now)
    }))
  })

  test.each(['2026-03-01', '2028-02-29', '2026-12-31'])('%s is one', (text) => { expect(isDay(text)).toBe(true) })
  test.each(['2026-02-29', '2026-13-01', '2026-00-10', '2026-3-1', '20260301', 'yesterday', '', ' 2026-03-01', '2026-03-01T00:00:00Z', '๒๐๒๖-03-01'])(
    '%j is none', (text) => { expect(isDay(text)).toBe(false) })
})

describe('a moment', () => {
  test('is shown as the clock on the wall there shows it, with UTC beside it', () => {
    expect(wallText(at('2026-03-01T17:00:05Z'), 'THB')).toBe('2026-03-02 00:00:05')
    expect(bothText(at('2026-03-01T17:00:05Z'), 'SGD')).toBe('2026-03-02 01:00:05 (+08:00), 17:00:05 UTC')
    expect([offsetText('THB'), offsetText('MYR')]).toEqual(['+07:00', '+08:00'])
  })

  test.each([[0, 'a moment'], [999, 'a moment'], [1_000, '1 second'], [59_999, '59 seconds'], [60_000, '1 minute'], [7_199_999, '1 hour'], [2 * 86_400_000, '2 days']])(
    '%d ms ago is %s', (ms, text) => { expect(ageText(ms)).toBe(text) })
})
