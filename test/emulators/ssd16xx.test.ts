/**
 * The emulated SSD16xx must not forgive: each driver here is broken in one way, by an edit of its steps, and the emulator
 * either says what is wrong with it or shows it on the glass.
 */
import { describe, expect, test } from 'vitest'
import type { EinkChip, EinkModel, NativeWindow, Step } from '../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../drivers/panel/ssd16xx.js'
import { patched, speckled, wrongDots } from './pictures.js'
import { runSteps } from './run-steps.js'
import { SSD16XX_GLASSES, Ssd16xxEmulator } from './ssd16xx.js'

const WINDOW: NativeWindow = { x: 32, y: 70, widthPx: 48, heightPx: 40 }
const OTHER_WINDOW: NativeWindow = { x: 8, y: 20, widthPx: 16, heightPx: 9 }

type Edit = (step: Step, index: number) => Step | readonly Step[]
type Command = Extract<Step, { readonly step: 'command' }>

/** Edits of one command, wherever it is sent, and of everything else nothing. */
const onCommand = (command: number, edit: (step: Command, data: Uint8Array) => Step | readonly Step[]): Edit =>
  (step) => (step.step === 'command' && step.command === command ? edit(step, step.data ?? new Uint8Array()) : step)
const saying = (command: number, ...data: number[]): Command => ({ step: 'command', command, data: Uint8Array.from(data) })
const isPicture = (step: Step): step is Command => step.step === 'command' && (step.command === 0x24 || step.command === 0x26)
const onPictures = (edit: (data: Uint8Array) => Uint8Array): Edit =>
  (step) => (isPicture(step) ? { ...step, data: edit(step.data ?? new Uint8Array()) } : step)
const inReset = (lowMs: number): Edit => (step) => (step.step === 'reset' ? { ...step, lowMs } : step)
const without = (command: number): Edit => onCommand(command, () => [])

/** What happens to a panel in these tests, in order. */
const PARTS = ['wake', 'full', 'partial', 'another', 'sleep'] as const
type Part = (typeof PARTS)[number]

const modelNamed = (name: string): EinkModel => SSD16XX_MODELS.find((model) => model.name === name)!

/** Wakes, draws all, changes two places, sleeps: with an edit of one part, or of all. */
async function seenWith(name: string, edit: Edit, part?: Part) {
  const { chip, native } = modelNamed(name)
  const [first, second, third] = [speckled(native, 1), speckled(native, 2), speckled(native, 3)] as const
  const between = patched(first, second, WINDOW)
  const last = chip.partial ? patched(between, third, OTHER_WINDOW) : first
  const parts: Record<Part, readonly Step[]> = {
    wake: chip.wake(), full: chip.full(first), sleep: chip.sleep(),
    partial: chip.partial ? chip.partialRefresh(first, between, WINDOW) : [],
    another: chip.partial ? chip.partialRefresh(between, last, OTHER_WINDOW) : [],
  }
  const steps = PARTS.flatMap((each) => (part === undefined || part === each ? parts[each].flatMap(edit) : parts[each]))
  return seenAfter(name, chip, steps, last)
}

async function seenAfter(name: string, { busyLevel }: Pick<EinkChip, 'busyLevel'>, steps: readonly Step[], last: Parameters<typeof wrongDots>[1]) {
  const emulator = new Ssd16xxEmulator(SSD16XX_GLASSES[name]!)
  await runSteps(emulator.bus, emulator.clock, busyLevel, steps)
  await emulator.clock.pause(60_000)
  return { emulator, violations: emulator.violations, wrong: wrongDots(emulator.glass(), last) }
}

test.each(SSD16XX_MODELS.map(({ name }) => name))('a %s that is driven well is forgiven everything, since there is nothing', async (name) => {
  const { violations, wrong } = await seenWith(name, (step) => step)
  expect({ violations, wrong }).toEqual({ violations: [], wrong: 0 })
})

const V4 = 'waveshare-2in13-v4'
const V2 = 'waveshare-2in9-v2'
const V1 = 'waveshare-2in9-v1'
const WIDE = 'waveshare-4in2-v2'
const WIDEST = 'waveshare-4in26'

