import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Input } from '../../../drivers/driver.js'
import { keyFormatOf, keyOf, readReport, type ReportFormat, reportStart } from '../../../drivers/keypad/hid-report.js'
import { BOOT_DESCRIPTOR, MEDIA_DESCRIPTOR, reportOf, usageOf, WITH_ID_DESCRIPTOR } from '../../fakes/hid.js'

/** What was typed by these reports, as text. */
function typed(reports: readonly Uint8Array[], format: ReportFormat = 'unknown'): string {
  let state = reportStart(format)
  const texts: string[] = []
  for (const report of reports) {
    const read = readReport(state, report)
    state = read.state
    for (const move of read.moves) if (move.move === 'pressed') texts.push(textOf(move.input))
  }
  return texts.filter((text) => text !== '').join(' ')
}

const textOf = (input: Input | undefined): string =>
  input === undefined ? '' : input.type === 'digit pressed' ? input.digit : input.type.replace(' pressed', '')

const tapsOf = (...usages: readonly number[]): readonly Uint8Array[] => usages.flatMap((usage) => [reportOf(usage), reportOf()])
const withId = (id: number, report: Uint8Array): Uint8Array => Uint8Array.of(id, ...report)
const rollover = Uint8Array.of(0, 0, 1, 1, 1, 1, 1, 1)

describe('what a keypad reports', () => {
  test('is typed when a key comes, and not while it stays or when it goes', () => {
    expect(typed([reportOf(0x59), reportOf(0x59), reportOf(0x59), reportOf(), reportOf()])).toBe('1')
    expect(typed([reportOf(0x59), reportOf(), reportOf(0x59)])).toBe('1 1')
  })

  test('may be of several keys, in any order', () => {
    expect(typed([reportOf(0x59), reportOf(0x5a, 0x59), reportOf(0x5a), reportOf(0x5b, 0x5a), reportOf()])).toBe('1 2 3')
  })

  test('names the same key once, however often it stands in it', () => {
    expect(typed([reportOf(0x59, 0x59, 0x59), reportOf()])).toBe('1')
  })

  test('is no news when too many keys are down', () => {
    expect(typed([reportOf(0x59), rollover, reportOf(0x59), rollover, reportOf(0x59, 0x5a)])).toBe('1 2')
    expect(typed([rollover, reportOf(0x59)])).toBe('1')
  })

  test('is the same with Shift and its like held', () => {
    expect(typed([Uint8Array.of(0x22, 0, 0x59, 0, 0, 0, 0, 0)])).toBe('1')
    expect(typed([Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0), Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0)])).toBe('')
  })

  test('has a byte in it that is the maker\'s own, and no key', () => {
    expect(typed([Uint8Array.of(0, 0x59, 0x5a, 0, 0, 0, 0, 0)], 'plain')).toBe('2')
    expect(typed([Uint8Array.of(9, 0, 0x59, 0x5a, 0, 0, 0, 0, 0)], 9)).toBe('2')
  })

  test('may have an id in front, learned from the first with a key', () => {
    const reports = tapsOf(0x59, 0x5a).map((report) => withId(3, report))
    expect(typed(reports)).toBe('1 2')
    expect(typed([withId(7, reportOf()), ...reports, withId(4, reportOf(0x5b)), ...tapsOf(0x5c)])).toBe('1 2')
  })

  test.each([
    ['another id', [withId(1, reportOf(0x59))], 2],
    ['no id', tapsOf(0x59), 2],
    ['an id where there is none', [withId(2, reportOf(0x59))], 'plain' as const],
    ['the id 0, which there is not', [withId(0, reportOf(0x59))], 'unknown' as const],
  ])('is not of keys with %s', (_, reports, format) => expect(typed(reports, format)).toBe(''))

  test('is not of keys with any other length', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }).filter(({ length }) => length !== 8 && length !== 9), (report) => {
      const state = reportStart('unknown')
      expect(readReport(state, report)).toEqual({ state, moves: [], understood: false })
    }))
  })

  test('may be garbage of any kind: it is read in bounded room, and whatever goes down goes up', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 70 })), fc.array(fc.uint8Array({ minLength: 8, maxLength: 9 })), (some, more) => {
      let state = reportStart('unknown')
      const down = new Set<string>()
      for (const report of [...some, ...more]) {
        const read = readReport(state, report)
        state = read.state
        expect(state.down.length).toBeLessThanOrEqual(6)
        for (const { move, key } of read.moves) {
          expect(down.has(key)).toBe(move === 'released')
          if (move === 'pressed') down.add(key)
          else down.delete(key)
        }
      }
    }))
  })
})

