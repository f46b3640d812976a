import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { formatProblems, nearestWord, type Problem, problemsOf } from '../../firmware-config/problems.js'

const key = z.strictObject({ kid: z.string(), d: z.base64url().length(43) })

const Shop = z.strictObject({
  shopName: z.string().min(1).max(40),
  currency: z.enum(['THB', 'SGD', 'MYR']),
  kind: z.literal('shop').default('shop'),
  tables: z.int().min(1).max(99).optional(),
  share: z.number().gt(0).lt(1).optional(),
  step: z.int().multipleOf(5).optional(),
  open: z.boolean().optional(),
  code: z.string().regex(/^[a-z]+$/, 'lower case letters').optional(),
  pin: z.string().regex(/^[0-9]+$/).optional(),
  url: z.url({ protocol: /^mqtts?$/ }).optional(),
  site: z.url().optional(),
  baud: z.union([z.literal(1200), z.literal(9600)]).optional(),
  panel: z.discriminatedUnion('driver', [
    z.strictObject({ driver: z.literal('png'), directory: z.string() }),
    z.strictObject({ driver: z.literal('bench') }),
  ]).optional(),
  place: z.union([z.string(), z.strictObject({ street: z.string(), number: z.int() })]).optional(),
  password: z.string().min(8).optional(),
  keys: z.array(key).min(1).max(2).optional(),
})

const good = { shopName: 'Baan Kafae', currency: 'THB' }

function problemsIn(input: unknown, prefix = 'site'): readonly Problem[] {
  const parsed = Shop.safeParse(input)
  return parsed.success ? [] : problemsOf(parsed.error, input, prefix, Shop)
}
const lines = (change: object): string => formatProblems(problemsIn({ ...good, ...change }))

describe('a problem names the thing and the value', () => {
  test.each([
    [{ currency: 'USD' }, 'site.currency: must be one of THB, SGD, MYR (found "USD")'],
    [{ currency: undefined }, 'site.currency: must be one of THB, SGD, MYR (is missing)'],
    [{ shopName: undefined }, 'site.shopName: is missing; must be text'],
    [{ shopName: 7 }, 'site.shopName: must be text (found 7)'],
    [{ shopName: null }, 'site.shopName: must be text (found null)'],
    [{ shopName: ['a'] }, 'site.shopName: must be text (found a list)'],
    [{ shopName: '' }, 'site.shopName: must have at least 1 character (found 0)'],
    [{ shopName: 'x'.repeat(41) }, 'site.shopName: must have at most 40 characters (found 41)'],
    [{ kind: 'bar' }, 'site.kind: must be shop (found "bar")'],
    [{ tables: 0 }, 'site.tables: must be at least 1 (found 0)'],
    [{ tables: 100 }, 'site.tables: must be at most 99 (found 100)'],
    [{ tables: 1.5 }, 'site.tables: must be a whole number (found 1.5)'],
    [{ share: 0 }, 'site.share: must be more than 0 (found 0)'],
    [{ share: 1 }, 'site.share: must be less than 1 (found 1)'],
    [{ step: 7 }, 'site.step: must be a multiple of 5 (found 7)'],
    [{ open: 'yes' }, 'site.open: must be true or false (found "yes")'],
    [{ code: 'A' }, 'site.code: must be lower case letters (found "A")'],
    [{ pin: 'a' }, 'site.pin: must be text that matches /^[0-9]+$/ (found "a")'],
    [{ url: 'http://x' }, 'site.url: must be a URL that begins with mqtt:// or mqtts:// (found "http://x")'],
    [{ site: 'x' }, 'site.site: must be a URL (found "x")'],
    [{ baud: 9601 }, 'site.baud: must be one of 1200, 9600 (found 9601)'],
    [{ panel: { driver: 'pgn' } }, 'site.panel.driver: must be one of png, bench (found "pgn")'],
    [{ panel: {} }, 'site.panel.driver: must be one of png, bench (is missing)'],
    [{ panel: { driver: 'png', directory: 3 } }, 'site.panel.directory: must be text (found 3)'],
    [{ place: { street: 'a', number: 'b' } }, 'site.place.number: must be a number (found "b")'],
    [{ place: 3 }, 'site.place: has none of the forms that may stand here (found 3)'],
    [{ keys: [] }, 'site.keys: must have at least 1 entry (found 0)'],
  ])('%j: %s', (change, expected) => expect(lines(change)).toBe(expected))

  test('a document that is no object has one problem, at its prefix', () => {
    expect(formatProblems(problemsIn('x'))).toBe('site: must be an object (found "x")')
    expect(formatProblems(problemsIn([], ''))).toBe('must be an object (found a list)')
  })

  test('every problem is there at once, sorted, with numbers in order', () => {
    const paths = problemsIn({ shopName: 1, currency: 1, tables: 'x', panel: { driver: 'png', directory: 1, x: 1 }, zzz: 1 }).map(({ path }) => path)
    expect(paths).toEqual(['site.currency', 'site.panel.directory', 'site.panel.x', 'site.shopName', 'site.tables', 'site.zzz'])
    const many = z.object({ list: z.array(z.string()) }).safeParse({ list: Array(12).fill(1) })
    expect(many.error === undefined ? [] : problemsOf(many.error, {}, '').map(({ path }) => path).slice(1, 3)).toEqual(['list.1', 'list.2'])
  })
})