/** What is broken, on which panel, by which edit of which part (else of all), and what the emulator says of it. */
const SAID: readonly (readonly [bug: string, name: string, edit: Edit, part: Part | undefined, says: RegExp])[] = [
  ['a window with a row too much', V1, onCommand(0x45, (step, [a, b, c, d]) => saying(step.command, a!, b!, c! + 1, d!)), 'partial',
    /^240 bytes for a window of 246$/],
  ['a window with a column of bytes too much', V1, onCommand(0x44, (step, [a, b]) => saying(step.command, a!, b! + 1)), 'partial',
    /^240 bytes for a window of 280$/],
  ['a picture that lacks its last row', V4, onPictures((data) => data.subarray(0, -16)), 'full', /^3984 bytes for a window of 4000$/],
  ['X in dots where the controller wants bytes', V1, onCommand(0x4e, (step, [x]) => saying(step.command, x! * 8)), 'partial',
    /^picture data from \(32, 70\), not from the start of the window$/],
  ['X in bytes where the controller wants dots', WIDEST, onCommand(0x44, (step, data) => saying(step.command, data[0]! >> 3, data[2]! >> 3)), 'full',
    /^command 0x44 with 2 bytes of data: ignored$/],
  ['an X that cuts a byte', WIDEST, onCommand(0x44, (step, [a, b, c, d]) => saying(step.command, a!, b!, c! + 1, d!)), 'full',
    /^X of 800 dots cuts a byte$/],
  ['nobody waits for the refresh', V4, (step) => (step.step === 'await idle' ? [] : step), 'full', /^command 0x11 while BUSY: ignored$/],
  ['nobody waits after the soft reset', V4, (step) => (step.step === 'await idle' || step.step === 'pause' ? [] : step), 'wake',
    /^command 0x01 while BUSY: ignored$/],
  ['nobody waits after the reset', V4, (step) => (step.step === 'reset' ? { ...step, afterMs: 0 } : step), 'wake',
    /^command 0x12 less than 10 ms after a reset: ignored$/],
  ['there is no reset', V4, (step) => (step.step === 'reset' ? [] : step), 'wake', /^command 0x12 before any reset: ignored$/],
  ['a reset that is too short to be seen', V4, inReset(1), 'wake', /^RST low for 1 ms: not seen$/],
  ['a reset that lasts until the board cuts the power', V4, inReset(10), 'wake', /^RST low for 10 ms: the board cuts the power$/],
  ['a partial refresh before any full one', V4, () => [], 'full', /^a partial refresh before any full one/],
  ['the old picture is never kept up', WIDE, without(0x26), undefined, /^the old picture is wrong in \d+ dots$/],
  ['the old picture is kept up for a while only', V4, without(0x26), 'another', /^the old picture is wrong in \d+ dots$/],
  ['the old picture is still ignored when only differences are driven', WIDE,
    onCommand(0x21, (step) => saying(step.command, 0x40, 0x00)), 'partial', /^the old picture is wrong in \d+ dots$/],
  ['the waveform is not loaded', V2, without(0x32), 'partial', /^a refresh without a waveform for it: nothing happens$/],
  ['the waveform is not loaded at all', V1, without(0x32), undefined, /^a refresh without a waveform for it: nothing happens$/],
  ['the waveform lacks a byte', V2, onCommand(0x32, (step, data) => ({ ...step, data: data.subarray(1) })), 'partial',
    /^command 0x32 with 152 bytes of data: ignored$/],
  ['half the time in the waveform', V2, onCommand(0x32, (step, data) => ({ ...step, data: data.with(60, 2).with(66, 2) })), 'partial',
    /^\d+ dots are left grey$/],
  ['the chip is asked for a waveform it has not', V2, onCommand(0x22, (step) => saying(step.command, 0xff)), 'partial',
    /^this glass has no partial waveform of its own$/],
  ['a temperature is used that nobody told', V4, onCommand(0x22, (step) => saying(step.command, 0xd7)), 'full',
    /^loads a waveform for a temperature that nobody told$/],
  ['the sensor is not chosen', V4, without(0x18), 'wake', /^reads a temperature sensor that this board has not$/],
  ['the high voltage is never switched on', V4, onCommand(0x22, (step) => saying(step.command, 0x37)), 'full',
    /^a refresh without high voltage: nothing happens$/],
  ['the high voltage stays on', V4, onCommand(0x22, (step) => saying(step.command, 0xfc)), 'another', /^deep sleep with the high voltage on$/],
  ['a sleep that no datasheet knows', V4, onCommand(0x10, (step) => saying(step.command, 0x11)), 'sleep', /^no deep sleep 0x11$/],
  ['a command of another family', V4, (step, i) => (i === 0 ? [saying(0x61, 128, 250), step] : step), 'full',
    /^SSD1680 has no command 0x61: ignored$/],
  ['the data entry mode is left as it was', V4, without(0x11), undefined, /^picture data before the data entry mode was set$/],
  ['rows run upwards from the first one', V4, onCommand(0x11, (step) => saying(step.command, 0x01)), 'full', /bytes outside the memory$/],
  ['gates are scanned in another order than they are wired', WIDEST, onCommand(0x01, (step, [a, b]) => saying(step.command, a!, b!, 0)), 'wake',
    /^gates scanned as 0x00, wired as 0x02$/],
]

