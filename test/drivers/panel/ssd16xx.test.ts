/** The SSD16xx panels, each on an emulated controller: what a customer sees on the glass is the picture that was meant. */
import { beforeAll, describe, expect, test } from 'vitest'
import { loadReader, planCode, readBack } from '../../../device/qr.js'
import { type Frame, strideBytes } from '../../../drivers/driver.js'
import { type EinkModel, type NativeWindow, type Rotation, type Step, uprightSize } from '../../../drivers/panel/eink-chip.js'
import { toNative } from '../../../drivers/panel/eink.js'
import { SSD16XX_MODELS } from '../../../drivers/panel/ssd16xx.js'
import { patched, speckled, wrongDots } from '../../emulators/pictures.js'
import { runSteps } from '../../emulators/run-steps.js'
import { SSD16XX_GLASSES, Ssd16xxEmulator } from '../../emulators/ssd16xx.js'
import { drawn, upright } from '../../emulators/upright.js'

const ROTATIONS: readonly Rotation[] = [0, 90, 180, 270]
/** As long as such a code gets on the smallest panel. */
const PAYLOAD = 'https://qr.alipayplus.com/281666040012345678901234abcDEF7719XyZ?'.padEnd(180, 'aB3-xY7_')

beforeAll(loadReader)

/** A panel that was never switched on, with whatever a predecessor left on its glass. */
function powered(model: EinkModel) {
  const glass = SSD16XX_GLASSES[model.name]
  if (glass === undefined) throw new Error(`no glass for ${model.name}`)
  const emulator = new Ssd16xxEmulator(glass)
  return { emulator, run: (steps: readonly Step[]) => runSteps(emulator.bus, emulator.clock, model.chip.busyLevel, steps) }
}

/** Corners, edges, a single byte, a column, a row, all of it. */
function windowsOf({ native: { widthPx, heightPx } }: EinkModel): readonly NativeWindow[] {
  return [
    { x: 0, y: 0, widthPx: 8, heightPx: 1 },
    { x: widthPx - 16, y: heightPx - 30, widthPx: 16, heightPx: 30 },
    { x: 8, y: heightPx - 1, widthPx: 24, heightPx: 1 },
    { x: 40, y: 10, widthPx: 64, heightPx: 99 },
    { x: 0, y: 50, widthPx, heightPx: 3 },
    { x: widthPx - 8, y: 0, widthPx: 8, heightPx },
    { x: 0, y: 0, widthPx, heightPx },
  ]
}

function codeOn(model: EinkModel, rotation: Rotation): Frame {
  const size = uprightSize(model, rotation)
  const plan = planCode(PAYLOAD, size, size.pitchMm)
  if (!plan.fits) throw new Error(`${model.name}: ${plan.text}`)
  const left = Math.floor((size.widthPx - plan.symbolPx) / 2)
  const top = Math.floor((size.heightPx - plan.symbolPx) / 2)
  return drawn(size.widthPx, size.heightPx, (x, y) =>
    plan.modules[Math.floor((y - top) / plan.modulePx)]?.[Math.floor((x - left) / plan.modulePx)] ?? false)
}

