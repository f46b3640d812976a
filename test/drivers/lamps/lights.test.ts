import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { LampPattern } from '../../../drivers/driver.js'
import type { Light, LightWire } from '../../../drivers/linux/led.js'
import { createLightLamps, type LightLampsOptions } from '../../../drivers/lamps/lights.js'
import { lampsConformance } from '../../conformance/lamps.js'
import { createFakeClock } from '../../fakes/clock.js'
import { createFakeBoard, type FakePin } from '../../fakes/gpio.js'

const log = pino({ level: 'silent' })
const BUZZER = 26
const onPin = (pin: number): LightWire => ({ pin, activeLow: false })
const onLed = (led: string): LightWire => ({ led })

/** What an eye knows of the patterns: light and dark, how bright, and how long. Written down anew, not taken from the driver. */
const KNOWN: Readonly<Record<LampPattern, string>> = {
  'off': '0',
  'ready': '0.1',
  'working': '1x500 0x500',
  'waiting': '1x800 0x200',
  'checking': '1x250 0x250',
  'paid': '1',
  'not paid': '1x200 0x200 1x200 0x1400',
  'offline': '1x1000 0x1000',
  'out of service': '1x200 0x200 1x200 0x200 1x200 0x1400',
}
const READY_UNDIMMED = '1x100 0x3900'

interface World extends Partial<Omit<LightLampsOptions, 'board'>> {
  readonly openLight?: (wire: LightWire) => Promise<Light>
  /** Of the alarm that is to ring at that time. */
  readonly lateMs?: (at: number) => number
}

async function box({ openLight, lateMs = () => 0, ...options }: World = {}) {
  const clock = createFakeClock()
  const board = createFakeBoard()
  const reports: (string | undefined)[] = []
  const lights = options.lights ?? [onPin(5)]
  const lamps = createLightLamps({
    shape: 'single', lights, report: (fault) => reports.push(fault), log, now: () => clock.now(),
    alarm: (at, ring) => clock.alarm(at + lateMs(at), ring),
    board: { openLight: openLight ?? board.gpio.openLight },
    ...options,
  })
  await setImmediate()
  const levels = (): readonly number[] => lights.map((wire) => board.level(pinOf(wire)))
  /** Some time of looking at the lights, 10 ms at a time. */
  const watch = (ms: number): readonly number[][] => Array.from({ length: ms / 10 }, () => {
    const now = levels()
    clock.advance(10)
    return [...now]
  })
  return { lamps, board, clock, reports, levels, watch }
}

const pinOf = (wire: LightWire): FakePin => ('led' in wire ? wire.led : wire.pin)

/** The rhythm of the brightest light: '1x200 0x200 ...' without the first and the last run, which were cut; or one level. */
function rhythmOf(looks: readonly (readonly number[])[]): string {
  const runs: { level: number; ms: number }[] = []
  for (const levels of looks) {
    const level = Math.max(...levels)
    const last = runs.at(-1)
    if (last?.level === level) last.ms += 10
    else runs.push({ level, ms: 10 })
  }
  if (runs.length === 1) return String(runs[0]?.level)
  return runs.slice(1, -1).map(({ level, ms }) => `${level}x${ms}`).join(' ')
}

function patternOf(looks: readonly (readonly number[])[]): LampPattern | undefined {
  const rhythm = rhythmOf(looks)
  const blinks = rhythm.split(' ').length > 1
  return (Object.keys(KNOWN) as LampPattern[]).find((pattern) => [KNOWN[pattern], ...(pattern === 'ready' ? [READY_UNDIMMED] : [])]
    .some((known) => (blinks ? known.includes(' ') && Array(40).fill(known).join(' ').includes(rhythm) : known === rhythm)))
}

const conforming = (options: World) => async () => {
  const { lamps, watch } = await box(options)
  let shown = false
  return {
    lamps: { show: (pattern: LampPattern) => { shown = true; lamps.show(pattern) }, close: () => lamps.close() },
    seen: () => (shown ? patternOf(watch(12_000)) : undefined),
  }
}