describe('the emulator says what is wrong when', () => {
  test.each(SAID)('%s (%s)', async (_, name, edit, part, says) => {
    const { violations } = await seenWith(name, edit, part)
    expect(violations).toEqual(expect.arrayContaining([expect.stringMatching(says)]))
  })

  test('commands go to a controller that sleeps', async () => {
    const { chip, native } = modelNamed(V4)
    const picture = speckled(native, 1)
    const { violations, wrong } = await seenAfter(V4, chip, [...chip.wake(), ...chip.sleep(), saying(0x24, ...picture.bits)], picture)
    expect(violations).toEqual(['command 0x24 in deep sleep: ignored'])
    expect(wrong).toBeGreaterThan(1_000)
  })

  test('a deep sleep that keeps no picture is followed by a partial refresh that trusts the memory', async () => {
    const { chip, native } = modelNamed(V4)
    const [first, second] = [speckled(native, 1), speckled(native, 2)]
    const changed = patched(first, second, WINDOW)
    const trusting = chip.partialRefresh(first, changed, WINDOW).filter((step) => step.step !== 'command' || step.command !== 0x26)
    const { violations, wrong } = await seenAfter(V4, chip, [
      ...chip.wake(), ...chip.full(first), saying(0x10, 0x03), ...chip.wake(), ...trusting,
    ], changed)
    expect(violations).toEqual([
      expect.stringMatching(/^a partial refresh before any full one/), expect.stringMatching(/^the old picture is wrong in \d+ dots$/),
    ])
    expect(wrong).toBeGreaterThan(100)
  })

  test('power was lost and the driver goes on as if nothing had been', async () => {
    const { chip, native } = modelNamed(V4)
    const emulator = new Ssd16xxEmulator(SSD16XX_GLASSES[V4]!)
    const first = speckled(native, 1)
    await runSteps(emulator.bus, emulator.clock, 1, [...chip.wake(), ...chip.full(first)])
    emulator.powerLoss()
    expect(wrongDots(emulator.glass(), first)).toBe(0) // The code is still there for everybody to see.
    await runSteps(emulator.bus, emulator.clock, 1, chip.partialRefresh(first, first, WINDOW))
    expect(emulator.violations).toContain('command 0x24 before any reset: ignored')
  })

  test('the high voltage is left on for a while', async () => {
    const { chip, native } = modelNamed(V4)
    const first = speckled(native, 1)
    const steps = chip.full(first).flatMap(onCommand(0x22, (step) => saying(step.command, 0xf4)))
    const { violations } = await seenAfter(V4, chip, [...chip.wake(), ...steps], first)
    expect(violations).toEqual(['high voltage on for 5000 ms with nothing to do'])
  })

  test('single dots are changed a thousand times, and the whole glass never', async () => {
    const { chip, native } = modelNamed(V4)
    const first = speckled(native, 1)
    const changes = (count: number): readonly Step[] => Array.from({ length: count }, () => chip.partialRefresh(first, first, WINDOW)).flat()
    const right = await seenAfter(V4, chip, [...chip.wake(), ...chip.full(first), ...changes(10), ...chip.full(first), ...changes(10)], first)
    expect(right.violations).toEqual([])
    const { violations } = await seenAfter(V4, chip, [...chip.wake(), ...chip.full(first), ...changes(11)], first)
    expect(violations).toEqual(['11 partial refreshes since every dot was driven'])
  })

  test('the controller is never put to sleep', async () => {
    expect((await seenWith(V4, (step) => step)).emulator.asleep).toBe(true)
    expect((await seenWith(V4, without(0x10))).emulator.asleep).toBe(false)
  })

  test('two steps are sent at once', async () => {
    const emulator = new Ssd16xxEmulator(SSD16XX_GLASSES[V4]!)
    await Promise.all([emulator.bus.hold(true), emulator.bus.busy()])
    expect(emulator.violations).toEqual(['two calls on the bus at once'])
  })

  test('BUSY is read the wrong way round', async () => {
    const { chip, native } = modelNamed(V4)
    await expect(seenAfter(V4, { busyLevel: 0 }, chip.wake(), speckled(native, 1))).rejects.toThrow('BUSY for 2000 ms: reset')
  })
})

