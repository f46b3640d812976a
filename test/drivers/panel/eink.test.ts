import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { DriverError, type Frame, type Panel, type Refresh, strideBytes } from '../../../drivers/driver.js'
import { openEinkPanel, toNative } from '../../../drivers/panel/eink.js'
import { type EinkModel, type PanelBus, type Rotation, uprightSize } from '../../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../../drivers/panel/uc81xx.js'
import { panelConformance } from '../../conformance/panel.js'
import { emulated } from '../../emulators/emulated.js'
import { upright } from '../../emulators/upright.js'
import {
  createGlassClock, createHastyClock, createToyGlass, type GlassClock, REFRESH_MS, type ToyGlass, toyModel, type ToyModelOptions,
} from '../../fakes/eink-glass.js'

const log = pino({ level: 'silent' })
const SIZE = { widthPx: 122, heightPx: 70, pitchMm: 0.194 }
const HOUR_MS = 3_600_000

panelConformance('e-ink glass', (size) => {
  const model = toyModel({ size })
  const clock = createHastyClock()
  const glass = createToyGlass(model, clock)
  return Promise.resolve({
    panel: openEinkPanel({ model, rotation: 0, bus: glass, clock, log }),
    visible: () => Promise.resolve(glass.visible()),
    dispose: () => {
      expect(glass.violations).toEqual([])
      return Promise.resolve()
    },
  })
})

const CHIPS = [...SSD16XX_MODELS, ...UC81XX_MODELS]
for (const [name, rotations] of [['waveshare-2in13-v4', [0, 90]], ['waveshare-2in9-v1', [180, 270]], ['waveshare-7in5-v2', [0, 270]]] as const) {
  const model = CHIPS.find((each) => each.name === name)!
  for (const rotation of rotations) {
    panelConformance(`${name} at rotation ${rotation}`, () => {
      const emulator = emulated(model)
      return Promise.resolve({
        panel: openEinkPanel({ model, rotation, bus: emulator.bus, clock: emulator.clock, log }),
        visible: () => Promise.resolve(upright(emulator.glass(), model.visibleWidthPx, rotation)),
        dispose: () => {
          expect(emulator.violations).toEqual([])
          return Promise.resolve()
        },
      })
    }, uprightSize(model, rotation))
  }
}

interface Shop {
  readonly clock: GlassClock
  readonly glass: ToyGlass
  readonly panel: Panel
  /** Draws, and lets time pass until it is there. */
  draw(frame: Frame, refresh?: Refresh): Promise<void>
  ways(): readonly string[]
}

function open(options: Partial<ToyModelOptions> = {}, said = log): Shop {
  const model = toyModel({ size: SIZE, ...options })
  const clock = createGlassClock()
  const glass = createToyGlass(model, clock)
  const panel = openEinkPanel({ model, rotation: 0, bus: glass, clock, log: said })
  return {
    clock,
    glass,
    panel,
    draw: (frame, refresh) => settled(clock, panel.draw(frame, refresh)),
    ways: () => glass.refreshed.map(({ way }) => way),
  }
}

/** Lets time pass until that promise has ended, a minute at most. */
async function settled<T>(clock: GlassClock, promise: Promise<T>): Promise<T> {
  let ended = false
  promise.then(() => { ended = true }, () => { ended = true })
  for (let steps = 0; !ended && steps < 6_000; steps++) await clock.pass(10)
  if (!ended) throw new Error('it takes longer than a minute')
  return promise
}

const outcome = (promise: Promise<void>): Promise<unknown> => promise.then(() => 'drawn', (error: unknown) => error)

/** White, but for dark bytes at these places. */
function picture(...places: readonly (readonly [column: number, y: number])[]): Frame {
  const stride = strideBytes(SIZE.widthPx)
  const bits = new Uint8Array(stride * SIZE.heightPx)
  for (const [column, y] of places) bits[y * stride + column] = 0xff
  return { widthPx: SIZE.widthPx, heightPx: SIZE.heightPx, bits }
}

/** A picture of its own for every number. */
const numbered = (number: number): Frame => picture([number % 15, Math.floor(number / 15) % 70], [14, 69])

