/**
 * An emulator that lets everything pass proves nothing: here are drivers with the mistakes that people really make on these
 * controllers, each a small edit of the right steps, and what each one is caught by.
 */
import { describe, expect, test } from 'vitest'
import type { EinkModel, NativePicture, NativeWindow, Step } from '../../drivers/panel/eink-chip.js'
import { UC81XX_MODELS } from '../../drivers/panel/uc81xx.js'
import { runSteps } from './run-steps.js'
import { UC81XX_GLASSES, Uc81xxEmulator } from './uc81xx.js'

type Edit = (steps: readonly Step[]) => readonly Step[]

interface Broken {
  readonly mistake: string
  /** The new glass of 7.5 inch unless said. */
  readonly model?: string
  readonly edit?: Edit
  readonly busyLevel?: 0 | 1
  readonly caughtBy: RegExp | 'wrong glass' | 'wrong waveform'
}

const isCommand = (step: Step, code: number): boolean => step.step === 'command' && step.command === code

const without = (code: number): Edit => (steps) => steps.filter((step) => !isCommand(step, code))
const withData = (code: number, change: (data: Uint8Array) => Iterable<number>): Edit => (steps) => steps.map((step) =>
  step.step === 'command' && step.command === code ? { ...step, data: Uint8Array.from(change(step.data ?? new Uint8Array())) } : step)
const sending = (code: number, ...data: readonly number[]): Edit => withData(code, () => data)
const withoutStepAfter = (code: number, kind: Step['step']): Edit => (steps) =>
  steps.filter((step, i) => !(step.step === kind && steps.slice(0, i).findLast((before) => before.step === 'command')?.command === code))
const withReset = (change: Partial<Extract<Step, { step: 'reset' }>>): Edit => (steps) =>
  steps.map((step) => (step.step === 'reset' ? { ...step, ...change } : step))
const isPartial = (steps: readonly Step[]): boolean =>
  steps.some((step) => step.step === 'command' && step.command === 0xe5 && step.data?.[0] === 0x6e)
const onlyPartial = (edit: Edit): Edit => (steps) => (isPartial(steps) ? edit(steps) : steps)
const onlyFull = (edit: Edit): Edit => (steps) => (isPartial(steps) ? steps : edit(steps))
const before = (code: number, ...inserted: readonly Step[]): Edit => (steps) =>
  steps.flatMap((step) => (isCommand(step, code) ? [...inserted, step] : [step]))
const inTurn = (...edits: readonly Edit[]): Edit => (steps) => edits.reduce((edited, edit) => edit(edited), steps)
const inverted = (data: Uint8Array): Uint8Array => data.map((byte) => ~byte)
const command = (code: number, ...data: readonly number[]): Step => ({ step: 'command', command: code, data: Uint8Array.from(data) })

/** Ends at column 511: all ones in the lower byte. Not as wide as high. */
const WINDOW: NativeWindow = { x: 248, y: 100, widthPx: 264, heightPx: 200 }

/** As other drivers do it: partial refreshes of a window alone, with the old picture kept in step by the controller. */
const windowed: Edit = onlyPartial((steps) => inTurn(
  before(0x10, { step: 'command', command: 0x91 }, command(0x90, 0, 248, 1, 255, 0, 100, 1, 43, 1)), without(0x10),
  withData(0x13, (data) => cutOut(data)),
)([...steps, { step: 'command', command: 0x92 }]))

function samePictures(steps: readonly Step[]): readonly Step[] {
  const picture = steps.find((step) => isCommand(step, 0x13))
  return withData(0x10, () => (picture?.step === 'command' ? picture.data : undefined) ?? [])(steps)
}

function cutOut(picture: Uint8Array): number[] {
  const rows = Array.from({ length: WINDOW.heightPx }, (_, row) => {
    const start = (WINDOW.y + row) * 100 + WINDOW.x / 8
    return [...picture.subarray(start, start + WINDOW.widthPx / 8)]
  })
  return rows.flat()
}

