import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { faultIn } from '../../firmware-config/json-text.js'

const say = (text: string): string => {
  const fault = faultIn(text)
  return fault === undefined ? 'fine' : `${fault.line}:${fault.column} ${fault.what}`
}

const parses = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('a text that is not JSON', () => {
  test.each([
    ['{\n  "a": 1,\n}', '2:9 a comma before }'],
    ['[1,]', '1:3 a comma before ]'],
    ['{"a": 1 "b": 2}', '1:9 a comma or } belongs here, not \'"\''],
    ['[1 2]', "1:4 a comma or ] belongs here, not '2'"],
    ['{a: 1}', "1:2 a name in double quotes belongs here, not 'a'"],
    ["{'a': 1}", "1:2 a name in double quotes belongs here, not '''"],
    ['{"a" 1}', "1:6 a colon belongs here, not '1'"],
    ['{"a": }', "1:7 a value belongs here, not '}'"],
    ['{"a": 01}', "1:7 a value belongs here, not '0'"],
    ['{"a": tru}', "1:7 a value belongs here, not 't'"],
    ['{"a": "x\ny"}', '1:7 text that does not end on its line, or an escape that JSON does not have'],
    ['{"a": "\\x"}', '1:7 text that does not end on its line, or an escape that JSON does not have'],
    ['// hi\n{}', '1:1 a value belongs here, not a comment (JSON has none)'],
    ['{} {}', "1:4 '{' after the end of the document"],
    ['{"a": 1', '1:8 a comma or } belongs here, not the end of the file'],
    ['', '1:1 a value belongs here, not the end of the file'],
    ['{"a": \u00a01}', '1:7 a value belongs here, not U+00A0'],
    ['{"a": 1, "b": 2,\n "a": 3}', '2:2 the name "a" stands twice in this object'],
    ['{"a": 1, "\\u0061": 3}', '1:10 the name "a" stands twice in this object'],
    ['['.repeat(40), '1:34 more than 32 levels'],
  ])('%j: %s', (text, expected) => expect(say(text)).toBe(expected))

  test('never has its surroundings repeated: they may be a key', () => {
    expect(say('{"d": "CANARY" "x"}')).not.toContain('CANARY')
    expect(say('{"d": CANARY}')).not.toContain('CANARY')
  })
})

describe('a text that JSON.parse takes is fine, and no other', () => {
  test('of values', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), (text) => { expect(say(text)).toBe('fine') }))
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      expect(say(JSON.stringify(value, undefined, 2))).toBe('fine')
    }))
  })

  test('of values with a piece taken out, put in or doubled', () => {
    const piece = fc.constantFrom('', '"', ',', ':', '{', '}', '[', ']', '0', '-', '.', 'e', '1', 't', 'null', '\\', '\\u00', '\n', ' ', '\u0007')
    fc.assert(fc.property(fc.json({ maxDepth: 3 }), fc.nat(200), fc.nat(3), piece, (text, place, length, put) => {
      const at = Math.min(place, text.length)
      const changed = text.slice(0, at) + put + text.slice(at + length)
      const fault = faultIn(changed)
      if (fault?.what.includes('stands twice') === true) return // JSON.parse takes those and drops the first.
      expect(fault === undefined).toBe(parses(changed))
    }), { numRuns: 3_000 })
  })
})