describe('how the glass takes a picture on', () => {
  test('the first one after power drives every dot, however quick it was to be', async () => {
    const { draw, ways } = open()
    await draw(numbered(1), 'quick')
    expect(ways()).toEqual(['full'])
  })

  test('a digit drives only the smallest window of whole bytes that holds what changed', async () => {
    const { draw, glass, ways } = open()
    await draw(picture([0, 0]))
    await draw(picture([0, 0], [3, 10], [5, 12]), 'quick')
    expect(ways()).toEqual(['full', 'partial'])
    expect(glass.refreshed[1]?.bytes).toBe(3 * 3)
    expect(glass.visible()).toEqual(picture([0, 0], [3, 10], [5, 12]))
    expect(glass.violations).toEqual([])
  })

  test('one dot in the last corner is found, and so is the whole panel', async () => {
    const { draw, glass } = open()
    await draw(picture())
    await draw(picture([15, 69]), 'quick')
    expect(glass.refreshed[1]?.bytes).toBe(1)
    await draw(picture([0, 0], [15, 69]), 'quick')
    await draw(picture([15, 0], [0, 69]), 'quick')
    expect(glass.refreshed[3]?.bytes).toBe(16 * 70)
  })

  test('a code comes and goes with every dot driven: when it goes, by the shorter way, for somebody waits', async () => {
    const { draw, ways } = open()
    await draw(numbered(1), 'quick')
    await draw(numbered(2), 'clean')
    await draw(numbered(3), 'quick')
    await draw(numbered(4), 'swept')
    await draw(numbered(5))
    expect(ways()).toEqual(['full', 'full', 'partial', 'fast', 'full'])
  })

  test('a code goes in full where the glass has no shorter way, and where the full one of the hour is due', async () => {
    const [slow, old] = [open({ fast: false }), open()]
    await slow.draw(numbered(1))
    await slow.draw(numbered(2), 'swept')
    await old.draw(numbered(1))
    await old.clock.pass(HOUR_MS)
    await old.draw(numbered(2), 'swept')
    expect([slow.ways(), old.ways()]).toEqual([['full', 'full'], ['full', 'full']])
  })

  test('the picture that stands there is not driven again, unless it is to be clean', async () => {
    const { draw, ways } = open()
    await draw(numbered(1))
    await draw(numbered(1), 'quick')
    expect(ways()).toEqual(['full'])
    await draw(numbered(1), 'clean')
    expect(ways()).toEqual(['full', 'full'])
  })

  test('after ten changes of single dots the eleventh is a full one', async () => {
    const { draw, ways } = open()
    await draw(numbered(0))
    for (let digit = 1; digit <= 12; digit++) await draw(numbered(digit), 'quick')
    expect(ways()).toEqual(['full', ...Array.from({ length: 10 }, () => 'partial'), 'full', 'partial'])
  })

  test('an hour after the last full picture the next one is full, whatever came between', async () => {
    const { draw, clock, ways } = open({ remembersAsleep: true })
    await draw(numbered(0))
    await clock.pass(HOUR_MS / 2)
    await draw(numbered(1), 'quick')
    await clock.pass(HOUR_MS / 2)
    await draw(numbered(2), 'quick')
    expect(ways()).toEqual(['full', 'partial', 'full'])
  })

  test('a fast picture does not stand for the full one of the hour', async () => {
    const { draw, clock, ways } = open()
    await draw(numbered(0))
    await clock.pass(HOUR_MS / 2)
    await draw(numbered(1), 'quick')
    await clock.pass(HOUR_MS / 2)
    await draw(numbered(2), 'quick')
    expect(ways()).toEqual(['full', 'fast', 'full'])
  })

  test('glass that cannot change single dots is driven fast, and glass without a fast way in full', async () => {
    const slow = open({ partial: false, fast: false })
    const fast = open({ partial: false })
    for (const { draw } of [slow, fast]) {
      await draw(numbered(0))
      await draw(numbered(1), 'quick')
    }
    expect([slow.ways(), fast.ways()]).toEqual([['full', 'full'], ['full', 'fast']])
  })
})

