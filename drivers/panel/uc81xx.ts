/**
 * The UC81xx family of e-ink controllers (UC8179, GD7965, UC8151D) as lists of steps, and the panels that have one.
 * High voltage is on during a refresh and never else: left on, it fades the glass for good (revk.uk, 2025). One setting of
 * CDI for everything, in which 1 is white: panels that show ghosts after a partial refresh mix two of them.
 */
import type { EinkChip, EinkModel, NativePicture, Step } from './eink-chip.js'

interface Row {
  readonly name: string
  readonly title: string
  readonly native: { readonly widthPx: number; readonly heightPx: number }
  readonly pitchMm: number
  /** The controller's registers, after every reset and in this order. */
  readonly settings: readonly Step[]
  /** As people measured it on glass, at room temperature. */
  readonly fullMs: number
  /** Waveforms that the controller picks when it is told to be this warm; absent where its memory has none. */
  readonly fast?: ForcedWaveform
  readonly partial?: ForcedWaveform
}

interface ForcedWaveform {
  readonly temperature: number
  readonly ms: number
}

// Commands, by their names in the UC8179 datasheet.
const PSR = 0x00
const PWR = 0x01
const POF = 0x02
const PON = 0x04
const BTST = 0x06
const DSLP = 0x07
const DTM1 = 0x10 // The old picture.
const DRF = 0x12
const DTM2 = 0x13 // The new one.
const DUSPI = 0x15
const CDI = 0x50
const TCON = 0x60
const TRES = 0x61
const CCSET = 0xe0
const TSSET = 0xe5

const command = (code: number, ...data: readonly number[]): Step =>
  data.length === 0 ? { step: 'command', command: code } : { step: 'command', command: code, data: Uint8Array.from(data) }

/** A number of two bytes. */
const wide = (value: number): readonly [number, number] => [value >> 8, value & 0xff]

/** Black and white, waveforms from the controller's own memory; the lowest bit is 0 while it resets. */
const OTP_WAVEFORMS = 0x1f

/** 800x480: Waveshare's epd7in5_V2, but for CDI and one booster setting for every waveform (GxEPD2_750_GDEY075T7). */
const UC8179_SETTINGS: readonly Step[] = [
  command(PSR, OTP_WAVEFORMS),
  command(PWR, 0x07, 0x07, 0x3f, 0x3f),   // Internal; gates +-20 V, sources +-15 V.
  command(BTST, 0x17, 0x17, 0x28, 0x17),
  command(TRES, ...wide(800), ...wide(480)),
  command(DUSPI, 0x00),
  command(CDI, 0x29, 0x07),               // White border; 1 is white.
  command(TCON, 0x22),
]

/** 128x296: Waveshare's epd2in9d. */
const UC8151D_SETTINGS: readonly Step[] = [
  command(PSR, OTP_WAVEFORMS),
  command(TRES, 128, ...wide(296)),
  command(CDI, 0x97),                     // White border; 1 is white.
]

const rows: readonly Row[] = [
  {
    name: 'waveshare-7in5-v2', title: 'Waveshare 7.5" V2, new glass (GDEY075T7, since 2023)',
    native: { widthPx: 800, heightPx: 480 }, pitchMm: 0.204, // 163.2 mm / 800
    settings: UC8179_SETTINGS, fullMs: 4_100,               // GD7965's 4108 ms; GDEY075T7 is about as slow.
    fast: { temperature: 0x5a, ms: 1_171 },                 // Waveshare's Init_Fast; ms: GxEPD2_750_GDEY075T7.h.
    partial: { temperature: 0x6e, ms: 435 },                // Waveshare's Init_Part; ms: GxEPD2_750_GDEY075T7.h.
  },
  {
    // No partial refresh: this glass has no waveform of its own for it. Public ones are called experimental by their
    // authors, and a waveform that is not in balance at every temperature ruins glass: nothing to send unmeasured.
    name: 'waveshare-7in5-v2-old', title: 'Waveshare 7.5" V2, old glass (GDEW075T7, until 2023)',
    native: { widthPx: 800, heightPx: 480 }, pitchMm: 0.204,
    settings: UC8179_SETTINGS, fullMs: 4_108,               // GxEPD2_750_T7.h; its GD7965 takes the commands of the UC8179.
  },
  {
    // No partial refresh, for the same reason.
    name: 'waveshare-2in9-d', title: 'Waveshare 2.9" D, flexible (UC8151D)',
    native: { widthPx: 128, heightPx: 296 }, pitchMm: 0.226, // 66.9 mm / 296
    settings: UC8151D_SETTINGS, fullMs: 3_251,               // GxEPD2_290_I6FD.h.
  },
]

