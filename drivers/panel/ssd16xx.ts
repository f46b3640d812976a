/**
 * E-ink controllers of the SSD16xx family: a row of the table becomes lists of steps. Pure. BUSY is high while they work.
 * Every refresh switches its own high voltage off again, so that a process which dies leaves no glass under voltage.
 *
 * Where a value comes from:  [W] Waveshare's e-Paper programs (86aa993)   [G] GxEPD2 (de82887), whose author measured on
 * glass   [P] Pimoroni's inky (07035b3)   [D] makers' data of active areas   [inferred] nobody is known to have tried it.
 */
import type { EinkChip, EinkModel, NativePicture, NativeWindow, Step } from './eink-chip.js'

/** A command and its bytes. */
type Register = readonly [command: number, ...data: number[]]

interface Waveform {
  /** Written after the picture, before the update. */
  readonly registers: readonly Register[]
  /**
   * Values of 0x22, each run by 0x20. Bits: 7 clock on, 6 high voltage on, 5 read the temperature, 4 load the waveform for
   * it, 3 drive differences only, 2 drive, 1 high voltage off, 0 clock off.
   */
  readonly updates: readonly number[]
  /** At room temperature. */
  readonly takesMs: number
}

interface Row {
  readonly name: string
  readonly title: string
  /** Source lines with a place in memory; a multiple of 8. */
  readonly widthPx: number
  readonly visibleWidthPx: number
  /** Gate lines. */
  readonly heightPx: number
  readonly pitchMm: number
  readonly quietAfterResetMs: number
  /** After SWRESET; undefined where there is none. */
  readonly quietAfterSoftResetMs: number | undefined
  /** What differs from the values after a reset. */
  readonly registers: readonly Register[]
  /** Unit of the X registers. In dots they have two bytes. */
  readonly ramX: 'bytes' | 'dots'
  /** Whether the first row of the memory is the lowest on the glass. */
  readonly upsideDown: boolean
  /**
   * Where the picture that stands on the glass is remembered:
   *   second memory   0x26, which can be told
   *   swapped memory  behind 0x24; each update swaps the two, so that every picture is written again afterwards
   *   nowhere         each refresh drives every dot
   */
  readonly oldPicture: 'second memory' | 'swapped memory' | 'nowhere'
  readonly full: Waveform
  readonly fast?: Waveform
  readonly partial?: Waveform
}

function ssd16xx(row: Row): EinkModel {
  const { name, title, widthPx, visibleWidthPx, heightPx, pitchMm } = row
  return { name, title, visibleWidthPx, pitchMm, native: { widthPx, heightPx }, fullMs: row.full.takesMs, chip: chipOf(row) }
}

function chipOf(row: Row): EinkChip {
  const { full, fast, partial, oldPicture } = row
  const whole: NativeWindow = { x: 0, y: 0, widthPx: row.widthPx, heightPx: row.heightPx }
  const store = (memory: number, picture: NativePicture, window = whole): readonly Step[] =>
    [...addressed(row, window), { step: 'command', command: memory, data: cut(picture, window) }]

  const everyDot = (waveform: Waveform, what: string) => (picture: NativePicture): readonly Step[] => [
    ...(oldPicture === 'second memory' ? store(OLD, picture) : []),
    ...store(NEW, picture),
    ...driven(waveform, what),
    ...(oldPicture === 'swapped memory' ? store(NEW, picture) : []),
  ]

  function partialRefresh(old: NativePicture, picture: NativePicture, window: NativeWindow): readonly Step[] {
    if (partial === undefined) return drawFull(picture)
    const drive = driven(partial, 'partial refresh')
    if (oldPicture === 'swapped memory') return [...store(NEW, picture, window), ...drive, ...store(NEW, picture, window)]
    // Both pictures, and all of them: dots outside the window are compared too, and what the controller slept over need not
    // be there any more (a reset that the system drew out to 10 ms cuts the power of some boards).
    return [...store(OLD, old), ...store(NEW, picture), ...drive]
  }

  const drawFull = everyDot(full, 'full refresh')
  return {
    busyLevel: 1,
    partial: partial !== undefined,
    remembersAsleep: partial !== undefined && oldPicture === 'second memory', // Since it is told each time.
    wake: () => woken(row),
    full: drawFull,
    ...(fast === undefined ? {} : { fast: everyDot(fast, 'fast refresh') }),
    partialRefresh,
    // As GxEPD2 switches the voltage, on glass of either kind [G].
    probe: () => (oldPicture === 'swapped memory' ? [0xc0, 0xc3] : [0xe0, 0x83]).flatMap((control) => updated(control, 2_000, 'high voltage')),
    // Deep sleep 1. The high voltage is off already.
    sleep: () => [write([0x10, 0x01])],
  }
}