/** Nothing of these is against any rule of the controller: only the customer can see them. */
const SHOWN: readonly (readonly [bug: string, name: string, edit: Edit, part: Part | undefined])[] = [
  ['black and white are exchanged', V4, onPictures((data) => data.map((byte) => ~byte)), undefined],
  ['the rightmost dot of each byte is the highest bit', V4, onPictures((data) => data.map(mirrored)), undefined],
  ['rows come from the lowest one', WIDE, onPictures((data) => rowsReversed(data, 50)), 'full'],
  ['outer source lines are not left out', V4, onCommand(0x21, (step) => saying(step.command, 0, 0)), 'wake'],
  ['the first row of the 4.26 inch is taken for its upper one', WIDEST, upwardsAsDownwards(480), 'full'],
  ['too few gates are driven', V4, onCommand(0x01, (step, data) => ({ ...step, data: data.with(0, 200) })), 'wake'],
  ['nobody starts the refresh', V4, without(0x20), 'another'],
  ['nothing is driven', V4, onCommand(0x22, (step) => saying(step.command, 0xe3)), 'full'],
  ['the waveform is empty', V2, onCommand(0x32, (step, data) => ({ ...step, data: data.map(() => 0) })), 'another'],
  ['a picture is written once where the memories swap', V1, leavingOutTheSecond(0x24), 'partial'],
  ['the old memory is written, and not the new one', V4, onCommand(0x24, (step) => ({ ...step, command: 0x26 })), 'full'],
]

describe('the glass shows it when', () => {
  test.each(SHOWN)('%s (%s)', async (_, name, edit, part) => {
    const { wrong } = await seenWith(name, edit, part)
    expect(wrong).toBeGreaterThan(20)
  })
})

function leavingOutTheSecond(command: number): Edit {
  let seen = 0
  return onCommand(command, (step) => (++seen === 2 ? [] : step))
}

function mirrored(byte: number): number {
  return parseInt(byte.toString(2).padStart(8, '0').split('').reverse().join(''), 2)
}

function rowsReversed(data: Uint8Array, stride: number): Uint8Array {
  return Uint8Array.from(data, (_, i) => data[(data.length / stride - 1 - Math.floor(i / stride)) * stride + i % stride]!)
}

function upwardsAsDownwards(rows: number): Edit {
  const last = [(rows - 1) & 0xff, (rows - 1) >> 8]
  const edits = [
    onCommand(0x11, (step) => saying(step.command, 0x03)), onCommand(0x45, (step) => saying(step.command, 0, 0, ...last)),
    onCommand(0x4f, (step) => saying(step.command, 0, 0)),
  ]
  return (step, index) => edits.reduce<readonly Step[]>((steps, edit) => steps.flatMap((each) => edit(each, index)), [step])
}