/** Waveshare's boards cut the panel's power when RST is low for longer than 2 ms. */
const RESET: readonly Step[] = [{ step: 'reset', lowMs: 2, afterMs: 20 }, { step: 'await idle', withinMs: 2_000, what: 'reset' }]

/** Leaves a forced temperature behind, which writing CCSET alone does not (GxEPD2_750_GDEY075T7.cpp, _InitDisplay). */
const SOFT_RESET: readonly Step[] = [
  command(PSR, OTP_WAVEFORMS & ~1), { step: 'pause', ms: 2 }, command(PSR, OTP_WAVEFORMS), { step: 'pause', ms: 20 },
  { step: 'await idle', withinMs: 2_000, what: 'soft reset' },
]

const force = ({ temperature }: ForcedWaveform): readonly Step[] => [command(CCSET, 0x02), command(TSSET, temperature)]

/** Twice what is usual, and room for cold glass. */
const withinMs = (usualMs: number): number => 2 * usualMs + 5_000

/** BUSY falls up to 200 us after a command: whoever looks at once takes a controller that has yet to begin for done. */
const begun = (ms: number): Step => ({ step: 'pause', ms })

const powerOff: readonly Step[] = [command(POF), begun(10), { step: 'await idle', withinMs: withinMs(40), what: 'power off' }]

function refresh(usualMs: number, what: string): readonly Step[] {
  return [
    command(PON), begun(100), { step: 'await idle', withinMs: withinMs(130), what: 'power on' },
    command(DRF), begun(10), { step: 'await idle', withinMs: withinMs(usualMs), what },
    ...powerOff,
  ]
}

const opposite = ({ bits }: NativePicture): Uint8Array => bits.map((byte) => ~byte)

/**
 * Both pictures, whole and every time. The controller could copy one into the other by itself, and take a mere window; but
 * it forgets them in deep sleep, and what is outside a window then is anybody's guess.
 */
const write = (old: Uint8Array, picture: NativePicture): readonly Step[] => [
  { step: 'command', command: DTM1, data: old },
  { step: 'command', command: DTM2, data: picture.bits },
]

function createChip({ name, settings, fullMs, fast, partial }: Row): EinkChip {
  const unforced = fast === undefined && partial === undefined ? [] : [...SOFT_RESET, ...settings]
  return {
    busyLevel: 0,
    partial: partial !== undefined,
    wake: () => [...RESET, ...settings],
    // Beside its opposite every dot counts as changed, whatever the glass shows.
    full: (picture) => [...unforced, ...write(opposite(picture), picture), ...refresh(fullMs, 'full refresh')],
    ...(fast !== undefined && {
      fast: (picture: NativePicture) => [...force(fast), ...write(opposite(picture), picture), ...refresh(fast.ms, 'fast refresh')],
    }),
    remembersAsleep: partial !== undefined, // Since it is told the old picture each time.
    // Dots outside the window are the same in both pictures, and stay as they are.
    partialRefresh(old, picture) {
      if (partial === undefined) throw new Error(`${name} has no partial refresh`)
      return [...force(partial), ...write(old.bits, picture), ...refresh(partial.ms, 'partial refresh')]
    },
    probe: () => [command(PON), begun(10), { step: 'await idle', withinMs: withinMs(130), what: 'power on' }, ...powerOff],
    // Off already, unless a refresh was broken off; then it matters most.
    sleep: () => [...powerOff, command(DSLP, 0xa5)],
  }
}

export const UC81XX_MODELS: readonly EinkModel[] = rows.map((row) => ({
  name: row.name, title: row.title, chip: createChip(row), native: row.native, visibleWidthPx: row.native.widthPx, pitchMm: row.pitchMm,
  fullMs: row.fullMs,
}))