describe('an unknown key', () => {
  test.each([
    [{ shopname: 'x' }, 'site.shopname: unknown key\n  hint: did you mean shopName?'],
    [{ curency: 'THB' }, 'site.curency: unknown key\n  hint: did you mean currency?'],
    [{ panel: { driver: 'bench', drivr: 1 } }, 'site.panel.drivr: unknown key\n  hint: did you mean driver?'],
    [{ panel: { driver: 'bench', colour: 1 } }, 'site.panel.colour: unknown key\n  hint: what may stand here: driver, directory'],
  ])('%j', (change, expected) => expect(lines(change)).toBe(expected))

  test('in a list gets its hint too', () => {
    const d = 'A'.repeat(43)
    expect(lines({ keys: [{ kid: 'a', d }, { kid: 'a', kidd: 'x', d }] })).toBe('site.keys.1.kidd: unknown key\n  hint: did you mean kid?')
  })

  test('without a schema has no hint, and is a problem all the same', () => {
    const parsed = Shop.safeParse({ ...good, x: 1 })
    expect(parsed.error === undefined ? [] : problemsOf(parsed.error, {}, '')).toEqual([{ path: 'x', problem: 'unknown key' }])
  })

  test('the nearest word is near', () => {
    expect(nearestWord('laptp', ['countertop-stand', 'laptop'])).toBe('laptop')
    expect(nearestWord('printer', ['countertop-stand', 'laptop'])).toBeUndefined()
    expect(nearestWord('', [])).toBeUndefined()
  })
})

describe('a secret is never repeated', () => {
  const canary = 'CANARY-5f0e'
  test.each([
    { password: 'CANARY' },
    { keys: [{ kid: 'a', d: canary }] },
    { keys: [{ kid: 'a', d: canary.repeat(100) }] },
    { keys: canary },
    { keys: [canary] },
    { keys: [{ kid: 'a', d: 1 }, { kid: 'a', d: { canary } }] },
    { url: `http://terminal:${canary}@broker.example` },
    { site: `//terminal:${canary}@broker.example` },
    { zzz: canary },
    { panel: { driver: 'bench', secret: canary } },
  ])('%j', (change) => {
    const said = lines(change)
    expect(said).toMatch(/^site\./)
    expect(said).not.toContain('CANARY')
  })

  test.each(['password', 'd', 'secretKey', 'webhookSecret', 'apiKey', 'token', 'passphrase'])('not even when %s has the wrong type', (name) => {
    const schema = z.strictObject({ [name]: z.object({}) })
    fc.assert(fc.property(fc.oneof(fc.string({ minLength: 4 }), fc.integer({ min: 1000 })), (secret) => {
      const parsed = schema.safeParse({ [name]: secret })
      const said = parsed.error === undefined ? '' : formatProblems(problemsOf(parsed.error, { [name]: secret }, '', schema))
      expect(said).toBe(`${name}: must be an object (found a value that is not shown)`)
    }))
  })
})

test('a keypad is no key: what was found there is shown', () => {
  const schema = z.strictObject({ keypad: z.strictObject({ driver: z.enum(['none', 'stdin']) }) })
  const input = { keypad: { driver: 'stdn' } }
  const { error } = schema.safeParse(input)
  expect(error && formatProblems(problemsOf(error, input, 'profile', schema))).toBe('profile.keypad.driver: must be one of none, stdin (found "stdn")')
})

describe('a problem is one line', () => {
  test('whatever the value is made of', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (value) => {
      const said = lines({ currency: value })
      expect(said.length).toBeLessThan(600)
      expect(said).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u)
    }))
  })

  test('and a key is no better than a value', () => {
    expect(lines({ 'a\n\u202eb': 1 })).toContain('site.a\\u000a\\u202eb: unknown key')
  })

  test('and a thousand problems are not a thousand lines', () => {
    const input = { ...good, ...Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`x${n}`, 1])) }
    expect(formatProblems(problemsIn(input)).split('\n').at(-1)).toBe('... and 900 more')
  })

  test('under the name of its file when there are several', () => {
    expect(formatProblems([
      { file: '/a.json', path: 'site.x', problem: 'unknown key', hint: 'did you mean y?' },
      { file: '/a.json', path: 'site.z', problem: 'unknown key' },
      { file: '/b.json', path: '', problem: 'there is no such file' },
    ])).toBe('/a.json:\n  site.x: unknown key\n    hint: did you mean y?\n  site.z: unknown key\n/b.json:\n  there is no such file')
  })
})