const BROKEN: readonly Broken[] = [
  { mistake: 'refreshes before power is on', edit: without(0x04), caughtBy: /a refresh with the power off: ignored/ },
  { mistake: 'takes high for busy', busyLevel: 1, caughtBy: /BUSY for 2000 ms: reset/ },
  { mistake: 'does not wait for the refresh', edit: withoutStepAfter(0x12, 'await idle'), caughtBy: /command 0x02 while BUSY: ignored/ },
  { mistake: 'looks at BUSY at once after a refresh began', edit: withoutStepAfter(0x12, 'pause'), caughtBy: /BUSY looked at before a refresh has pulled it low/ },
  { mistake: 'leaves high voltage on', edit: without(0x02), caughtBy: /high voltage on for 5000 ms/ },
  { mistake: 'leaves high voltage on in deep sleep', edit: without(0x02), caughtBy: /deep sleep with high voltage on/ },
  { mistake: 'sends 1 for black', edit: sending(0x50, 0x28, 0x07), caughtBy: 'wrong glass' },
  {
    mistake: 'sends 1 for black in full refreshes and 1 for white in partial ones',
    edit: inTurn(
      onlyFull(inTurn(sending(0x50, 0x18, 0x07), withData(0x10, inverted), withData(0x13, inverted))),
      onlyPartial(inTurn(windowed, before(0x91, command(0x50, 0xa9, 0x07)))),
    ),
    caughtBy: /polarity changed since a picture was written/,
  },
  {
    mistake: 'believes that the old picture is kept in step by itself', edit: inTurn(windowed, sending(0x50, 0x21, 0x07)),
    caughtBy: /a partial refresh from an old picture that is not on the glass/,
  },
  {
    mistake: 'believes that the old picture is kept in step by itself', edit: inTurn(windowed, sending(0x50, 0x21, 0x07)),
    caughtBy: 'wrong glass',
  },
  { mistake: 'sends the new picture for the old one', edit: onlyPartial(samePictures), caughtBy: 'wrong glass' },
  { mistake: 'never writes an old picture', edit: without(0x10), caughtBy: /without an old picture since the reset/ },
  { mistake: 'sends a byte too few', edit: withData(0x13, (data) => data.subarray(1)), caughtBy: /a picture of 47999 bytes, not 48000/ },
  { mistake: 'sends a byte too many', edit: withData(0x10, (data) => [...data, 0]), caughtBy: /a picture of 48001 bytes, not 48000/ },
  {
    mistake: 'sends the whole picture into a window', edit: inTurn(windowed, onlyPartial(withData(0x13, () => new Uint8Array(48_000)))),
    caughtBy: /a picture of 48000 bytes, not 6600/,
  },
  {
    mistake: 'gives the end of a window as the first column outside',
    edit: inTurn(windowed, withData(0x90, ([a, b, , , ...rest]) => [a ?? 0, b ?? 0, 2, 0, ...rest])),
    caughtBy: /window 248\.\.512, 100\.\.299: columns not in whole bytes/,
  },
  {
    mistake: 'borrows from the lower byte of a window only, as a maker\'s example does',
    edit: inTurn(windowed, withData(0x90, ([a, b, , , ...rest]) => [a ?? 0, b ?? 0, 2, 0xff, ...rest])),
    caughtBy: /a picture of 6600 bytes, not 13000/,
  },
  {
    mistake: 'swaps columns and rows of a window',
    edit: inTurn(windowed, withData(0x90, (data) => [...data.subarray(4, 8), ...data.subarray(0, 4), 1])),
    caughtBy: /window 100\.\.299, 248\.\.511: not on the glass/,
  },
  { mistake: 'does not leave partial mode', edit: inTurn(windowed, without(0x92)), caughtBy: /a picture of 48000 bytes, not 6600/ },
  { mistake: 'sets no window', edit: inTurn(windowed, without(0x90)), caughtBy: /a picture without a window: ignored/ },
  { mistake: 'sleeps without the check code', edit: sending(0x07, 0x00), caughtBy: /deep sleep with 0x00, not 0xa5: ignored/ },
  { mistake: 'wakes without a reset', edit: (steps) => steps.filter(({ step }) => step !== 'reset'), caughtBy: /command 0x00 before any reset: ignored/ },
  { mistake: 'resets too shortly', edit: withReset({ lowMs: 1 }), caughtBy: /RST low for 1 ms: not seen/ },
  { mistake: 'resets for so long that the board cuts the power', edit: withReset({ lowMs: 20 }), caughtBy: /RST low for 20 ms: the board cuts the power/ },
  { mistake: 'does not wait after a reset', edit: withReset({ afterMs: 1 }), caughtBy: /command 0x00 less than 10 ms after a reset: ignored/ },
  {
    mistake: 'stays in the soft reset', edit: (steps) => {
      const bit = steps.findIndex((step) => step.step === 'command' && step.command === 0 && step.data?.[0] === 0x1e)
      return bit < 0 ? steps : steps.filter((step, i) => i <= bit || !isCommand(step, 0x00))
    },
    caughtBy: /command 0x04 while PSR holds it in reset: ignored/,
  },
  { mistake: 'swaps width and height', edit: sending(0x61, 0x01, 0xe0, 0x03, 0x20), caughtBy: /resolution 480x800 on glass of 800x480/ },
  { mistake: 'swaps width and height', edit: sending(0x61, 0x01, 0xe0, 0x03, 0x20), caughtBy: 'wrong glass' },
  { mistake: 'sets no resolution', edit: without(0x61), caughtBy: /a picture without a resolution: ignored/ },
  { mistake: 'scans the rows from the other end', edit: sending(0x00, 0x17), caughtBy: 'wrong glass' },
  { mistake: 'scans the columns from the other end', edit: sending(0x00, 0x1b), caughtBy: 'wrong glass' },
  { mistake: 'asks for register waveforms and sends none', edit: sending(0x00, 0x3f), caughtBy: /with no waveform in the registers: ignored/ },
  { mistake: 'treats black glass as red', edit: sending(0x00, 0x0f), caughtBy: /in the mode for red glass/ },
  {
    mistake: 'keeps the temperature of the partial waveform for a full refresh',
    edit: onlyFull((steps) => (steps.some((step) => isCommand(step, 0x12)) ? steps.filter((step) => !isCommand(step, 0x00)) : steps)),
    caughtBy: 'wrong waveform',
  },
  {
    mistake: 'takes a window after deep sleep, when the rest is forgotten',
    edit: inTurn(windowed, onlyPartial((steps) => [...modelOf('waveshare-7in5-v2').chip.wake(), ...steps])),
    caughtBy: /without an old picture since the reset/,
  },
  { mistake: 'forgets to ask for the partial waveform', edit: without(0xe5), caughtBy: /no waveform for the forced temperature 0x00/ },
  {
    mistake: 'is the driver of the new glass on the old one', model: 'waveshare-7in5-v2-old',
    edit: before(0x04, command(0xe0, 0x02), command(0xe5, 0x5a)), caughtBy: /no waveform for the forced temperature 0x5a/,
  },
  { mistake: 'is the driver of a larger controller', model: 'waveshare-2in9-d', edit: sending(0x50, 0x29, 0x07), caughtBy: /command 0x50 with 2 bytes, not 1/ },
  { mistake: 'sends a command of another controller', model: 'waveshare-2in9-d', edit: before(0x04, command(0xe0, 0x02)), caughtBy: /command 0xe0 is none of UC8151D/ },
  { mistake: 'sends 1 for black', model: 'waveshare-2in9-d', edit: sending(0x50, 0x87), caughtBy: 'wrong glass' },
]