describe('when pictures come faster than glass can turn', () => {
  test('a hundred a second for ten seconds: as many are drawn as the glass has time for, the newest last, and all callers are answered', async () => {
    const { panel, clock, glass, ways } = open({ partial: false, fast: false })
    const ended: Promise<unknown>[] = []
    for (let number = 0; number < 1_000; number++) {
      ended.push(outcome(panel.draw(numbered(number))))
      await clock.pass(10)
    }
    await settled(clock, Promise.all(ended))
    expect(new Set(await Promise.all(ended))).toEqual(new Set(['drawn']))
    expect(glass.visible()).toEqual(numbered(999))
    expect(ways().length).toBeLessThanOrEqual(2 + Math.ceil(10_000 / REFRESH_MS.full))
    expect(glass.violations).toEqual([])
  })

  test('an overtaken picture ends no sooner than the newest is seen', async () => {
    const { panel, clock, glass, draw } = open()
    await draw(numbered(0))
    const first = panel.draw(numbered(1))
    await clock.pass(100)
    const overtaken = panel.draw(numbered(2))
    await clock.pass(100)
    const newest = panel.draw(numbered(3))
    const seenAtEnd = overtaken.then(() => glass.visible())
    await settled(clock, Promise.all([first, overtaken, newest]))
    expect(await seenAtEnd).toEqual(glass.visible())
    expect(glass.visible()).toEqual(numbered(3))
  })

  test('an overtaken picture fails when the newest fails', async () => {
    const { panel, clock, glass, draw } = open()
    await draw(numbered(0))
    const first = outcome(panel.draw(numbered(1)))
    await clock.pass(100)
    const overtaken = outcome(panel.draw(numbered(2)))
    const newest = outcome(panel.draw(numbered(3)))
    glass.failNext(2)
    expect(await settled(clock, first)).toBe('drawn')
    expect(await settled(clock, overtaken)).toMatchObject({ code: 'PANEL_WRITE_FAILED' })
    expect(await newest).toBe(await overtaken)
  })

  test('the code of a picture that was to be wiped away is wiped, though a quick one overtook it', async () => {
    const { panel, clock, ways, draw } = open()
    await draw(numbered(0))
    const busy = panel.draw(numbered(1))
    await clock.pass(100)
    const wiping = panel.draw(numbered(2), 'swept')
    const quick = panel.draw(numbered(3), 'quick')
    await settled(clock, Promise.all([busy, wiping, quick]))
    expect(ways()).toEqual(['full', 'full', 'fast'])
  })

  test('a picture changed by its owner while it waits is drawn as it was asked for', async () => {
    const { panel, clock, glass } = open()
    const first = panel.draw(numbered(1))
    await clock.pass(100)
    const frame = numbered(2)
    const second = panel.draw(frame)
    frame.bits.fill(0xff)
    await settled(clock, Promise.all([first, second]))
    expect(glass.visible()).toEqual(numbered(2))
  })
})

