import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LampPattern } from '../../../drivers/driver.js'
import {
  flashesPerSecond, type LampForm, RHYTHMS, soundAt, SOUNDS, type Step, stepAt, stepsOf,
} from '../../../drivers/lamps/patterns.js'

const PATTERNS = Object.keys(RHYTHMS) as LampPattern[]
const FORMS: readonly LampForm[] = [true, false].flatMap((dimmable) => [
  { shape: 'single', lights: 1, dimmable },
  { shape: 'rgb', lights: 3, dimmable },
  ...Array.from({ length: 15 }, (_, at) => ({ shape: 'ring', lights: at + 2, dimmable }) as const),
])
const CASES = FORMS.map((form) => [`${form.shape} of ${form.lights}, ${form.dimmable ? 'dimmed' : 'on and off'}`, form] as const)

/** What an eye sees that can tell light from dark, and follows one light: '1x200 0x1800 ...', steps of the same light as one. */
function seen(steps: readonly Step[], lightOf: (brightnesses: readonly number[]) => number): string {
  const runs: { light: number; ms: number }[] = []
  for (const { brightnesses, ms } of steps) {
    const light = lightOf(brightnesses)
    const last = runs.at(-1)
    if (last?.light === light) last.ms += ms
    else runs.push({ light, ms })
  }
  const words = runs.map(({ light, ms }) => `${light}x${ms}`)
  // Nobody sees where a round begins.
  return words.map((_, at) => [...words.slice(at), ...words.slice(0, at)].join(' ')).sort()[0] ?? ''
}
const anyLight = (brightnesses: readonly number[]): number => Math.max(...brightnesses)

describe.each(CASES)('the lamps: %s', (_, form) => {
  test.each(PATTERNS)('%s never flash more than three times in any second', (pattern) => {
    expect(flashesPerSecond(stepsOf(pattern, form))).toBeLessThanOrEqual(3)
  })

  test('tell every pattern from every other by rhythm and brightness, without colour and place', () => {
    expect(new Set(PATTERNS.map((pattern) => seen(stepsOf(pattern, form), anyLight))).size).toBe(PATTERNS.length)
  })

  test('keep one rhythm on every shape', () => {
    const one: LampForm = { shape: 'single', lights: 1, dimmable: form.dimmable }
    for (const pattern of PATTERNS) {
      const steps = stepsOf(pattern, form)
      const rhythm = stepsOf(pattern, one)
      for (const [index, { brightnesses, ms }] of steps.entries()) {
        expect([anyLight(brightnesses), ms]).toEqual([rhythm[index % rhythm.length]?.brightnesses[0], rhythm[index % rhythm.length]?.ms])
      }
    }
  })

  test('have a brightness for each light, between dark and full, and only those that such lights have', () => {
    for (const { brightnesses, ms } of PATTERNS.flatMap((pattern) => stepsOf(pattern, form))) {
      expect(brightnesses).toHaveLength(form.lights)
      expect(ms).toBeGreaterThan(0)
      for (const brightness of brightnesses) {
        expect(brightness).toBeGreaterThanOrEqual(0)
        expect(brightness).toBeLessThanOrEqual(1)
        if (!form.dimmable) expect([0, 1]).toContain(brightness)
      }
    }
  })

  test('are steady when it is paid, and a box that is ready is neither that nor dark', () => {
    expect(seen(stepsOf('paid', form), anyLight)).toBe('1xInfinity')
    expect(seen(stepsOf('off', form), anyLight)).toBe('0xInfinity')
    expect(seen(stepsOf('ready', form), anyLight)).toBe(form.dimmable ? '0.1xInfinity' : '0x3900 1x100')
  })
})

describe('a ring', () => {
  const RINGS = FORMS.filter(({ shape }) => shape === 'ring')

  test('of which all lights but one are broken still tells every pattern from every other', () => {
    for (const form of RINGS) {
      for (let light = 0; light < form.lights; light++) {
        const views = PATTERNS.map((pattern) => seen(stepsOf(pattern, form), (brightnesses) => brightnesses[light] ?? 0))
        expect(new Set(views).size).toBe(PATTERNS.length)
      }
    }
  })

  test('goes round by one light at a time while it checks', () => {
    const lit = stepsOf('checking', { shape: 'ring', lights: 3, dimmable: false }).map(({ brightnesses }) => brightnesses.join(''))
    expect(lit).toEqual(['100', '000', '010', '000', '001', '000'])
  })

  test('changes sides when it is not paid, and is whole when it is', () => {
    const form: LampForm = { shape: 'ring', lights: 5, dimmable: false }
    expect(stepsOf('not paid', form).map(({ brightnesses }) => brightnesses.join(''))).toEqual(['11100', '00000', '00011', '00000'])
    expect(stepsOf('paid', form).map(({ brightnesses }) => brightnesses.join(''))).toEqual(['11111'])
  })
})

