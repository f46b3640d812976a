/** The UC81xx panels, each on an emulated controller: what a customer sees on the glass is the picture that was meant. */
import { beforeAll, describe, expect, test } from 'vitest'
import { loadReader, planCode, readBack } from '../../../device/qr.js'
import type { Frame } from '../../../drivers/driver.js'
import {
  type EinkModel, type NativePicture, type NativeWindow, type Rotation, type Step, uprightSize,
} from '../../../drivers/panel/eink-chip.js'
import { toNative } from '../../../drivers/panel/eink.js'
import { UC81XX_MODELS } from '../../../drivers/panel/uc81xx.js'
import { patched, speckled, wrongDots } from '../../emulators/pictures.js'
import { runSteps } from '../../emulators/run-steps.js'
import { UC81XX_GLASSES, Uc81xxEmulator } from '../../emulators/uc81xx.js'
import { drawn, upright } from '../../emulators/upright.js'

const ROTATIONS: readonly Rotation[] = [0, 90, 180, 270]
const PAYLOAD = 'https://qr.alipayplus.com/281666040012345678901234abcDEF7719XyZ'

beforeAll(loadReader)

/** A panel that was never switched on, with whatever a predecessor left on its glass. */
function powered(model: EinkModel) {
  const glass = UC81XX_GLASSES[model.name]
  if (glass === undefined) throw new Error(`no glass for ${model.name}`)
  const emulator = new Uc81xxEmulator(glass)
  return { emulator, run: (steps: readonly Step[]) => runSteps(emulator.bus, emulator.clock, model.chip.busyLevel, steps) }
}

describe.each(UC81XX_MODELS.map((model) => [model.name, model] as const))('%s', (_, model) => {
  const { chip, native } = model
  const [first, second, third] = [speckled(native, 1), speckled(native, 2), speckled(native, 3)] as const

  test('shows a picture after power came, over whatever stood there', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first)])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('shows one picture after the other, sleeps, and wakes for another', async () => {
    const { emulator, run } = powered(model)
    for (const picture of [first, second]) await run([...chip.wake(), ...chip.full(picture), ...chip.full(third), ...chip.sleep()])
    await run([...chip.wake(), ...chip.full(first)])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.violations).toEqual([])
    expect(emulator.refreshes).toMatchObject({ full: 5, fast: 0, partial: 0 })
  })

  test('high voltage is off as soon as the picture stands', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first)])
    await emulator.clock.pause(86_400_000)
    await run(chip.sleep())
    expect(emulator.violations).toEqual([])
  })

  test('is shown a picture again after the power was cut in the middle of one', async () => {
    const { emulator, run } = powered(model)
    const steps = [...chip.wake(), ...chip.full(first)]
    const refresh = steps.findIndex((step) => step.step === 'command' && step.command === 0x12)
    await run([...steps.slice(0, refresh + 1), { step: 'pause', ms: 300 }])
    emulator.powerLoss()
    expect(wrongDots(emulator.glass(), first)).toBeGreaterThan(0)
    await run([...chip.wake(), ...chip.full(first)])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('a controller that never comes out of BUSY is a fault, and a reset before the next picture is enough', async () => {
    const { emulator, run } = powered(model)
    emulator.stickBusy(true)
    await expect(run([...chip.wake(), ...chip.full(first)])).rejects.toThrow('BUSY for 2000 ms: reset')
    emulator.stickBusy(false)
    await run([...chip.wake(), ...chip.full(first)])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.violations).toEqual([]) // Nothing was said to a controller that was BUSY.
  })

  test('answers when it is asked, and nothing moves on its glass', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first), ...chip.sleep(), ...chip.wake(), ...chip.probe(), ...chip.sleep()])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.refreshes).toMatchObject({ full: 1, fast: 0, partial: 0 })
    expect(emulator.violations).toEqual([])
  })

  test.each(ROTATIONS)('a code on it pays when the panel is mounted at %i degrees', async (rotation) => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(toNative(codeOn(model, rotation), model, rotation))])
    expect(await readBack(upright(emulator.glass(), model.visibleWidthPx, rotation))).toBe(PAYLOAD)
    expect(emulator.violations).toEqual([])
  })

  test('says how big it is', () => {
    const glass = UC81XX_GLASSES[model.name]
    expect(native).toEqual({ widthPx: glass?.widthPx, heightPx: glass?.heightPx })
    expect(model.visibleWidthPx).toBe(native.widthPx)
  })
})