describe('a panel that does not answer', () => {
  test.each([0, 1] as const)('BUSY stuck at %i: tried once more from reset, then named with model, what was awaited and for how long', async (busyLevel) => {
    const { panel, glass, clock, draw } = open({ busyLevel })
    await draw(numbered(0))
    const drawing = outcome(panel.draw(numbered(1)))
    await clock.pass(1_000)
    glass.stick(true)
    expect(await settled(clock, drawing)).toMatchObject({
      name: 'DriverError', code: 'PANEL_TIMEOUT', message: 'toy-glass is still busy after 500 ms of waking',
    })
    expect(glass.resets()).toBe(2)
  })

  test('a refresh that never ends is waited for as long as it may take, and no longer', async () => {
    const { panel, glass, clock } = open()
    const drawing = outcome(panel.draw(numbered(1)))
    await clock.pass(100)
    glass.stick(true)
    await clock.pass(7_800)
    expect(glass.resets()).toBe(1)
    await clock.pass(300)
    expect(glass.resets()).toBe(2)
    glass.stick(false)
    expect(await settled(clock, drawing)).toBe('drawn')
    expect(glass.visible()).toEqual(numbered(1))
  })

  test('a cable that is not plugged in is noticed, since BUSY never moves', async () => {
    const { panel, glass, clock } = open()
    glass.connect(false)
    expect(await settled(clock, outcome(panel.draw(numbered(1))))).toMatchObject({
      code: 'PANEL_TIMEOUT', message: 'toy-glass: BUSY never moved during a full refresh; is the panel connected?',
    })
    glass.connect(true)
    expect(await settled(clock, outcome(panel.draw(numbered(2))))).toBe('drawn')
    expect(glass.visible()).toEqual(numbered(2))
  })

  test('a program that was held up while the glass turned does not call the panel missing', async () => {
    const model = toyModel({ size: SIZE })
    const clock = createHastyClock()
    const glass = createToyGlass(model, clock)
    const bus: PanelBus = {
      ...glass,
      async command(command, data) {
        await glass.command(command, data)
        await clock.pause(2 * REFRESH_MS.full)
      },
    }
    const panel = openEinkPanel({ model, rotation: 0, bus, clock, log })
    await expect(panel.draw(numbered(1))).resolves.toBeUndefined()
    expect(glass.refreshed).toHaveLength(1)
  })

  test('one error on the wire is healed by a reset and a full picture, unseen by who draws', async () => {
    const { glass, draw, ways } = open()
    await draw(numbered(1))
    glass.failNext(1)
    await draw(numbered(2), 'quick')
    expect(ways()).toEqual(['full', 'full'])
    expect(glass.resets()).toBe(2)
    expect(glass.visible()).toEqual(numbered(2))
    expect(glass.violations).toEqual([])
  })

  test('errors on the wire that stay are told, and the next picture begins from reset, in full', async () => {
    const { panel, glass, clock, draw, ways } = open()
    await draw(numbered(1))
    glass.failNext(2)
    expect(await settled(clock, outcome(panel.draw(numbered(2), 'quick')))).toMatchObject({ code: 'PANEL_WRITE_FAILED' })
    await draw(numbered(3), 'quick')
    expect(ways()).toEqual(['full', 'full'])
    expect(glass.visible()).toEqual(numbered(3))
  })

  test('a second try is warned of once, and again only after the panel has worked', async () => {
    const said: string[] = []
    const { draw, panel, glass, clock } = open({}, pino({ level: 'info' }, { write: (line: string) => { said.push(line) } }))
    await draw(numbered(0))
    glass.connect(false)
    for (let number = 1; number < 20; number++) await settled(clock, outcome(panel.draw(numbered(number))))
    expect(said).toHaveLength(1)
    expect(said[0]).toContain('panel failed, tried again from reset')
    glass.connect(true)
    await draw(numbered(20))
    glass.failNext(1)
    await draw(numbered(21))
    expect(said).toHaveLength(2)
  })

  test('whatever the wires throw, it is a DriverError that names model and command', async () => {
    const { panel, glass, clock } = open()
    glass.failNext(2, new Error('EIO'))
    const error = await settled(clock, outcome(panel.draw(numbered(1))))
    expect(error).toBeInstanceOf(DriverError)
    expect(error).toMatchObject({ code: 'PANEL_WRITE_FAILED', message: 'toy-glass did not take command 0x12' })
  })
})