/** A code, a change without flashing and a fast one where the glass can do that, ten quiet seconds, sleep, and another code. */
async function day(model: EinkModel, edit: Edit, busyLevel: 0 | 1) {
  const glass = UC81XX_GLASSES[model.name]
  if (glass === undefined) throw new Error(`no glass for ${model.name}`)
  const emulator = new Uc81xxEmulator(glass)
  const run = (steps: readonly Step[]) => runSteps(emulator.bus, emulator.clock, busyLevel, edit(steps))
  const { chip, native } = model
  const [first, second, third] = [striped(native, 3), striped(native, 5), striped(native, 7)] as const
  let right = true
  const see = (picture: NativePicture): void => { right &&= Buffer.from(picture.bits).equals(inverted(emulator.glass().bits)) }
  try {
    await run(chip.wake())
    await run(chip.full(first))
    see(first)
    if (chip.partial) {
      await run(chip.partialRefresh(first, patched(first, second), WINDOW))
      see(patched(first, second))
    }
    if (chip.fast !== undefined) {
      await run(chip.fast(first))
      see(first)
    }
    await run(chip.full(third))
    see(third)
    await emulator.clock.pause(10_000)
    await run(chip.sleep())
    await run(chip.wake())
    await run(chip.full(second))
    see(second)
  } catch (error) {
    right = false
    emulator.violations.push(String(error))
  }
  return { violations: emulator.violations, right, refreshes: emulator.refreshes }
}