describe.each(SSD16XX_MODELS.map((model) => [model.name, model] as const))('%s', (name, model) => {
  const { chip, native } = model
  const [first, second, third] = [speckled(model.native, 1), speckled(model.native, 2), speckled(model.native, 3)] as const

  test('shows a picture after power came, over whatever stood there', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first)])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('shows one picture after the other, sleeps, and wakes for another', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first), ...chip.full(second), ...chip.sleep()])
    expect(wrongDots(emulator.glass(), second)).toBe(0)
    await run([...chip.wake(), ...chip.full(third)])
    expect(wrongDots(emulator.glass(), third)).toBe(0)
    expect(emulator.violations).toEqual([])
    expect(emulator.refreshes).toMatchObject({ full: 3, fast: 0, partial: 0 })
  })

  test('high voltage is off as soon as a picture stands, whichever way it came', async () => {
    const { emulator, run } = powered(model)
    const day = { step: 'pause', ms: 86_400_000 } as const
    await run([...chip.wake(), ...chip.full(first), day, ...chip.fast?.(second) ?? [], day])
    await run([...chip.partialRefresh(chip.fast === undefined ? first : second, third, windowsOf(model).at(-1)!), day, ...chip.sleep()])
    expect(wrongDots(emulator.glass(), third)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('changes what it is asked to, window after window, and nothing else', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first)])
    let shown = first
    for (const [i, window] of windowsOf(model).entries()) {
      const next = patched(shown, i % 2 === 0 ? second : third, window)
      await run(chip.partialRefresh(shown, next, window))
      shown = next
      expect(wrongDots(emulator.glass(), shown)).toBe(0)
    }
    expect(emulator.violations).toEqual([])
    expect(emulator.refreshes).toMatchObject(chip.partial ? { full: 1, partial: 7 } : { full: 8, partial: 0 })
  })

  test('may refresh fully between partial ones, and partially again', async () => {
    const { emulator, run } = powered(model)
    const window = windowsOf(model)[3]!
    const patch = patched(first, second, window)
    await run([...chip.wake(), ...chip.full(first), ...chip.partialRefresh(first, patch, window)])
    await run([...chip.full(second), ...chip.partialRefresh(second, patched(second, third, window), window)])
    expect(wrongDots(emulator.glass(), patched(second, third, window))).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('is shown a picture again after the power was cut in the middle of one', async () => {
    const { emulator, run } = powered(model)
    const steps = [...chip.wake(), ...chip.full(first)]
    await run([...steps.slice(0, steps.findIndex((step) => step.step === 'command' && step.command === 0x20) + 1), { step: 'pause', ms: 300 }])
    emulator.powerLoss()
    expect(wrongDots(emulator.glass(), first)).toBeGreaterThan(1_000)
    await run([...chip.wake(), ...chip.full(first)])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('a controller that stays BUSY is a fault by name, and a reset is enough when it comes to itself', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first)])
    const drawing = [...chip.full(second)]
    const refresh = drawing.findIndex((step) => step.step === 'command' && step.command === 0x20)
    await run(drawing.slice(0, refresh + 1))
    emulator.stickBusy('until reset')
    await expect(run(drawing.slice(refresh + 1))).rejects.toThrow(/BUSY for \d+ ms: full refresh/)
    await run([...chip.wake(), ...chip.full(second)])
    expect(wrongDots(emulator.glass(), second)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test('answers when it is asked, and nothing moves on its glass', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first), ...chip.sleep(), ...chip.wake(), ...chip.probe(), ...chip.sleep()])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    expect(emulator.refreshes).toMatchObject({ full: 1, fast: 0, partial: 0 })
    expect(emulator.violations).toEqual([])
  })

  test('a picture that was lost on the wire is whole after the next one', async () => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(first)])
    emulator.failTransfer(7)
    await expect(run(chip.full(second))).rejects.toThrow('SPI transfer')
    await run([...chip.wake(), ...chip.full(second)])
    expect(wrongDots(emulator.glass(), second)).toBe(0)
    expect(emulator.violations).toEqual([])
  })

  test.each(ROTATIONS)('a code on it pays when the panel is mounted at %i degrees', async (rotation) => {
    const { emulator, run } = powered(model)
    await run([...chip.wake(), ...chip.full(toNative(codeOn(model, rotation), model, rotation))])
    expect(await readBack(upright(emulator.glass(), model.visibleWidthPx, rotation))).toBe(PAYLOAD)
    expect(emulator.violations).toEqual([])
  })

  test('says how big it is', () => {
    const glass = SSD16XX_GLASSES[name]
    expect([model.visibleWidthPx, native.heightPx]).toEqual([glass?.widthPx, glass?.heightPx])
    expect(native.widthPx).toBe(strideBytes(model.visibleWidthPx) * 8)
  })
})

const REMEMBERING = SSD16XX_MODELS.filter(({ chip }) => chip.remembersAsleep === true)

describe.each(REMEMBERING.map((model) => [model.name, model] as const))('%s, told the old picture each time,', (_, model) => {
  const { chip } = model

  test('changes a part after it slept, even if its memory did not last', async () => {
    const [first, second, third] = [speckled(model.native, 1), speckled(model.native, 2), speckled(model.native, 3)] as const
    const { emulator, run } = powered(model)
    const window = windowsOf(model)[3]!
    const [between, last] = [patched(first, second, window), patched(first, third, window)]
    await run([...chip.wake(), ...chip.full(first), ...chip.sleep(), ...chip.wake(), ...chip.partialRefresh(first, between, window)])
    expect(wrongDots(emulator.glass(), between)).toBe(0)
    expect(emulator.violations).toEqual([])
    const drawnOut = chip.wake().map((step) => (step.step === 'reset' ? { ...step, lowMs: 15 } : step))
    await run([...chip.sleep(), ...drawnOut, ...chip.partialRefresh(between, last, window)])
    expect(wrongDots(emulator.glass(), last)).toBe(0)
    expect(emulator.violations).toEqual(['RST low for 15 ms: the board cuts the power'])
    expect(emulator.refreshes).toMatchObject({ full: 1, partial: 2 })
  })
})