describe('between pictures', () => {
  test('the controller sleeps three seconds after the last picture, and not before', async () => {
    const { draw, clock, glass } = open()
    await draw(numbered(1))
    await clock.pass(2_000)
    await draw(numbered(2), 'quick')
    await clock.pass(2_900)
    expect(glass.isAsleep()).toBe(false)
    await clock.pass(200)
    expect(glass.isAsleep()).toBe(true)
    expect(glass.visible()).toEqual(numbered(2))
  })

  test('a controller that forgets in its sleep gets a whole picture, one that remembers only what changed', async () => {
    const forgetful = open({ remembersAsleep: false })
    const mindful = open({ remembersAsleep: true })
    for (const { draw, clock } of [forgetful, mindful]) {
      await draw(numbered(1))
      await clock.pass(10_000)
      await draw(numbered(2), 'quick')
    }
    expect([forgetful.ways(), mindful.ways()]).toEqual([['full', 'fast'], ['full', 'partial']])
    for (const { glass } of [forgetful, mindful]) {
      expect(glass.violations).toEqual([])
      expect(glass.visible()).toEqual(numbered(2))
    }
  })

  test('a picture asked for while the controller goes to sleep is drawn', async () => {
    const { draw, panel, clock, glass } = open()
    await draw(numbered(1))
    const until = clock.now() + 3_000
    await clock.pass(until - clock.now() - 1)
    clock.alarm(until, () => { void panel.draw(numbered(2)) })
    await clock.pass(20_000)
    expect(glass.visible()).toEqual(numbered(2))
    expect(glass.isAsleep()).toBe(true)
    expect(glass.violations).toEqual([])
  })

  test('a controller that will not sleep is left alone until the next picture, which begins from reset', async () => {
    const { draw, clock, glass } = open()
    await draw(numbered(1))
    glass.failNext(2)
    await clock.pass(HOUR_MS)
    expect(glass.resets()).toBe(2)
    await draw(numbered(2), 'quick')
    expect(glass.visible()).toEqual(numbered(2))
  })

  test('once a day the glass goes white, black, white and back to its picture, and sleeps again', async () => {
    const { draw, clock, glass, ways } = open()
    await draw(numbered(1))
    await clock.pass(23 * HOUR_MS)
    expect(ways()).toEqual(['full'])
    const seen: Frame[] = []
    for (let ms = 0; ms < 2 * HOUR_MS && seen.length < 5; ms += 1_000) {
      await clock.pass(1_000)
      if (ways().length > seen.length) seen.push(glass.visible())
    }
    await clock.pass(10_000)
    expect(ways()).toEqual(['full', 'full', 'full', 'full', 'full'])
    expect(seen.slice(1).map(({ bits }) => (new Set(bits.filter((_, at) => at % 16 !== 15)).size === 1 ? bits[0] : 'a picture')))
      .toEqual([0, 0xff, 0, 'a picture'])
    expect(glass.visible()).toEqual(numbered(1))
    expect(glass.isAsleep()).toBe(true)
    await clock.pass(23 * HOUR_MS)
    expect(ways()).toHaveLength(5)
    await clock.pass(2 * HOUR_MS)
    expect(ways()).toHaveLength(9)
    expect(glass.violations).toEqual([])
  })

  test('a panel that is never quiet for ten minutes is not scrubbed: a code could stand there', async () => {
    const { draw, clock, glass, ways } = open()
    for (let number = 0; number < 26 * 7; number++) {
      await draw(numbered(number))
      await clock.pass(HOUR_MS / 7)
    }
    expect(ways()).toHaveLength(26 * 7)
    await clock.pass(600_000)
    expect(ways()).toHaveLength(26 * 7 + 4)
    expect(glass.visible()).toEqual(numbered(26 * 7 - 1))
  })

  test('a sale that begins during the scrub waits for one picture of it, not for all', async () => {
    const { draw, panel, clock, glass, ways } = open()
    await draw(numbered(1))
    await clock.pass(24 * HOUR_MS - clock.now() + 1_000)
    const at = clock.now()
    await settled(clock, panel.draw(numbered(2), 'quick'))
    expect(clock.now() - at).toBeLessThan(2 * REFRESH_MS.full + 100)
    expect(ways()).toEqual(['full', 'full', 'full'])
    expect(glass.visible()).toEqual(numbered(2))
  })

  test('a scrub that fails is tried again later, and brings the picture back', async () => {
    const { draw, clock, glass } = open()
    await draw(numbered(1))
    await clock.pass(24 * HOUR_MS - clock.now() + 1_000)
    glass.failNext(2)
    await clock.pass(60_000)
    expect(glass.visible()).not.toEqual(numbered(1))
    await clock.pass(900_000)
    expect(glass.visible()).toEqual(numbered(1))
  })

  test('a panel that failed is left to whoever draws: nothing is put on it by itself', async () => {
    const { panel, clock, glass } = open()
    glass.failNext(2)
    await settled(clock, outcome(panel.draw(numbered(1))))
    await clock.pass(48 * HOUR_MS)
    expect(glass.refreshed).toEqual([])
    expect(clock.waiting()).toBe(0)
  })
})