describe('one light that is on or off', () => lampsConformance(conforming({})))
describe('one light of the kernel, which can be dimmed', () => lampsConformance(conforming({ lights: [onLed('pay')] })))
describe('a light and a buzzer', () => lampsConformance(conforming({ buzzer: onPin(BUZZER) })))
describe('lights of three colours', () => lampsConformance(conforming({ shape: 'rgb', lights: ['r', 'g', 'b'].map(onLed) })))
describe('a ring of lights', () => lampsConformance(conforming({ shape: 'ring', lights: [5, 6, 7, 8, 9].map(onPin) })))

describe('time', () => {
  test('a lamp on which nothing changes needs none: no alarm waits', async () => {
    const { lamps, clock } = await box({ lights: [onLed('pay')] })
    for (const pattern of ['off', 'ready', 'paid'] as const) {
      lamps.show(pattern)
      expect(clock.waiting()).toBe(0)
    }
  })

  test('a lamp that blinks waits for one alarm, whatever is shown after what, and with a buzzer', async () => {
    const { lamps, clock } = await box({ buzzer: onPin(BUZZER) })
    for (const pattern of ['working', 'checking', 'paid', 'not paid', 'out of service', 'waiting'] as const) {
      lamps.show(pattern)
      clock.advance(70)
      expect(clock.waiting()).toBe(1)
    }
  })

  test('late alarms add up to nothing: each edge is counted from the start of the pattern', async () => {
    const lateness = fc.array(fc.integer({ min: 0, max: 240 }), { minLength: 1, maxLength: 20 })
    await fc.assert(fc.asyncProperty(lateness, async (late) => {
      const asked: number[] = []
      const { lamps, clock } = await box({
        lateMs(at) {
          asked.push(at)
          return late[asked.length % late.length] ?? 0
        },
      })
      clock.advance(77)
      asked.length = 0
      const startedAt = clock.now()
      lamps.show('checking')
      clock.advance(20_000)
      expect(asked.slice(0, 80)).toEqual(Array.from({ length: 80 }, (_, at) => startedAt + 250 * (at + 1)))
    }))
  })

  test('after an hour the edges are where they belong', async () => {
    const { lamps, clock, watch } = await box()
    lamps.show('checking')
    clock.advance(3_600_000)
    expect(rhythmOf([[9], ...watch(1_000), [9]])).toBe('1x250 0x250 1x250 0x250')
  })

  test('a program that was held up goes on where the pattern is by now, and does not make up for what it missed', async () => {
    let heldUp = false
    const { lamps, board, clock, levels } = await box({ lateMs: () => (heldUp ? 10_100 : 0) })
    heldUp = true
    lamps.show('waiting')
    heldUp = false
    clock.advance(10_899)
    const before = board.history(5).length
    clock.advance(1) // 800 + 10100 ms after the start: 100 ms before the end of a dark phase.
    expect([levels(), board.history(5).length]).toEqual([[0], before + 1])
    clock.advance(100)
    expect(levels()).toEqual([1])
  })

  test('a pattern that is shown again goes on', async () => {
    const { lamps, clock, levels } = await box()
    lamps.show('working')
    clock.advance(400)
    lamps.show('working')
    clock.advance(100)
    expect(levels()).toEqual([0])
  })

  test('patterns in quick succession flash no more than three times in any second either, and the last one is shown', async () => {
    const change = fc.record({ pattern: fc.constantFrom(...Object.keys(KNOWN) as LampPattern[]), afterMs: fc.integer({ min: 0, max: 60 }).map((ms) => ms * 10) })
    const lights = fc.constantFrom<World>({}, { shape: 'rgb', lights: [5, 6, 7].map(onPin) }, { shape: 'ring', lights: ['a', 'b', 'c', 'd'].map(onLed) })
    await fc.assert(fc.asyncProperty(lights, fc.array(change, { minLength: 3, maxLength: 40 }), async (options, changes) => {
      const { lamps, watch } = await box(options)
      const looks = changes.flatMap(({ pattern, afterMs }) => {
        lamps.show(pattern)
        return watch(afterMs)
      })
      const flashes = looks.flatMap((levels, at) => (levels.some((level, light) => level > (looks[at - 1]?.[light] ?? 0)) ? [at * 10] : []))
      for (const from of flashes) expect(flashes.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(3)
      watch(1_500)
      expect(patternOf(watch(12_000))).toBe(changes.at(-1)?.pattern)
      await lamps.close()
    }), { numRuns: 60 })
  }, 60_000)
})

test('a flash too many waits until a second has passed since the first of them, and no longer', async () => {
  const { lamps, clock, levels } = await box()
  for (const pattern of ['paid', 'off', 'paid', 'off', 'paid', 'off'] as const) {
    lamps.show(pattern)
    clock.advance(100)
  }
  lamps.show('paid')
  clock.advance(399)
  expect(levels()).toEqual([0])
  clock.advance(1)
  expect([levels(), clock.waiting()]).toEqual([[1], 0])
})

test('a light is written when it changes, and not otherwise', async () => {
  let writes = 0
  const { lamps, clock } = await box({
    buzzer: onPin(BUZZER),
    openLight: () => Promise.resolve({ dimmable: true, set: () => { writes++ }, close: () => undefined }),
  })
  writes = 0
  lamps.show('paid')
  clock.advance(60_000)
  expect(writes).toBe(3) // The light once; the buzzer on, and off.
})

describe('a light that fails', () => {
  test('to open is reported once, tried every 5 s, and shows the pattern of that moment when it is there', async () => {
    const board = createFakeBoard()
    board.fail(5, 'GPIO 5 is taken: free it')
    const { lamps, clock, reports } = await box({ openLight: board.gpio.openLight })
    expect(reports).toEqual(['GPIO 5 is taken: free it'])
    for (const pattern of ['ready', 'waiting', 'checking', 'paid'] as const) expect(lamps.show(pattern)).toBeUndefined()
    for (let s = 0; s < 20; s++) {
      clock.advance(1_000)
      await setImmediate()
    }
    expect(reports).toHaveLength(1)
    expect(clock.waiting()).toBe(1)

    board.fail(5, undefined)
    clock.advance(5_000)
    await setImmediate()
    expect(reports).toEqual(['GPIO 5 is taken: free it', undefined])
    expect([board.level(5), clock.waiting()]).toEqual([1, 0])
  })

  test('while it is written is reported, disturbs nobody, and comes back with the pattern of that moment', async () => {
    const { lamps, board, clock, reports } = await box()
    lamps.show('checking')
    board.fail(5, 'GPIO 5 could not be driven (EIO)')
    clock.advance(2_000)
    lamps.show('paid')
    expect(reports).toEqual(['GPIO 5 could not be driven (EIO)'])
    clock.advance(8_000)
    await setImmediate()
    board.fail(5, undefined)
    clock.advance(5_000)
    await setImmediate()
    expect([reports.at(-1), board.level(5), clock.waiting()]).toEqual([undefined, 1, 0])
  })

  test('leaves the others as they are', async () => {
    const { lamps, board, clock, reports, levels } = await box({ shape: 'rgb', lights: [5, 6, 7].map(onPin) })
    board.fail(5, 'GPIO 5 could not be driven (EIO)')
    lamps.show('ready') // White, on lights that cannot be dimmed: a short flash.
    expect(levels().slice(1)).toEqual([1, 1])
    lamps.show('paid')
    expect(levels().slice(1)).toEqual([1, 0])
    board.fail(7, 'GPIO 7 could not be driven (EIO)')
    lamps.show('checking')
    expect(reports).toEqual(['GPIO 5 could not be driven (EIO)', 'GPIO 5 could not be driven (EIO) (and 1 more of its lights)'])
    board.fail(5, undefined)
    board.fail(7, undefined)
    clock.advance(5_000)
    await setImmediate()
    expect(reports.at(-1)).toBeUndefined()
  })

  test('is tried again within 5 s, and never more often than that', async () => {
    let attempts = 0
    const { lamps, clock } = await box({
      openLight() {
        attempts++
        if (attempts > 1) return Promise.reject(new Error('gone'))
        return Promise.resolve({ dimmable: true, set: (brightness) => { if (brightness > 0) throw new Error('EIO') }, close: () => undefined })
      },
    })
    clock.advance(57_000)
    lamps.show('checking')
    const seen: number[] = []
    for (let s = 0; s < 12; s++) {
      seen.push(attempts)
      clock.advance(1_000)
      await setImmediate()
    }
    expect(seen).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3])
  })

  test('by not answering is reported, and asked by nobody twice', async () => {
    let attempts = 0
    const { lamps, clock, reports } = await box({
      openLight() {
        attempts++
        return new Promise(() => undefined)
      },
    })
    lamps.show('paid')
    clock.advance(30_000)
    expect(reports).toEqual(['GPIO 5 does not open: the kernel has not answered for 5000 ms'])
    expect([attempts, clock.waiting()]).toEqual([1, 1])
    await lamps.close()
    expect(clock.waiting()).toBe(0)
  })

  test('and opens only after the lamps were closed is let go again, dark', async () => {
    const board = createFakeBoard()
    let letOpen = (): void => undefined
    const { lamps } = await box({ openLight: (wire) => new Promise((resolve) => { letOpen = () => resolve(board.gpio.openLight(wire)) }) })
    lamps.show('paid')
    await lamps.close()
    letOpen()
    await expect.poll(() => board.history(5)).toEqual([0])
    await expect.poll(() => board.held(5)).toBe(false)
  })
})

