/**
 * What a customer sees on every e-ink panel of the tables, mounted in every way: the real screens of a sale, drawn as the
 * terminal would have them drawn, through the real driver onto an emulated controller and read from its glass.
 */
import { pino } from 'pino'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadReader, readBack } from '../../../device/qr.js'
import { createRenderer } from '../../../device/render.js'
import type { View } from '../../../device/view.js'
import type { Frame, Refresh } from '../../../drivers/driver.js'
import { openEinkPanel } from '../../../drivers/panel/eink.js'
import type { EinkModel, Rotation } from '../../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../../drivers/panel/uc81xx.js'
import { emulated } from '../../emulators/emulated.js'
import { upright } from '../../emulators/upright.js'
import { createGlassClock, type GlassClock } from '../../fakes/eink-glass.js'

const ROTATIONS: readonly Rotation[] = [0, 90, 180, 270]
const MODELS: readonly EinkModel[] = [...SSD16XX_MODELS, ...UC81XX_MODELS]
const PAYLOAD = 'https://qr.alipayplus.com/28166604000012345678901234abcDEF7719XyZ'

const ofSale = { amount: { minor: 12_345, currency: 'THB' }, reference: 'K7M4QP' } as const
const scanToPay = (secondsLeft: number): View =>
  ({ screen: 'scan to pay', lamps: 'waiting', ...ofSale, payload: PAYLOAD, method: 'alipayplus_mpm', secondsLeft })
const CHECKING: View = { screen: 'checking', lamps: 'checking', ...ofSale }
const PAID: View = { screen: 'paid', lamps: 'paid', ...ofSale }
const IDLE: View = { screen: 'enter amount', lamps: 'ready', digits: '' }

beforeAll(loadReader)

function mounted(model: EinkModel, rotation: Rotation) {
  const clock = createGlassClock()
  const emulator = emulated(model, clock)
  const panel = openEinkPanel({ model, rotation, bus: emulator.bus, clock, log: pino({ enabled: false }) })
  const renderer = createRenderer({
    size: panel.size, shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm',
  })
  const seen = (): Frame => upright(emulator.glass(), model.visibleWidthPx, rotation)
  return {
    clock, emulator, renderer, panel, seen,
    /** Resolves when a person can see it, and says whether that is what was meant. */
    async show(view: View, refresh: Refresh): Promise<boolean> {
      const frame = renderer.render(view)
      await ended(clock, panel.draw(frame, refresh))
      return sameDots(seen(), frame)
    },
  }
}

/** Time passes until the driver has done it. */
async function ended(clock: GlassClock, doing: Promise<void>): Promise<void> {
  let done = false
  const settled = doing.finally(() => { done = true })
  settled.catch(() => undefined) // Thrown below, when it is awaited.
  for (let steps = 0; !done && steps < 6_000; steps++) await clock.pass(10)
  if (!done) throw new Error('the driver is still at it after a minute')
  await settled
}

/** Bits beyond the right edge are 0 in both. */
const sameDots = (one: Frame, other: Frame): boolean =>
  one.widthPx === other.widthPx && one.heightPx === other.heightPx && Buffer.from(one.bits).equals(other.bits)

describe.each(MODELS.map((model) => [model.name, model] as const))('%s', (_, model) => {
  test.each(ROTATIONS)('mounted at %i degrees shows a sale: its code pays while it is asked for, and is gone afterwards', async (rotation) => {
    const { emulator, show, seen } = mounted(model, rotation)

    expect(await show(IDLE, 'clean')).toBe(true)
    expect(await show(scanToPay(120), 'clean')).toBe(true)
    expect(await readBack(seen())).toBe(PAYLOAD)
    expect(await show(scanToPay(105), 'quick')).toBe(true)
    expect(await readBack(seen())).toBe(PAYLOAD)
    expect(await show(CHECKING, 'clean')).toBe(true)
    expect(await readBack(seen())).toBeUndefined()
    expect(await show(PAID, 'quick')).toBe(true)
    expect(await show(IDLE, 'clean')).toBe(true)
    expect(await readBack(seen())).toBeUndefined()
    expect(emulator.violations).toEqual([])
  })

  test('counts down under a code that pays all the while, asleep in between, and flashes no more than its glass must', async () => {
    const { emulator, show, seen, clock, renderer } = mounted(model, 0)
    const { chip } = model
    expect(await show(scanToPay(120), 'clean')).toBe(true)
    let changes = 0
    for (let left = 105; left > 0; left -= 15) {
      await clock.pass(15_000)
      if (!sameDots(seen(), renderer.render(scanToPay(left)))) changes++ // Small panels leave the countdown out.
      expect(await show(scanToPay(left), 'quick')).toBe(true)
      expect(await readBack(seen())).toBe(PAYLOAD)
    }
    expect(emulator.violations).toEqual([])
    const { full, fast, partial } = emulator.refreshes
    const way = chip.partial && chip.remembersAsleep === true ? 'partial' : chip.fast === undefined ? 'full' : 'fast'
    expect({ full: full - 1, fast, partial }).toEqual({ full: 0, fast: 0, partial: 0, [way]: changes })
  })
})