describe('asked whether it answers', () => {
  const MINUTE_MS = 60_000

  /** As a terminal asks that has nothing to draw. */
  async function askForMinutes({ panel, clock }: Shop, minutes: number): Promise<readonly unknown[]> {
    const answers: unknown[] = []
    for (let minute = 0; minute < minutes; minute++) {
      answers.push(await settled(clock, outcome(panel.check!())))
      await clock.pass(MINUTE_MS)
    }
    return answers
  }

  test('it wakes, answers and sleeps again, and nothing moves on the glass', async () => {
    const shop = open()
    await shop.draw(numbered(1))
    await shop.clock.pass(5_000)
    expect(await askForMinutes(shop, 3)).toEqual(['drawn', 'drawn', 'drawn'])
    expect(shop.ways()).toEqual(['full'])
    expect(shop.glass.resets()).toBe(4)
    expect(shop.glass.isAsleep()).toBe(true)
    expect(shop.glass.visible()).toEqual(numbered(1))
    expect(shop.glass.violations).toEqual([])
  })

  test('it is drawn on afterwards as if nobody had asked', async () => {
    for (const remembersAsleep of [true, false]) {
      const shop = open({ remembersAsleep })
      await shop.draw(numbered(1))
      await askForMinutes(shop, 1)
      await shop.draw(numbered(2), 'quick')
      expect(shop.ways()).toEqual(['full', remembersAsleep ? 'partial' : 'fast'])
      expect(shop.glass.visible()).toEqual(numbered(2))
      expect(shop.glass.violations).toEqual([])
    }
  })

  test('a cable that is out is noticed although nothing is drawn, and a cable that is in again as well', async () => {
    const shop = open()
    await shop.draw(numbered(1))
    shop.glass.connect(false)
    expect(await askForMinutes(shop, 1)).toMatchObject([{
      code: 'PANEL_TIMEOUT', message: 'toy-glass: BUSY never moved when the voltage was switched on; is the panel connected?',
    }])
    shop.glass.connect(true)
    expect(await askForMinutes(shop, 1)).toEqual(['drawn'])
    await shop.draw(numbered(1), 'quick')
    expect(shop.ways()).toEqual(['full', 'full']) // Who knows what happened to it meanwhile.
  })

  test('BUSY that is stuck and errors on the wire are noticed', async () => {
    const shop = open()
    await shop.draw(numbered(1))
    shop.glass.stick(true)
    expect(await askForMinutes(shop, 1)).toMatchObject([{ code: 'PANEL_TIMEOUT', message: 'toy-glass is still busy after 500 ms of waking' }])
    shop.glass.stick(false)
    shop.glass.failNext(2)
    expect(await askForMinutes(shop, 1)).toMatchObject([{ code: 'PANEL_WRITE_FAILED' }])
  })

  test('what failed at night is told, until the picture stands there again', async () => {
    const shop = open()
    await shop.draw(numbered(1))
    await shop.clock.pass(24 * HOUR_MS - shop.clock.now() + 1_000)
    shop.glass.failNext(2) // In the middle of a scrub: the glass is white.
    await shop.clock.pass(10_000)
    expect(await askForMinutes(shop, 2)).toMatchObject([{ code: 'PANEL_WRITE_FAILED' }, { code: 'PANEL_WRITE_FAILED' }])
    await shop.draw(numbered(1), 'quick')
    expect(await askForMinutes(shop, 1)).toEqual(['drawn'])
    expect(shop.glass.visible()).toEqual(numbered(1))
  })

  test('a panel that is asked every minute is scrubbed every day all the same', async () => {
    const shop = open()
    await shop.draw(numbered(1))
    const answers = await askForMinutes(shop, 24 * 60 + 15)
    expect(new Set(answers)).toEqual(new Set(['drawn']))
    expect(shop.ways()).toEqual(['full', 'full', 'full', 'full', 'full'])
    expect(shop.glass.visible()).toEqual(numbered(1))
    expect(shop.glass.violations).toEqual([])
  })

  test('a picture that comes meanwhile is drawn next', async () => {
    const { draw, panel, clock, glass } = open()
    await draw(numbered(1))
    await clock.pass(5_000)
    const asked = panel.check!()
    await settled(clock, Promise.all([asked, panel.draw(numbered(2)), panel.check!()]))
    expect(glass.visible()).toEqual(numbered(2))
    expect(glass.violations).toEqual([])
  })

  test('a closed panel does not answer', async () => {
    const { panel, clock } = open()
    await settled(clock, panel.close())
    await expect(panel.check!()).rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED' })
  })
})