describe.each(SSD16XX_MODELS.filter(({ chip }) => chip.fast !== undefined).map((model) => [model.name, model] as const))('%s, fast', (_, model) => {
  const { chip } = model
  const [first, second, third] = [speckled(model.native, 4), speckled(model.native, 5), speckled(model.native, 6)] as const

  test('is faster than full, and full and partial refreshes go on as before', async () => {
    const { emulator, run } = powered(model)
    const window = windowsOf(model)[3]!
    await run([...chip.wake(), ...chip.fast!(first)])
    expect(wrongDots(emulator.glass(), first)).toBe(0)
    const fastMs = emulator.refreshes.msOnGlass
    await run(chip.full(second))
    expect(fastMs).toBeLessThan((emulator.refreshes.msOnGlass - fastMs) / 2)
    const patch = patched(third, first, window)
    await run([...chip.fast!(third), ...chip.partialRefresh(third, patch, window)])
    expect(wrongDots(emulator.glass(), patch)).toBe(0)
    expect(emulator.violations).toEqual([])
    expect(emulator.refreshes).toMatchObject({ full: 1, fast: 2, partial: 1 })
  })
})

test('the steps on the 2.13 inch, byte for byte', () => {
  const { chip, native } = SSD16XX_MODELS.find(({ name }) => name === 'waveshare-2in13-v4')!
  const picture = speckled(native, 1)
  const placed = ['11 03', '44 00 0f', '45 00 00 f9 00', '4e 00', '4f 00 00']
  const stored = [...placed, '26 and 4000 bytes', ...placed, '24 and 4000 bytes']
  expect(chip.wake().map(inWords)).toEqual([
    'reset 2 ms, 20 ms', 'until idle, 2000 ms: reset', '12', 'pause 10 ms', 'until idle, 2000 ms: soft reset',
    '01 f9 00 00', '21 00 80', '18 80',
  ])
  expect(chip.full(picture).map(inWords)).toEqual([...stored, '3c 05', '22 f7', '20', 'until idle, 13000 ms: full refresh'])
  expect(chip.fast?.(picture).map(inWords)).toEqual([...stored, '3c 05', '1a 64', '22 d7', '20', 'until idle, 8234 ms: fast refresh'])
  expect(chip.partialRefresh(picture, picture, { x: 8, y: 200, widthPx: 16, heightPx: 2 }).map(inWords))
    .toEqual([...stored, '3c 80', '22 ff', '20', 'until idle, 6394 ms: partial refresh'])
  expect(chip.sleep().map(inWords)).toEqual(['10 01'])
})

test('the steps of a small change on the 2.9 inch V1, whose two memories swap: twice the same window', () => {
  const { chip, native } = SSD16XX_MODELS.find(({ name }) => name === 'waveshare-2in9-v1')!
  const picture = { ...native, bits: new Uint8Array(4_736).map((_, i) => i & 0xff) }
  const stored = ['11 03', '44 01 02', '45 c8 00 c9 00', '4e 01', '4f c8 00', '24 81 82 91 92']
  expect(chip.partialRefresh(picture, picture, { x: 8, y: 200, widthPx: 16, heightPx: 2 }).map(inWords)).toEqual([
    ...stored, '32 and 30 bytes', '22 c4', '20', 'until idle, 5824 ms: partial refresh', '22 c3', '20',
    'until idle, 5824 ms: partial refresh', ...stored,
  ])
})

function inWords(step: Step): string {
  switch (step.step) {
    case 'reset': return `reset ${step.lowMs} ms, ${step.afterMs} ms`
    case 'pause': return `pause ${step.ms} ms`
    case 'await idle': return `until idle, ${step.withinMs} ms: ${step.what}`
    case 'command':
      if (step.data !== undefined && step.data.length > 10) return `${step.command.toString(16)} and ${step.data.length} bytes`
      return Buffer.from([step.command, ...step.data ?? []]).toString('hex').replace(/..(?=.)/g, '$& ')
  }
}
