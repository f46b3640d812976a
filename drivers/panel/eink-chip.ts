/**
 * What an e-ink controller family is to us: pure lists of steps. A family is one file that makes them from a row of its
 * table; whoever runs them (eink.ts) knows no register, and whoever emulates a controller in the tests takes the same bus.
 */
import type { PanelSize } from '../driver.js'

/** One picture as the controller stores it: rows along its source lines, 1 is white, leftmost dot in the highest bit. */
export interface NativePicture {
  readonly widthPx: number
  readonly heightPx: number
  readonly bits: Uint8Array
}

/** In dots of the controller; x and widthPx are multiples of 8. */
export interface NativeWindow {
  readonly x: number
  readonly y: number
  readonly widthPx: number
  readonly heightPx: number
}

/** In order, one after the other; the next begins when this one is done. */
export type Step =
  /** RST high, low for so long, high again, and quiet for so long. */
  | { readonly step: 'reset'; readonly lowMs: number; readonly afterMs: number }
  | { readonly step: 'command'; readonly command: number; readonly data?: Uint8Array }
  | { readonly step: 'pause'; readonly ms: number }
  /** Until BUSY is at its idle level; a panel fault after `withinMs`. `what` names it in the fault: 'full refresh'. */
  | { readonly step: 'await idle'; readonly withinMs: number; readonly what: string }

export interface EinkChip {
  /** Level of BUSY while the controller works: opposite in the two families. */
  readonly busyLevel: 0 | 1
  /** Whether this glass can change single dots without flashing. */
  readonly partial: boolean
  /** Whether `sleep` leaves the picture in its memory, so that a partial refresh may come first after `wake`. */
  readonly remembersAsleep?: boolean
  /** From any state, power loss and deep sleep included, to ready for a picture. */
  wake(): readonly Step[]
  /** Drives every dot. Afterwards the controller knows this picture as the old one, for the next partial refresh. */
  full(picture: NativePicture): readonly Step[]
  /** As `full`, shorter and good enough at room temperature; absent where the glass has no such waveform. */
  fast?(picture: NativePicture): readonly Step[]
  /** Drives only the dots that differ, in this window; only after a full one since power or deep sleep. Old picture kept in step. */
  partialRefresh(old: NativePicture, picture: NativePicture, window: NativeWindow): readonly Step[]
  /** Awake: something that BUSY shows and the glass does not, such as high voltage on and off again. */
  probe(): readonly Step[]
  /** High voltage off, and the controller asleep: what keeps the glass from fading. Only `wake` leads out. */
  sleep(): readonly Step[]
}

/** A row of a family's table. */
export interface EinkModel {
  /** As in the profile: 'waveshare-4in2-v2'. */
  readonly name: string
  /** For people: maker, size, glass. */
  readonly title: string
  readonly chip: EinkChip
  /** The part of the controller's memory that has glass, as it is wired: source lines across, gate lines down. */
  readonly native: { readonly widthPx: number; readonly heightPx: number }
  /** What of the native width is really visible, where the glass is narrower than whole bytes. */
  readonly visibleWidthPx: number
  readonly pitchMm: number
  /** A full refresh at room temperature. */
  readonly fullMs: number
}

/**
 * How the panel is mounted: the clockwise turn of an upright picture on its way into the controller's memory. At 0 the
 * picture's rows are the controller's; glass whose short side is its row (2.13, 2.7, 2.9 inch) lies across at 90 or 270.
 */
export type Rotation = 0 | 90 | 180 | 270

/** Size of a model as it is looked at. */
export function uprightSize({ native, visibleWidthPx, pitchMm }: EinkModel, rotation: Rotation): PanelSize {
  return rotation % 180 === 0
    ? { widthPx: visibleWidthPx, heightPx: native.heightPx, pitchMm }
    : { widthPx: native.heightPx, heightPx: visibleWidthPx, pitchMm }
}

/** The wires of a panel. Every call ends within its own time or rejects with a DriverError; none overlaps another. */
export interface PanelBus {
  /** Drives RST; `true` is low: the controller is held. */
  hold(held: boolean): Promise<void>
  command(command: number, data?: Uint8Array): Promise<void>
  /** The level of BUSY as it is, 0 or 1. */
  busy(): Promise<0 | 1>
  close(): Promise<void>
}

/** Real time on a box, virtual time in the tests. */
export interface PanelClock {
  /** Milliseconds; never goes backwards. */
  now(): number
  pause(ms: number): Promise<void>
  /** Calls once, no earlier than `at`; the returned function calls it off. Without it nothing happens between pictures: no sleep. */
  alarm?(at: number, ring: () => void): () => void
}