test('closed lamps are dark, given back, and wait for nothing', async () => {
  const { lamps, board, clock, levels } = await box({ shape: 'ring', lights: [5, 6, 7].map(onPin), buzzer: onPin(BUZZER) })
  lamps.show('out of service')
  await lamps.close()
  lamps.show('paid')
  clock.advance(10_000)
  expect([levels(), board.level(BUZZER), clock.waiting()]).toEqual([[0, 0, 0], 0, 0])
  expect([5, 6, 7, BUZZER].some((pin) => board.held(pin))).toBe(false)
})

describe('a buzzer', () => {
  const sounds = async (pattern: LampPattern): Promise<number> => {
    const { lamps, board, clock } = await box({ buzzer: onPin(BUZZER) })
    lamps.show(pattern)
    clock.advance(60_000)
    expect(board.level(BUZZER)).toBe(0)
    return board.history(BUZZER).filter((level) => level === 1).length
  }

  test.each([['paid', 1], ['not paid', 2], ['out of service', 3], ['waiting', 0], ['checking', 0], ['ready', 0], ['offline', 0]] as const)(
    'sounds for %s %i times, once, and is silent then', async (pattern, times) => expect(await sounds(pattern)).toBe(times))

  test('is silent at once when something else begins', async () => {
    const { lamps, board, clock } = await box({ buzzer: onPin(BUZZER) })
    lamps.show('paid')
    clock.advance(100)
    expect(board.level(BUZZER)).toBe(1)
    lamps.show('ready')
    expect(board.level(BUZZER)).toBe(0)
  })

  test('that is missing is reported, and does not sound late for what is long over', async () => {
    const { lamps, board, clock, reports } = await box({ buzzer: onPin(BUZZER) })
    board.fail(BUZZER, 'GPIO 26 could not be driven (EIO)')
    lamps.show('paid')
    expect([reports, board.level(5)]).toEqual([['GPIO 26 could not be driven (EIO)'], 1])
    board.fail(BUZZER, undefined)
    clock.advance(5_000)
    await setImmediate()
    expect([reports.at(-1), board.history(BUZZER).includes(1)]).toEqual([undefined, false])
  })
})