test('colours say it once more: green is paid, red is not', () => {
  const colour = (pattern: LampPattern) => stepsOf(pattern, { shape: 'rgb', lights: 3, dimmable: true })[0]?.brightnesses
  expect([colour('paid'), colour('not paid'), colour('waiting')]).toEqual([[0, 1, 0], [1, 0, 0], [1, 1, 1]])
})

test('keep the rhythms that the promise names', () => {
  const flashes = (pattern: LampPattern) => flashesPerSecond(stepsOf(pattern, { shape: 'single', lights: 1, dimmable: true }))
  expect(PATTERNS.map((pattern) => [pattern, flashes(pattern)])).toEqual([
    ['off', 0], ['ready', 0], ['working', 1], ['waiting', 1], ['checking', 2], ['paid', 0], ['not paid', 2], ['offline', 1], ['out of service', 3],
  ])
})

test('flashes are counted over the end of a rhythm into its next round, and those of two lights in turn are two', () => {
  const blink = (...onOffMs: readonly number[]): readonly Step[] => onOffMs.map((ms, at) => ({ brightnesses: [1 - at % 2], ms }))
  expect(flashesPerSecond(blink(100, 100, 100, 100, 100, 100))).toBe(5)
  expect(flashesPerSecond(blink(100, 100, 100, 100, 100, 500, 100, 200))).toBe(4)
  expect(flashesPerSecond([{ brightnesses: [1, 0], ms: 250 }, { brightnesses: [0, 1], ms: 250 }])).toBe(4)
  expect(flashesPerSecond([{ brightnesses: [1], ms: 250 }, { brightnesses: [0.5], ms: 250 }])).toBe(2)
})

describe('a moment of a pattern', () => {
  const steps = fc.array(fc.record({ brightnesses: fc.tuple(fc.nat(9)), ms: fc.integer({ min: 1, max: 4_000 }) }), { minLength: 1, maxLength: 12 })
  const time = fc.double({ min: 0, max: 1e9, noNaN: true })

  test('always ends later than now, however long ago the pattern began', () => {
    fc.assert(fc.property(steps, time, time, (some, startedAt, sinceMs) => {
      const at = startedAt + sinceMs
      expect(stepAt(some, startedAt, at).until).toBeGreaterThan(at)
    }))
  })

  test('is found by going through all the steps before it', () => {
    fc.assert(fc.property(steps, fc.integer({ min: 0, max: 1e9 }), fc.integer({ min: 0, max: 50_000 }), (some, startedAt, sinceMs) => {
      let until = startedAt
      let found: readonly number[] = []
      for (let next = 0; until <= startedAt + sinceMs; next++) {
        const step = some[next % some.length]
        found = step?.brightnesses ?? []
        until += step?.ms ?? 0
      }
      expect(stepAt(some, startedAt, startedAt + sinceMs)).toEqual({ what: found, until })
    }))
  })
})

describe('sounds', () => {
  test('are for endings only, and differ in number and length', () => {
    expect(PATTERNS.filter((pattern) => SOUNDS[pattern].length > 0)).toEqual(['paid', 'not paid', 'out of service'])
    expect(['paid', 'not paid', 'out of service'].map((pattern) => (SOUNDS[pattern as LampPattern].length + 1) / 2)).toEqual([1, 2, 3])
    expect(SOUNDS.paid[0]).toBeGreaterThan(3 * (SOUNDS['not paid'][0] ?? 0))
  })

  test('are played once', () => {
    expect([0, 149, 150, 299, 300, 449, 450, 1e9].map((since) => soundAt(SOUNDS['not paid'], 1_000, 1_000 + since))).toEqual([
      { what: true, until: 1_150 }, { what: true, until: 1_150 }, { what: false, until: 1_300 }, { what: false, until: 1_300 },
      { what: true, until: 1_450 }, { what: true, until: 1_450 }, { what: false, until: Infinity }, { what: false, until: Infinity },
    ])
  })
})
