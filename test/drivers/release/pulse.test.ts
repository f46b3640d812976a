import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Board } from '../../../drivers/linux/gpio.js'
import { createPulseRelease, type PulseReleaseOptions } from '../../../drivers/release/pulse.js'
import { releaseConformance } from '../../conformance/release.js'
import { createFakeBoard } from '../../fakes/gpio.js'
import { createLateClock } from './late-clock.js'

const log = pino({ level: 'silent' })
const RELAY = 17
const SENSOR = 22
const FEEDBACK = { pin: SENSOR, activeLow: true, withinMs: 2_000 }

interface Edge {
  readonly on: boolean
  readonly at: number
}

interface World extends Partial<Omit<PulseReleaseOptions, 'board'>> {
  readonly edges?: boolean
  readonly lateMs?: () => number
  readonly board?: ReturnType<typeof createFakeBoard>
  readonly openInput?: Board['openInput']
  readonly openSafeOutput?: Board['openSafeOutput']
}

/** A box with a relay, and with whatever else a test asks for. */
async function box({ edges = true, lateMs, board = createFakeBoard({ edges }), openInput, openSafeOutput, ...options }: World = {}) {
  const clock = createLateClock(lateMs)
  const driven: Edge[] = []
  const reports: (string | undefined)[] = []
  const { activeLow } = { activeLow: false, ...options.output }
  const release = createPulseRelease({
    output: { pin: RELAY, activeLow: false }, widthMs: 100, gapMs: 100, report: (fault) => reports.push(fault), log,
    now: () => clock.now(), alarm: (at, ring) => clock.alarm(at, ring),
    board: {
      openInput: openInput ?? board.gpio.openInput,
      async openSafeOutput(wire) {
        const line = await (openSafeOutput ?? board.gpio.openSafeOutput)(wire)
        return {
          set(on) {
            line.set(on)
            driven.push({ on, at: clock.now() })
          },
          close: () => line.close(),
        }
      },
    },
    ...options,
  })
  await clock.pass(0)
  const safe = (): boolean => board.level(RELAY) === (activeLow ? 1 : 0)
  const sent = (): number => driven.filter(({ on }) => on).length
  /** Something passes the sensor so long after now. */
  const passes = (afterMs: number, forMs = 50): void => {
    clock.at(clock.now() + afterMs, () => board.press(SENSOR, 0))
    clock.at(clock.now() + afterMs + forMs, () => board.press(SENSOR, 1))
  }
  return { release, board, clock, driven, reports, safe, sent, passes }
}

const conforming = async (options: World) => {
  const { release, clock, sent, safe } = await box(options)
  await clock.pass(1_000) // Its gap from whatever was before it.
  return { release, sent, safe, settle: <T>(promise: Promise<T>) => clock.settle(promise), pass: (ms: number) => clock.pass(ms) }
}

describe('a relay', () => {
  releaseConformance(() => conforming({}))
})

describe('a relay that is on at the low level', () => {
  releaseConformance(() => conforming({ output: { pin: RELAY, activeLow: true } }))
})

describe('a relay with a sensor', () => {
  releaseConformance(() => conforming({ feedback: FEEDBACK }))
})

describe('a relay with a sensor on a kernel without edges', () => {
  releaseConformance(() => conforming({ feedback: FEEDBACK, edges: false }))
})