const NEW = 0x24
const OLD = 0x26

const write = ([command, ...data]: Register): Step =>
  (data.length === 0 ? { step: 'command', command } : { step: 'command', command, data: Uint8Array.from(data) })

function woken({ quietAfterResetMs, quietAfterSoftResetMs, registers }: Row): readonly Step[] {
  const idle = (what: string): Step => ({ step: 'await idle', withinMs: 2_000, what })
  return [
    // Boards that switch the panel's power by RST lose it after more than 2 ms. [W]
    { step: 'reset', lowMs: 2, afterMs: quietAfterResetMs }, idle('reset'),
    ...(quietAfterSoftResetMs === undefined ? []
      : [write([0x12]), { step: 'pause', ms: quietAfterSoftResetMs } as const, idle('soft reset')]),
    ...registers.map(write),
  ]
}

/** The next bytes of a memory go to this window, left to right, from its upper row to its lower one. */
function addressed({ ramX, upsideDown, heightPx: rows }: Row, { x, y, widthPx, heightPx }: NativeWindow): readonly Step[] {
  const last = x + widthPx - 1
  const columns = ramX === 'dots' ? [...word(x), ...word(last)] : [x >> 3, last >> 3]
  const column = ramX === 'dots' ? word(x) : [x >> 3]
  const from = upsideDown ? rows - 1 - y : y
  const to = upsideDown ? from - heightPx + 1 : from + heightPx - 1
  return [
    write([0x11, upsideDown ? 0x01 : 0x03]), // X grows; Y falls or grows. Sent each time: not all glass starts with 03.
    write([0x44, ...columns]), write([0x45, ...word(from), ...word(to)]),
    write([0x4e, ...column]), write([0x4f, ...word(from)]),
  ]
}

function driven({ registers, updates, takesMs }: Waveform, what: string): readonly Step[] {
  return [
    ...registers.map(write),
    // Cold glass is slower: twice the usual time and 5 s more, then it is a fault.
    ...updates.flatMap((control) => updated(control, 2 * takesMs + 5_000, what)),
  ]
}

const updated = (control: number, withinMs: number, what: string): readonly Step[] =>
  [write([0x22, control]), write([0x20]), { step: 'await idle', withinMs, what }]

function cut({ widthPx, bits }: NativePicture, window: NativeWindow): Uint8Array {
  const stride = widthPx >> 3
  const from = window.x >> 3
  const length = window.widthPx >> 3
  const bytes = new Uint8Array(length * window.heightPx)
  for (let row = 0; row < window.heightPx; row++) {
    const start = (window.y + row) * stride + from
    bytes.set(bits.subarray(start, start + length), row * length)
  }
  return bytes
}

/** Low byte first. */
const word = (value: number): readonly [number, number] => [value & 0xff, value >> 8]

const padded = (bytes: readonly number[], length: number): readonly number[] =>
  [...bytes, ...new Array<number>(length - bytes.length).fill(0)]

/**
 * Partial waveform of the 2.9 inch V2, whose chip holds none [W, G]. Two bits a phase: 01 to black, 10 to white. 30 frames
 * for a dot that changes, one more for it, and one frame for a dot that stays, to hold it.
 */
const LUT_PARTIAL_2IN9: readonly number[] = [
  ...padded([0x00, 0x40], 12), // black stays black
  ...padded([0x80, 0x80], 12), // black to white
  ...padded([0x40, 0x40], 12), // white to black
  ...padded([0x00, 0x80], 12), // white stays white
  ...padded([], 12),           // common electrode
  ...padded([0x0a, 0, 0, 0, 0, 0, 0x02], 7), // 10 frames, 3 times [G; W has them twice]
  ...padded([0x01], 7), ...padded([0x01], 7), ...padded([], 9 * 7),
  ...new Array<number>(6).fill(0x22), // frame rates
  0, 0, 0,
]

/** IL3820: a byte a phase with the four changes of a dot in it, then a nibble a phase of frames. [W, G] */
const lutOfIl3820 = (phases: readonly number[], frames: readonly number[]): Register =>
  [0x32, ...padded(phases, 20), ...padded(frames, 10)]