describe('the keys of a keypad', () => {
  test.each([
    [[0x59, 0x5a, 0x5b, 0x5c, 0x5d, 0x5e, 0x5f, 0x60, 0x61, 0x62], '1 2 3 4 5 6 7 8 9 0'],
    [[0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27], '1 2 3 4 5 6 7 8 9 0'],
    [[0xb0, 0xb1], '00 000'],
    [[0x58, 0x28], 'enter enter'],
    [[0x63, 0x85, 0xdc, 0x37, 0x36], 'point point point point point'],
    [[0x2a, 0xbb, 0x9c, 0xd8, 0xd9, 0x56], 'clear clear clear clear clear clear'],
    [[0x29, 0x54, 0x55], 'cancel cancel cancel'],
    [[0x57, 0x2b, 0x67, 0x04, 0x3a, 0xe0, 0xff], ''],
  ])('%j are %s', (usages, expected) => expect(typed(tapsOf(...usages))).toBe(expected))

  test('of a pad whose own NumLock is off are the same digits, and its point', () => {
    expect(typed(tapsOf(0x49, 0x4d, 0x51, 0x4e, 0x50, 0x5d, 0x4f, 0x4a, 0x52, 0x4b, 0x4c))).toBe('0 1 2 3 4 5 6 7 8 9 point')
    expect(typed(tapsOf(0x49, 0x5c, 0x5d, 0x4c))).toBe('0 4 5 clear')
  })

  test('include a Delete that clears, unless the last digit came from the other layer', () => {
    expect(typed(tapsOf(0x4c))).toBe('clear')
    expect(typed(tapsOf(0x59, 0x4c, 0x51, 0x4c, 0x5d, 0x4c, 0x5a, 0x4c))).toBe('1 clear 2 point 5 point 2 clear')
  })

  test('do not include NumLock, which some pads send around every other key', () => {
    const reports = [0x59, 0x5a].flatMap((usage) => [reportOf(0x53), reportOf(), reportOf(0x53, usage), reportOf(usage), reportOf(), reportOf(0x53), reportOf()])
    expect(typed(reports)).toBe('1 2')
    expect(readReport(reportStart('plain'), reportOf(0x53)).moves).toEqual([])
  })

  test('each have a name of their own', () => {
    for (const layer of ['digits', 'navigation'] as const) {
      const names = Array.from({ length: 256 }, (_, usage) => keyOf(usage, layer).name)
      expect(new Set(names).size).toBe(256)
    }
  })
})

describe('a report descriptor', () => {
  test.each([
    ['a boot keyboard', BOOT_DESCRIPTOR, 'plain'],
    ['media keys, then keys', WITH_ID_DESCRIPTOR, 2],
    ['a keypad', BOOT_DESCRIPTOR.with(3, 0x07), 'plain'],
    ['a mouse', BOOT_DESCRIPTOR.with(3, 0x02), undefined],
    ['media keys', MEDIA_DESCRIPTOR, undefined],
    ['nothing', new Uint8Array(), undefined],
    ['a keyboard that was cut off', BOOT_DESCRIPTOR.slice(0, 8), undefined],
    ['a long item and then a keyboard', Uint8Array.of(0xfe, 2, 9, 0xa1, 0x01, ...BOOT_DESCRIPTOR), 'plain'],
    ['a usage with its page in it', Uint8Array.of(0x0b, 6, 0, 1, 0, 0xa1, 1, 0x85, 9, 0x81, 0, 0xc0), 9],
    ['a mouse that tells of a keyboard inside', Uint8Array.of(0x05, 1, 0x09, 2, 0xa1, 1, 0x09, 6, 0xa1, 0, 0x81, 0, 0xc0, 0xc0), undefined],
  ])('of %s', (_, descriptor, format) => expect(keyFormatOf(descriptor)).toBe(format))

  test('may be any bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => { keyFormatOf(bytes) }))
  })
})

test('the digits that a person pressed are the digits that are read, exactly once and in order', () => {
  const KEYS = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '00', '000', '.', 'enter', 'clear', 'cancel']
  const step = fc.record({
    key: fc.constantFrom(...KEYS), lets: fc.nat(6), twice: fc.boolean(), rollover: fc.boolean(), shuffle: fc.nat(), foreign: fc.boolean(), modifiers: fc.nat(255),
  })
  const format = fc.constantFrom<readonly [ReportFormat, number]>(['plain', 0], ['unknown', 0], [5, 5], ['unknown', 5])
  fc.assert(fc.property(fc.array(step, { maxLength: 80 }), format, (steps, [known, id]) => {
    const reports: Uint8Array[] = []
    const expected: string[] = []
    let down: string[] = []
    const send = (seed: number, modifiers = 0): void => {
      const slots = down.map(usageOf)
      const turned = slots.slice(seed % (slots.length || 1)).concat(slots.slice(0, seed % (slots.length || 1)))
      const report = reportOf(...(seed % 2 === 0 ? turned : turned.reverse())).with(0, modifiers)
      reports.push(id === 0 ? report : withId(id, report))
    }
    for (const { key, lets, twice, rollover: tooMany, shuffle, foreign, modifiers } of steps) {
      down = down.filter((other, index) => other !== key && index >= down.length - 5 + Math.min(lets, 5))
      send(shuffle, modifiers)
      down = [...down, key]
      expected.push(key === '.' ? 'point' : key)
      send(shuffle, modifiers)
      if (twice) send(shuffle + 1, modifiers)
      if (tooMany) reports.push(id === 0 ? rollover : withId(id, rollover))
      if (foreign) reports.push(Uint8Array.of(1, 0xe9, 0))
      if (tooMany) send(shuffle)
    }
    expect(typed(reports, known)).toBe(expected.join(' '))
  }))
})