describe('pulses', () => {
  const bounds = fc.record({
    releases: fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 3 }),
    widthMs: fc.integer({ min: 10, max: 400 }),
    gapMs: fc.integer({ min: 10, max: 400 }),
    late: fc.infiniteStream(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 900, noNaN: true }))),
  })

  test('are as many as asked, and never shorter or closer than their bounds, however late the alarms', async () => {
    await fc.assert(fc.asyncProperty(bounds, async ({ releases, widthMs, gapMs, late }) => {
      const { release, clock, driven, safe } = await box({ widthMs, gapMs, lateMs: () => late.next().value })
      const openedAt = clock.now()
      for (const pulses of releases) {
        const { delivery } = await clock.settle(release.release(pulses))
        expect(['released', 'unknown']).toContain(delivery)
      }
      const asked = releases.reduce((sum, pulses) => sum + pulses, 0)
      expect(driven.map(({ on }) => on)).toEqual(Array.from({ length: 2 * asked }, (_, at) => at % 2 === 0))
      for (const [index, { on, at }] of driven.entries()) {
        const before = driven[index - 1]?.at ?? openedAt
        expect(at - before).toBeGreaterThanOrEqual((on ? gapMs : widthMs) - 1e-6)
      }
      expect(safe()).toBe(true)
      await release.close()
    }), { numRuns: 60 })
  }, 60_000)

  test('that all lasted less than three times their width are released; a longer one is a doubt that is named', async () => {
    await fc.assert(fc.asyncProperty(bounds, async ({ widthMs, gapMs, late }) => {
      const { release, clock, driven } = await box({ widthMs, gapMs, lateMs: () => late.next().value })
      const delivery = await clock.settle(release.release(5))
      const lasted = driven.flatMap(({ on, at }, index) => (on ? [(driven[index + 1]?.at ?? Infinity) - at] : []))
      const tooLong = lasted.findIndex((ms) => ms > 3 * widthMs)
      if (tooLong === -1) expect(delivery).toEqual({ delivery: 'released' })
      else expect(delivery).toMatchObject({ delivery: 'unknown', why: expect.stringMatching(`pulse ${tooLong + 1} of 5 lasted`) as unknown })
      await release.close()
    }), { numRuns: 60 })
  }, 60_000)

  test.each([[195, 'released'], [205, 'unknown']])('of 100 ms that end %i ms late are %s', async (late, delivery) => {
    const { release, clock } = await box({ lateMs: () => late })
    expect(await clock.settle(release.release(2))).toMatchObject({ delivery })
  })

  test('keep their gap from what an earlier run may have left on the line', async () => {
    const { release, clock, driven } = await box({ gapMs: 5_000 })
    const openedAt = clock.now()
    await clock.settle(release.release(1))
    expect((driven[0]?.at ?? 0) - openedAt).toBeCloseTo(5_000)
  })

  test('of a second customer are not mixed into those of the first: the second is told that nothing was sent', async () => {
    const { release, clock, sent } = await box()
    const first = release.release(3)
    expect(await release.release(2)).toEqual({ delivery: 'unknown', why: 'nothing was sent: another release is under way' })
    expect(await clock.settle(first)).toEqual({ delivery: 'released' })
    expect(sent()).toBe(3)
  })
})

describe('a box that is closed', () => {
  test('in the moment in which it is asked sends nothing', async () => {
    const { release, clock, sent, safe } = await box()
    await clock.pass(1_000)
    const delivery = release.release(1)
    await release.close()
    expect(await delivery).toMatchObject({ delivery: 'unknown' })
    expect([sent(), safe(), clock.waiting()]).toEqual([0, true, 0])
  })

  test('within a pulse ends it at once, and says which one it was', async () => {
    const { release, clock, sent, safe } = await box()
    await clock.pass(1_000)
    const delivery = release.release(3)
    await clock.pass(250)
    expect([sent(), safe()]).toEqual([2, false])
    const closing = release.close()
    expect(safe()).toBe(true)
    await closing
    expect(await delivery).toEqual({ delivery: 'unknown', why: 'pulse 2 of 3 failed: the release was closed' })
    expect([sent(), clock.waiting()]).toEqual([2, 0])
  })
})