describe('closing', () => {
  test('leaves the controller asleep, the wires closed and no alarm behind', async () => {
    const { draw, panel, clock, glass } = open()
    await draw(numbered(1))
    await settled(clock, panel.close())
    expect(glass.isAsleep()).toBe(true)
    expect(glass.isClosed()).toBe(true)
    expect(clock.waiting()).toBe(0)
    await clock.pass(48 * HOUR_MS)
    expect(glass.violations).toEqual([])
  })

  test('waits for the pictures that were asked for before it', async () => {
    const { panel, clock, glass } = open()
    const drawn = [panel.draw(numbered(1)), panel.draw(numbered(2))]
    await clock.pass(1_000)
    drawn.push(panel.draw(picture()))
    await settled(clock, panel.close())
    await expect(Promise.all(drawn)).resolves.toHaveLength(3)
    expect(glass.visible()).toEqual(picture())
    expect(glass.isAsleep()).toBe(true)
  })

  test('a sleeping controller is not woken for it, and one that nobody knows is put to sleep', async () => {
    const asleep = open()
    await asleep.draw(numbered(1))
    await asleep.clock.pass(5_000)
    const unknown = open()
    for (const { clock, panel } of [asleep, unknown]) await settled(clock, panel.close())
    expect([asleep.glass.resets(), unknown.glass.resets()]).toEqual([1, 1])
    expect([asleep.glass.isAsleep(), unknown.glass.isAsleep()]).toEqual([true, true])
  })

  test('does not wait for a panel that was just found dead; its high voltage goes off by a reset', async () => {
    const { panel, clock, glass, draw } = open()
    await draw(numbered(1))
    glass.stick(true)
    await settled(clock, outcome(panel.draw(numbered(2))))
    const [foundDeadAt, resets] = [clock.now(), glass.resets()]
    await settled(clock, panel.close())
    expect(clock.now() - foundDeadAt).toBeLessThan(100)
    expect(glass.resets()).toBe(resets + 1)
    expect(glass.isClosed()).toBe(true)
  })

  test('ends on a dead panel, too', async () => {
    const { panel, clock, glass } = open()
    glass.stick(true)
    await settled(clock, panel.close())
    expect(glass.isClosed()).toBe(true)
  })
})

describe('a picture on its way into the controller', () => {
  const rotations: readonly Rotation[] = [0, 90, 180, 270]

  /** 10 columns of glass on 16 of memory. */
  const model: EinkModel = { ...toyModel({ size: { widthPx: 10, heightPx: 4, pitchMm: 0.2 } }), visibleWidthPx: 10 }
  const upright = (rotation: Rotation, dark: (x: number, y: number) => boolean): Frame => {
    const { widthPx, heightPx } = uprightSize(model, rotation)
    const bits = new Uint8Array(strideBytes(widthPx) * heightPx)
    for (let y = 0; y < heightPx; y++) {
      for (let x = 0; x < widthPx; x++) if (dark(x, y)) bits[y * strideBytes(widthPx) + (x >> 3)]! |= 0x80 >> (x & 7)
    }
    return { widthPx, heightPx, bits }
  }
  const rows = (frame: Frame, rotation: Rotation): readonly string[] => {
    const { bits } = toNative(frame, model, rotation)
    return Array.from({ length: 4 }, (_, y) => [bits[2 * y] ?? 0, bits[2 * y + 1] ?? 0]
      .map((byte) => byte.toString(2).padStart(8, '0')).join('').replaceAll('1', '.').replaceAll('0', '#'))
  }

  test.each([
    [0, ['##........      ', '..........      ', '..........      ', '..........      ']],
    [90, ['.........#      ', '.........#      ', '..........      ', '..........      ']],
    [180, ['..........      ', '..........      ', '..........      ', '........##      ']],
    [270, ['..........      ', '..........      ', '#.........      ', '#.........      ']],
  ] as const)('a short line in the upper left corner, mounted at %i', (rotation, expected) => {
    expect(rows(upright(rotation, (x, y) => y === 0 && x < 2), rotation)).toEqual(expected.map((row) => row.replaceAll(' ', '.')))
  })

  test.each(rotations)('at %i a dark picture is dark on all glass, and white where there is none', (rotation) => {
    expect(rows(upright(rotation, () => true), rotation)).toEqual(Array.from({ length: 4 }, () => '##########......'))
  })

  test.each(rotations)('at %i what lies beyond the edge of a row is no part of the picture', (rotation) => {
    const frame = upright(rotation, () => false)
    const stride = strideBytes(frame.widthPx)
    for (let y = 0; y < frame.heightPx; y++) frame.bits[y * stride + stride - 1] = 0xff >> (frame.widthPx % 8)
    expect(rows(frame, rotation)).toEqual(Array.from({ length: 4 }, () => '................'))
  })
})
