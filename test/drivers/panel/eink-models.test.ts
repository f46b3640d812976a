/** Every e-ink panel of the tables behind the shell, on its emulated controller: a shop's day, mounted every way. */
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { type Frame, strideBytes } from '../../../drivers/driver.js'
import { openEinkPanel, toNative } from '../../../drivers/panel/eink.js'
import { type EinkModel, type PanelBus, type Rotation, uprightSize } from '../../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../../drivers/panel/uc81xx.js'
import { SSD16XX_GLASSES, Ssd16xxEmulator } from '../../emulators/ssd16xx.js'
import { UC81XX_GLASSES, Uc81xxEmulator } from '../../emulators/uc81xx.js'
import { createGlassClock, type GlassClock } from '../../fakes/eink-glass.js'

interface Emulator {
  readonly bus: PanelBus
  readonly violations: readonly string[]
  readonly refreshes: { readonly full: number; readonly fast: number; readonly partial: number; readonly msOnGlass: number }
  readonly asleep: boolean
  glass(): Frame
  stickBusy(stuck: boolean | 'until reset'): void
  failTransfer(nth: number): void
}

function emulated(model: EinkModel, clock: GlassClock): Emulator {
  const ssd16xx = SSD16XX_GLASSES[model.name]
  if (ssd16xx !== undefined) return new Ssd16xxEmulator(ssd16xx, clock)
  const uc81xx = UC81XX_GLASSES[model.name]
  if (uc81xx !== undefined) return new Uc81xxEmulator(uc81xx, clock)
  throw new Error(`no glass for ${model.name}`)
}

const log = pino({ level: 'silent' })
const ROTATIONS: readonly Rotation[] = [0, 90, 180, 270]
const MODELS = [...SSD16XX_MODELS, ...UC81XX_MODELS].map((model) => [model.name, model] as const)

/** Dark where nobody would expect it: not symmetric, another one for every number. */
function picture(model: EinkModel, rotation: Rotation, number: number): Frame {
  const { widthPx, heightPx } = uprightSize(model, rotation)
  const bits = new Uint8Array(strideBytes(widthPx) * heightPx)
  for (let at = 0; at < bits.length; at += 7 + number) bits[at] = (at * 13 + number) & 0xff
  return { widthPx, heightPx, bits }
}

describe.each(MODELS)('%s', (_, model) => {
  test.each(ROTATIONS)('mounted at %i: every picture of a day stands on the glass as meant, and the controller has nothing to complain of', async (rotation) => {
    const clock = createGlassClock()
    const emulator = emulated(model, clock)
    const panel = openEinkPanel({ model, rotation, bus: emulator.bus, clock, log })
    const draw = async (number: number, refresh: 'clean' | 'quick', meanwhile = (): void => undefined): Promise<void> => {
      const frame = picture(model, rotation, number)
      let ended = false
      const drawn = panel.draw(frame, refresh).finally(() => { ended = true })
      await clock.pass(300)
      meanwhile()
      for (let looks = 0; !ended && looks < 1_000; looks++) await clock.pass(100)
      await drawn
      expect(wrongBytes(emulator.glass(), frame, model, rotation)).toBe(0)
    }
    await draw(1, 'quick')
    for (let number = 2; number <= 14; number++) await draw(number, 'quick')
    // Ten changes of single dots, then every dot.
    expect(emulator.refreshes).toMatchObject(model.chip.partial ? { full: 2, fast: 0, partial: 12 } : { full: 14, fast: 0, partial: 0 })
    await draw(15, 'clean')
    expect(emulator.asleep).toBe(false)
    await clock.pass(10_000)
    expect(emulator.asleep).toBe(true)
    await draw(16, 'quick')
    await draw(17, 'quick')
    emulator.failTransfer(3)
    await draw(18, 'quick')
    await draw(19, 'clean', () => emulator.stickBusy('until reset'))
    await clock.pass(25 * 3_600_000)
    expect(wrongBytes(emulator.glass(), picture(model, rotation, 19), model, rotation)).toBe(0)
    expect(emulator.asleep).toBe(true)
    await draw(20, 'quick')
    const closing = panel.close()
    await clock.pass(20_000)
    await closing
    expect(emulator.asleep).toBe(true)
    expect(emulator.violations).toEqual([])
  })

  test('takes as long over a full refresh on its glass as the table says', async () => {
    const clock = createGlassClock()
    const emulator = emulated(model, clock)
    const drawn = openEinkPanel({ model, rotation: 0, bus: emulator.bus, clock, log }).draw(picture(model, 0, 1))
    await clock.pass(20_000)
    await drawn
    expect(emulator.refreshes.msOnGlass).toBe(model.fullMs)
  })
})

/** Bytes of the glass that differ from what was meant, without the columns that have no glass. */
function wrongBytes(seen: Frame, frame: Frame, model: EinkModel, rotation: Rotation): number {
  const meant = toNative(frame, model, rotation)
  const columns = strideBytes(model.visibleWidthPx)
  let wrong = 0
  for (let at = 0; at < columns * meant.heightPx; at++) {
    const column = at % columns
    const row = (at - column) / columns
    const onGlass = 0xff << Math.max(0, 8 * (column + 1) - model.visibleWidthPx)
    const dark = seen.bits[row * strideBytes(seen.widthPx) + column] ?? 0
    const white = meant.bits[row * strideBytes(meant.widthPx) + column] ?? 0
    if (((dark ^ ~white) & onGlass & 0xff) !== 0) wrong++
  }
  return wrong
}