/** No two rows alike, and no row like its mirror image. */
function striped({ widthPx, heightPx }: EinkModel['native'], by: number): NativePicture {
  return { widthPx, heightPx, bits: Uint8Array.from({ length: widthPx / 8 * heightPx }, (_, i) => i * by + (i >> 7) * 13) }
}

function patched(under: NativePicture, over: NativePicture): NativePicture {
  const stride = under.widthPx / 8
  const inside = (i: number): boolean => {
    const [column, row] = [i % stride * 8, Math.floor(i / stride)]
    return column >= WINDOW.x && column < WINDOW.x + WINDOW.widthPx && row >= WINDOW.y && row < WINDOW.y + WINDOW.heightPx
  }
  return { ...under, bits: under.bits.map((byte, i) => (inside(i) ? over.bits[i] ?? 0 : byte)) }
}

const modelOf = (name: string): EinkModel => {
  const model = UC81XX_MODELS.find((one) => one.name === name)
  if (model === undefined) throw new Error(`no model ${name}`)
  return model
}

describe('a right driver is not accused', () => {
  test.each(UC81XX_MODELS.map((model) => [model.name, model] as const))('%s', async (_, model) => {
    const { violations, right, refreshes } = await day(model, (steps) => steps, model.chip.busyLevel)
    expect({ violations, right }).toEqual({ violations: [], right: true })
    expect(refreshes).toMatchObject({ full: 3, fast: model.chip.fast === undefined ? 0 : 1, partial: model.chip.partial ? 1 : 0 })
  })
})

test('nor is one that sends windows alone', async () => {
  const { violations, right, refreshes } = await day(modelOf('waveshare-7in5-v2'), windowed, 0)
  expect({ violations, right }).toEqual({ violations: [], right: true })
  expect(refreshes.partial).toBe(1)
})

describe('a broken driver is caught', () => {
  test.each(BROKEN)('one that $mistake, by $caughtBy', async ({ model = 'waveshare-7in5-v2', edit = (steps) => steps, busyLevel = 0, caughtBy }) => {
    const { violations, right, refreshes } = await day(modelOf(model), edit, busyLevel)
    if (caughtBy === 'wrong glass') expect(right).toBe(false)
    else if (caughtBy === 'wrong waveform') expect(refreshes.full).toBeLessThan(3)
    else expect(violations).toContainEqual(expect.stringMatching(caughtBy))
  })
})