describe('a line that fails', () => {
  test('before the sale is reported, sends nothing, and serves the next sale once it is there', async () => {
    const board = createFakeBoard()
    board.fail(RELAY, 'GPIO 17 is taken: free it')
    const { release, clock, reports, sent } = await box({ board })
    expect(reports).toEqual(['GPIO 17 is taken: free it'])
    expect(await release.release(1)).toEqual({ delivery: 'unknown', why: 'nothing was sent: GPIO 17 is taken: free it' })

    await clock.pass(20_000)
    expect(reports).toHaveLength(1)
    board.fail(RELAY, undefined)
    await clock.pass(5_000)
    expect(reports).toEqual(['GPIO 17 is taken: free it', undefined])
    expect(clock.waiting()).toBe(0)
    expect(await clock.settle(release.release(1))).toEqual({ delivery: 'released' })
    expect(sent()).toBe(1)
  })

  test('in the middle of a pulse is a doubt, is not pulsed again, and goes to its safe level as soon as it can be reached', async () => {
    const { release, board, clock, reports, sent, safe } = await box()
    const delivery = release.release(3)
    clock.at(clock.now() + 350, () => board.fail(RELAY, 'GPIO 17 could not be driven (EIO)'))
    expect(await clock.settle(delivery)).toEqual({ delivery: 'unknown', why: 'pulse 2 of 3 failed: GPIO 17 could not be driven (EIO)' })
    expect([sent(), safe(), reports.at(-1)]).toEqual([2, false, 'GPIO 17 could not be driven (EIO)'])

    board.fail(RELAY, undefined)
    await clock.pass(5_000)
    expect([sent(), safe(), reports.at(-1)]).toEqual([2, true, undefined])
  })

  test('for one moment in a pulse is switched off at once', async () => {
    const board = createFakeBoard()
    const { release, clock, driven, safe } = await box({
      board,
      async openSafeOutput(wire) {
        const line = await board.gpio.openSafeOutput(wire)
        let sets = 0
        return {
          set(on) {
            if (++sets === 2) throw new Error('EIO')
            line.set(on)
          },
          close: () => line.close(),
        }
      },
    })
    expect(await clock.settle(release.release(2))).toEqual({ delivery: 'unknown', why: 'pulse 1 of 2 failed: EIO' })
    expect(driven.map(({ on }) => on)).toEqual([true])
    expect(safe()).toBe(true)
  })

  test('by not answering is reported, and tried by nobody twice', async () => {
    let attempts = 0
    const { release, clock, reports } = await box({
      openSafeOutput() {
        attempts++
        return new Promise(() => undefined)
      },
    })
    expect(await release.release(1)).toEqual({ delivery: 'unknown', why: 'nothing was sent: GPIO 17 is not open yet' })
    await clock.pass(60_000)
    expect(reports).toEqual(['GPIO 17 does not open: the kernel has not answered for 5000 ms'])
    expect(attempts).toBe(1)
    await release.close()
    expect(clock.waiting()).toBe(0)
  })

  test('and opens only after the box was closed is let go again, safe', async () => {
    let letOpen = (): void => undefined
    const board = createFakeBoard()
    const { release } = await box({
      board,
      openSafeOutput: (wire) => new Promise((resolve) => { letOpen = () => resolve(board.gpio.openSafeOutput(wire)) }),
    })
    await release.close()
    letOpen()
    await expect.poll(() => board.history(RELAY)).toEqual([0])
    await expect.poll(() => board.held(RELAY)).toBe(false)
  })
})