const INNER_SENSOR: Register = [0x18, 0x80]
/** The outermost source lines of a 176-line controller have no glass here. */
const SOURCES_8_TO_167: Register = [0x21, 0x00, 0x80]
const BORDER_FULL: Register = [0x3c, 0x05]
const BORDER_WHITE: Register = [0x3c, 0x01]
const BORDER_LEFT_ALONE: Register = [0x3c, 0x80]
/** For a full refresh the second memory counts as empty: some waveforms would take it for another colour. */
const IGNORE_OLD: Register = [0x21, 0x40, 0x00]
const COMPARE_OLD: Register = [0x21, 0x00, 0x00]
const gateLines = (count: number, flags = 0): Register => [0x01, ...word(count - 1), flags]
/** Said to be so warm, the controller takes its shortest full waveform: enough at room temperature. */
const pretendWarm = (degrees: number): Register => [0x1a, degrees]

const FULL = 0xf7
/** As FULL, without reading the sensor. */
const FULL_AS_TOLD = 0xd7
/** [W]. GxEPD2's FC leaves the voltage on: 240 ms sooner, and the times here are of that one, so they are made up for it. */
const PARTIAL = 0xff
const POWER_CYCLE_MS = 240

/** What most of the family has in common; every row below says what is its own. */
const usual = {
  quietAfterResetMs: 20, quietAfterSoftResetMs: 10, ramX: 'bytes', upsideDown: false, oldPicture: 'second memory',
} as const
const fullWith = (takesMs: number, ...registers: Register[]): Waveform => ({ registers, updates: [FULL], takesMs })
const fastWith = (takesMs: number, ...registers: Register[]): Waveform => ({ registers, updates: [FULL_AS_TOLD], takesMs })
const partialWith = (takesMs: number, ...registers: Register[]): Waveform =>
  ({ registers: [BORDER_LEFT_ALONE, ...registers], updates: [PARTIAL], takesMs: takesMs + POWER_CYCLE_MS })