describe('the controller', () => {
  const { chip, native } = modelOf('waveshare-7in5-v2')
  const picture = striped(native, 3)

  function powered() {
    const glass = UC81XX_GLASSES['waveshare-7in5-v2']
    if (glass === undefined) throw new Error('no glass')
    const emulator = new Uc81xxEmulator(glass)
    return { emulator, run: (steps: readonly Step[]) => runSteps(emulator.bus, emulator.clock, 0, steps) }
  }

  test('forgets its pictures when power goes: a partial refresh afterwards is a mistake', async () => {
    const { emulator, run } = powered()
    await run([...chip.wake(), ...chip.full(picture)])
    emulator.powerLoss()
    await run([...chip.wake(), ...chip.partialRefresh(picture, picture, WINDOW)])
    expect(emulator.violations).toEqual(['a partial refresh before any full one'])
  })

  test('notices that single dots are changed a thousand times, and the whole glass never', async () => {
    const { emulator, run } = powered()
    const change = chip.partialRefresh(picture, picture, WINDOW)
    await run([...chip.wake(), ...chip.full(picture), ...Array.from({ length: 10 }, () => change).flat()])
    expect(emulator.violations).toEqual([])
    await run(change)
    expect(emulator.violations).toEqual(['11 partial refreshes since every dot was driven'])
  })

  test('notices that it is never put to sleep', async () => {
    const { emulator, run } = powered()
    await run([...chip.wake(), ...chip.full(picture)])
    await emulator.clock.pause(10_000)
    expect(emulator.asleep).toBe(false)
    await run(chip.sleep())
    expect(emulator.asleep).toBe(true)
  })

  test('keeps what is on the glass when power goes', async () => {
    const { emulator, run } = powered()
    await run([...chip.wake(), ...chip.full(picture)])
    emulator.powerLoss()
    expect(Buffer.from(inverted(emulator.glass().bits)).equals(picture.bits)).toBe(true)
  })

  test('shows the last picture until the refresh ends', async () => {
    const { emulator, run } = powered()
    const last = emulator.glass()
    const steps = [...chip.wake(), ...chip.full(picture)]
    const refresh = steps.findIndex((step) => isCommand(step, 0x12))
    await run([...steps.slice(0, refresh + 1), { step: 'pause', ms: 4_090 }])
    expect(emulator.glass()).toEqual(last)
    await emulator.clock.pause(10)
    expect(Buffer.from(inverted(emulator.glass().bits)).equals(picture.bits)).toBe(true)
  })

  test('counts what a sale costs: refreshes, their time, bytes on the wire', async () => {
    const { emulator, run } = powered()
    await run(chip.wake())
    await run(chip.full(picture))
    Object.assign(emulator.refreshes, { full: 0, msOnGlass: 0, bytesOverSpi: 0 })
    await run(windowed(chip.partialRefresh(picture, picture, WINDOW)))
    // CCSET and TSSET of 2, PTIN, PTL of 10, DTM2 of 1 + 6600, PON, DRF, POF, PTOUT.
    expect(emulator.refreshes).toEqual({ full: 0, fast: 0, partial: 1, msOnGlass: 435, bytesOverSpi: 4 + 1 + 10 + 6_601 + 4 })
  })

  test('may lose a transfer: the one that was asked for', async () => {
    const { emulator } = powered()
    await emulator.bus.hold(true)
    await emulator.clock.pause(2)
    await emulator.bus.hold(false)
    await emulator.clock.pause(20)
    emulator.failTransfer(2)
    await emulator.bus.command(0x02)
    await emulator.clock.pause(50)
    await expect(emulator.bus.command(0x02)).rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED' })
    await emulator.bus.command(0x02)
    expect(emulator.violations).toEqual([])
  })

  test('loses a picture whose later pieces are lost', async () => {
    const { emulator, run } = powered()
    await run(chip.wake())
    emulator.failTransfer(1 + 12) // 48000 bytes are 12 pieces, after the command itself.
    await expect(emulator.bus.command(0x13, new Uint8Array(48_000))).rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED' })
    await expect(emulator.bus.command(0x13, new Uint8Array(48_000))).resolves.toBeUndefined()
  })

  test('may hang until it is reset', async () => {
    const { emulator, run } = powered()
    emulator.stickBusy('until reset')
    expect(await emulator.bus.busy()).toBe(0)
    await run([...chip.wake(), ...chip.full(picture)])
    expect(Buffer.from(inverted(emulator.glass().bits)).equals(picture.bits)).toBe(true)
  })

  test('notices two calls at once', async () => {
    const { emulator } = powered()
    await Promise.all([emulator.bus.busy(), emulator.bus.busy()])
    expect(emulator.violations).toEqual(['two calls on the bus at once'])
  })
})