describe.each([true, false])('goods that a sensor should see (edges: %s)', (edges) => {
  test('are delivered when it sees them, and the sale need not wait any longer', async () => {
    const { release, clock, passes } = await box({ feedback: FEEDBACK, edges })
    const began = clock.now()
    passes(400)
    expect(await clock.settle(release.release(1))).toEqual({ delivery: 'delivered' })
    expect(clock.now() - began).toBeLessThan(500)
  })

  test('that fall during the pulses are delivered, after all the pulses went out', async () => {
    const { release, clock, sent, safe, passes } = await box({ feedback: FEEDBACK, edges })
    passes(150)
    expect(await clock.settle(release.release(4))).toEqual({ delivery: 'delivered' })
    expect([sent(), safe()]).toEqual([4, true])
  })

  test('that it saw are delivered, although a pulse was long', async () => {
    const { release, clock, passes } = await box({ feedback: FEEDBACK, edges, widthMs: 10, lateMs: () => 40 })
    passes(200)
    expect(await clock.settle(release.release(1))).toEqual({ delivery: 'delivered' })
  })

  test('that never fall are a doubt that names the sensor and the time', async () => {
    const { release, clock, reports } = await box({ feedback: FEEDBACK, edges })
    expect(await clock.settle(release.release(1))).toEqual({ delivery: 'unknown', why: 'GPIO 22 saw nothing within 2000 ms of the first pulse' })
    expect(reports).toEqual([])
  })

  test('that fall when the time is over are a doubt', async () => {
    const { release, clock, passes } = await box({ feedback: { ...FEEDBACK, withinMs: 300 }, edges })
    passes(550)
    expect(await clock.settle(release.release(4))).toMatchObject({ delivery: 'unknown' })
  })

  test('that fall when the time is over are a doubt, also where the program is late to say so', async () => {
    const { release, clock, passes } = await box({ feedback: { ...FEEDBACK, withinMs: 1_000 }, edges, gapMs: 10, lateMs: () => 180 })
    passes(190 + 1_100)
    expect(await clock.settle(release.release(1))).toMatchObject({ delivery: 'unknown' })
  })

  test('are looked for no longer when the relay fails', async () => {
    const { release, board, clock } = await box({ feedback: FEEDBACK, edges })
    const delivery = release.release(3)
    clock.at(clock.now() + 350, () => board.fail(RELAY, 'GPIO 17 could not be driven (EIO)'))
    expect(await clock.settle(delivery)).toMatchObject({ delivery: 'unknown' })
    expect(clock.waiting()).toBe(1) // The one that tries the relay again.
  })

  test('are not those of the customer before', async () => {
    const { release, clock, passes } = await box({ feedback: FEEDBACK, edges })
    await clock.settle(release.release(1))
    passes(100)
    await clock.pass(1_000)
    expect(await clock.settle(release.release(1))).toMatchObject({ delivery: 'unknown' })
  })

  test('cannot be seen by one that is jammed: it is reported, the pulses go out, and it is well again when it is free', async () => {
    const { release, board, clock, reports, sent } = await box({ feedback: FEEDBACK, edges })
    board.press(SENSOR, 0)
    const why = 'GPIO 22 was active before anything was released: free the sensor, or correct its activeLow'
    expect(await clock.settle(release.release(2))).toEqual({ delivery: 'unknown', why })
    expect(sent()).toBe(2)
    await clock.pass(30_000)
    expect(reports).toEqual([why])
    board.press(SENSOR, 1)
    await clock.pass(5_000)
    expect(reports).toEqual([why, undefined])
    expect(clock.waiting()).toBe(0)
  })

  test('are not let out at all while it is missing, which is reported', async () => {
    const board = createFakeBoard({ edges })
    board.fail(SENSOR, 'GPIO 22 is taken: free it')
    const { release, clock, reports, sent } = await box({ board, feedback: FEEDBACK })
    expect(reports).toEqual(['GPIO 22 is taken: free it'])
    expect(await clock.settle(release.release(1))).toEqual({ delivery: 'unknown', why: 'nothing was sent: GPIO 22 is taken: free it' })
    expect(sent()).toBe(0)
    board.fail(SENSOR, undefined)
    await clock.pass(5_000)
    expect(reports.at(-1)).toBeUndefined()
  })

  test('are let out to the end when it breaks meanwhile, and are a doubt', async () => {
    const { release, board, clock, reports, sent } = await box({ feedback: FEEDBACK, edges })
    clock.at(clock.now() + 250, () => board.fail(SENSOR, 'GPIO 22 could not be read (EIO)'))
    clock.at(clock.now() + 260, () => board.press(SENSOR, 0))
    expect(await clock.settle(release.release(5))).toEqual({ delivery: 'unknown', why: 'GPIO 22 could not be read (EIO)' })
    expect([sent(), reports.at(-1)]).toEqual([5, 'GPIO 22 could not be read (EIO)'])
    board.fail(SENSOR, undefined)
    await clock.pass(5_000)
    expect(reports.at(-1)).toBeUndefined()
  })

  test('leave nothing behind that looks or waits, once they were seen', async () => {
    const { release, clock, passes } = await box({ feedback: FEEDBACK, edges })
    passes(150)
    await clock.settle(release.release(1))
    await clock.pass(100)
    expect(clock.waiting()).toBe(0)
  })

  test('are a doubt when the box is closed while it waits for them', async () => {
    const { release, clock, safe } = await box({ feedback: FEEDBACK, edges })
    const delivery = release.release(1)
    await clock.pass(500)
    await release.close()
    expect(await delivery).toMatchObject({ delivery: 'unknown', why: 'GPIO 22 was closed' })
    expect([safe(), clock.waiting()]).toEqual([true, 0])
  })
})

test('a kernel that can watch is not asked every few milliseconds; one that cannot is asked only while goods are awaited', async () => {
  for (const edges of [true, false]) {
    let looks = 0
    const board = createFakeBoard({ edges })
    const { release, clock } = await box({
      board, feedback: FEEDBACK,
      async openInput(bcm) {
        const line = await board.gpio.openInput(bcm)
        return { ...line, level: () => { looks++; return line.level() } }
      },
    })
    await clock.pass(60_000)
    expect(looks).toBe(0)
    await clock.settle(release.release(1))
    if (edges) expect(looks).toBeLessThan(5)
    else expect(looks).toBeGreaterThan(100)
    const before = looks
    await clock.pass(60_000)
    expect(looks).toBe(before)
  }
})