const partialModels = UC81XX_MODELS.filter(({ chip }) => chip.partial)

test('only the new glass of 7.5 inch has waveforms of its own for fast and partial refreshes', () => {
  expect(partialModels.map(({ name }) => name)).toEqual(['waveshare-7in5-v2'])
  expect(UC81XX_MODELS.filter(({ chip }) => chip.fast !== undefined)).toEqual(partialModels)
})

describe.each(partialModels.map((model) => [model.name, model] as const))('%s, without flashing', (_, model) => {
  const { chip, native } = model
  const windows: readonly NativeWindow[] = [
    { x: 0, y: 0, widthPx: 8, heightPx: 1 },
    { x: 248, y: 100, widthPx: 264, heightPx: 156 }, // Ends at column 511 and row 255: all ones in the lower byte.
    { x: 256, y: 256, widthPx: 256, heightPx: 1 },
    { x: 8, y: 3, widthPx: 16, heightPx: 470 },
    { x: native.widthPx - 8, y: native.heightPx - 1, widthPx: 8, heightPx: 1 },
    { x: 0, y: 0, ...native },
  ]

  test('changes the dots of a window and no other, window after window', async () => {
    const { emulator, run } = powered(model)
    let shown = speckled(native, 1)
    await run([...chip.wake(), ...chip.full(shown)])
    for (const [i, window] of windows.entries()) {
      const next = patched(shown, speckled(native, 10 + i), window)
      await run(chip.partialRefresh(shown, next, window))
      expect(wrongDots(emulator.glass(), next), JSON.stringify(window)).toBe(0)
      shown = next
    }
    expect(emulator.refreshes).toMatchObject({ full: 1, partial: windows.length })
    expect(emulator.violations).toEqual([])
  })

  test('changes single dots after sleep as well: it is told what stands there', async () => {
    const { emulator, run } = powered(model)
    const shown = speckled(native, 1)
    const next = patched(shown, speckled(native, 2), windows[1] ?? { x: 0, y: 0, ...native })
    await run([...chip.wake(), ...chip.full(shown), ...chip.sleep()])
    await run([...chip.wake(), ...chip.partialRefresh(shown, next, { x: 0, y: 0, ...native })])
    expect(chip.remembersAsleep).toBe(true)
    expect(wrongDots(emulator.glass(), next)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('full, fast and partial refreshes follow each other in any order', async () => {
    const { emulator, run } = powered(model)
    await run(chip.wake())
    let shown = speckled(native, 1)
    for (const [i, kind] of ['fast', 'partial', 'full', 'partial', 'partial', 'fast', 'full', 'fast', 'partial'].entries()) {
      const window = windows[i % windows.length] ?? { x: 0, y: 0, ...native }
      const next = kind === 'partial' ? patched(shown, speckled(native, 20 + i), window) : speckled(native, 20 + i)
      const everyDot = kind === 'fast' ? chip.fast ?? chip.full : chip.full
      await run(kind === 'partial' ? chip.partialRefresh(shown, next, window) : everyDot(next))
      expect(wrongDots(emulator.glass(), next), `${i} ${kind}`).toBe(0)
      shown = next
    }
    expect(emulator.refreshes).toMatchObject({ full: 2, fast: 3, partial: 4 }) // No full one by the waveform of a fast one.
    expect(emulator.violations).toEqual([])
  })

  test('a code that comes by a partial refresh pays as well', async () => {
    const { emulator, run } = powered(model)
    const blank: NativePicture = { ...native, bits: new Uint8Array(native.widthPx / 8 * native.heightPx).fill(0xff) }
    const code = toNative(codeOn(model, 0), model, 0)
    await run([...chip.wake(), ...chip.full(blank), ...chip.partialRefresh(blank, code, { x: 0, y: 0, ...native })])
    expect(await readBack(upright(emulator.glass(), model.visibleWidthPx, 0))).toBe(PAYLOAD)
    expect(emulator.violations).toEqual([])
  })
})

function codeOn(model: EinkModel, rotation: Rotation): Frame {
  const { widthPx, heightPx, pitchMm } = uprightSize(model, rotation)
  const plan = planCode(PAYLOAD, { widthPx, heightPx }, pitchMm)
  if (!plan.fits) throw new Error(plan.text)
  const { modules, modulePx, quietModules } = plan
  return drawn(widthPx, heightPx, (x, y) =>
    modules[Math.floor(y / modulePx) - quietModules]?.[Math.floor(x / modulePx) - quietModules] === true)
}