/** Size and controller: [W, G]. Pitch: [D]. Full refreshes without a figure of their own take 3 to 4 s on this glass [G]. */
const ROWS: readonly Row[] = [
  {
    ...usual, name: 'waveshare-2in13-v4', title: 'Waveshare 2.13 inch V4 (SSD1680)',
    widthPx: 128, visibleWidthPx: 122, heightPx: 250, pitchMm: 0.194, // 48.55 x 23.71 mm
    registers: [gateLines(250), SOURCES_8_TO_167, INNER_SENSOR],      // [W]
    full: fullWith(4_000, BORDER_FULL),                               // [W]
    fast: fastWith(1_617, BORDER_FULL, pretendWarm(0x64)),            // [G] GDEY0213B74
    partial: partialWith(457),                                        // [W]; time [G]
  },
  {
    ...usual, name: 'waveshare-2in9-v2', title: 'Waveshare 2.9 inch V2, GDEM029T94 (SSD1680)',
    widthPx: 128, visibleWidthPx: 128, heightPx: 296, pitchMm: 0.226, // 66.9 x 29.06 mm
    registers: [gateLines(296), SOURCES_8_TO_167, INNER_SENSOR],      // [W, G]
    full: fullWith(4_012, BORDER_FULL),                               // [G] the chip's own; W loads one from the host
    // Voltages that go with the waveform: [W]. CF is G's CC, with the voltage off afterwards [W].
    partial: {
      registers: [BORDER_LEFT_ALONE, [0x32, ...LUT_PARTIAL_2IN9], [0x3f, 0x22], [0x03, 0x17], [0x04, 0x41, 0xb0, 0x32], [0x2c, 0x36]],
      updates: [0xcf], takesMs: 737 + POWER_CYCLE_MS,
    },
  },
  {
    ...usual, name: 'gdey029t94', title: 'Good Display 2.9 inch GDEY029T94 (SSD1680)',
    widthPx: 128, visibleWidthPx: 128, heightPx: 296, pitchMm: 0.226, // 66.9 x 29.06 mm
    registers: [gateLines(296), SOURCES_8_TO_167, INNER_SENSOR],      // [G]
    full: fullWith(4_000, BORDER_FULL),                               // [G]
    fast: fastWith(1_715, BORDER_FULL, pretendWarm(0x64)),            // [G]
    partial: partialWith(362),                                        // [G] FC
  },
  {
    ...usual, name: 'waveshare-2in7-v2', title: 'Waveshare 2.7 inch V2, GDEY027T91 (SSD1680)',
    widthPx: 176, visibleWidthPx: 176, heightPx: 264, pitchMm: 0.217, // 57.29 x 38.19 mm
    registers: [INNER_SENSOR],                                        // [G]; neither W nor G sets the gate lines
    full: fullWith(4_000, BORDER_FULL),                               // [W, G]
    fast: fastWith(1_627, BORDER_FULL, pretendWarm(0x64)),            // [G]
    partial: partialWith(459),                                        // [W]; time [G]
  },
  {
    ...usual, name: 'waveshare-1in54-v2', title: 'Waveshare 1.54 inch V2, GDEY0154D67 (SSD1681)',
    widthPx: 200, visibleWidthPx: 200, heightPx: 200, pitchMm: 0.135, // 27.0 mm; W's shop says 27.6
    // [G]. W drives it from the other end (gates reversed, Y falling), and with waveforms from the host.
    registers: [gateLines(200), INNER_SENSOR],
    full: fullWith(4_000, BORDER_FULL),                               // [G]
    fast: fastWith(1_907, BORDER_FULL, pretendWarm(0x64)),            // [G]
    partial: partialWith(459),                                        // [G] FC
  },
  {
    ...usual, name: 'waveshare-4in2-v2', title: 'Waveshare 4.2 inch V2, GDEY042T81 (SSD1683)',
    widthPx: 400, visibleWidthPx: 400, heightPx: 300, pitchMm: 0.212, // 84.8 x 63.6 mm
    quietAfterResetMs: 100,                                           // [W]
    registers: [gateLines(300), INNER_SENSOR],                        // [G]
    full: fullWith(4_000, IGNORE_OLD, BORDER_FULL),                   // [W, G]
    fast: fastWith(1_140, IGNORE_OLD, BORDER_FULL, pretendWarm(0x6e)), // [G]; for glass of 2023 and 2024
    partial: partialWith(358, COMPARE_OLD),                           // [W]; time [G]
  },
  {
    // Its gates run upwards: both W and G let Y fall from 479. That the first row is then the upper one, seen with the
    // cable below, is [inferred]; so is the time of a full refresh.
    ...usual, name: 'waveshare-4in26', title: 'Waveshare 4.26 inch, GDEQ0426T82 (SSD1677)',
    widthPx: 800, visibleWidthPx: 800, heightPx: 480, pitchMm: 0.116, // 92.8 x 55.68 mm
    ramX: 'dots', upsideDown: true,                                   // [W, G]
    registers: [INNER_SENSOR, [0x0c, 0xae, 0xc7, 0xc3, 0xc0, 0x80], gateLines(480, 0x02)], // [W, G]
    full: fullWith(4_000, IGNORE_OLD, BORDER_WHITE),                  // [G]
    fast: fastWith(1_567, IGNORE_OLD, BORDER_WHITE, pretendWarm(0x5a)), // [G]
    partial: partialWith(500, COMPARE_OLD),                           // [W]; time [G]
  },
  {
    // P leaves 0x22 and the sensor as they are after a reset, and writes a colour's memory that black and white glass has
    // no use for. F7 with that memory ignored is what the 4.2 inch of the same controller takes [inferred for this glass].
    ...usual, name: 'inky-what', title: 'Pimoroni Inky wHAT, black and white (SSD1683)',
    widthPx: 400, visibleWidthPx: 400, heightPx: 300, pitchMm: 0.212, // as the 4.2 inch [inferred]
    quietAfterResetMs: 500, quietAfterSoftResetMs: 1_000,             // [P]: sooner, a picture was missed
    oldPicture: 'nowhere',
    registers: [gateLines(300), INNER_SENSOR],                        // [P]; the sensor [inferred]
    full: fullWith(12_500, IGNORE_OLD, BORDER_WHITE),                 // border [P]; P waits 30 s
  },
  {
    ...usual, name: 'waveshare-2in9-v1', title: 'Waveshare 2.9 inch V1, GDEH029A1 (IL3820)',
    widthPx: 128, visibleWidthPx: 128, heightPx: 296, pitchMm: 0.226, // 66.9 x 29.06 mm
    quietAfterResetMs: 200, quietAfterSoftResetMs: undefined, oldPicture: 'swapped memory', // [W]; [G] writes twice
    registers: [gateLines(296), [0x0c, 0xd7, 0xd6, 0x9d], [0x2c, 0xa8], [0x3a, 0x1a], [0x3b, 0x08]], // [W, G]
    // C4: voltage on and drive [W, G; for a partial one G says C0, then 04]. C3: off [G]. The FF that both send at the end is
    // no operation and left out.
    full: {
      registers: [lutOfIl3820([0x50, 0xaa, 0x55, 0xaa, 0x11], [0xff, 0xff, 0x1f])],
      updates: [0xc4, 0xc3], takesMs: 1_575,
    },
    partial: {
      registers: [lutOfIl3820([0x10, 0x18, 0x18, 0x08, 0x18, 0x18, 0x08], [0x13, 0x14, 0x44, 0x12])],
      updates: [0xc4, 0xc3], takesMs: 412,
    },
  },
]

export const SSD16XX_MODELS: readonly EinkModel[] = ROWS.map(ssd16xx)
