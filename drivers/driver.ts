/**
 * The promises that hardware keeps. Small on purpose; each has one conformance suite (test/conformance/) that real
 * drivers, virtual ones and fakes all run. Drivers know nothing of sales, money or the gateway.
 */

/** What comes in from a keypad, a button or a register. An amount is the text as it was sent, such as '150.00'. */
export type Input =
  /** '0' to '9'; '00' or '000' from a key that means just that, and is typed whole or not at all. */
  | { readonly type: 'digit pressed'; readonly digit: string }
  /** The decimal point. */
  | { readonly type: 'point pressed' }
  | { readonly type: 'clear pressed' }
  | { readonly type: 'enter pressed' }
  | { readonly type: 'cancel pressed' }
  /** A button with a price; its name is that of the profile, and the site knows what it costs. */
  | { readonly type: 'product chosen'; readonly product: string }
  | { readonly type: 'amount asked'; readonly amount: string }
  | { readonly type: 'nonsense received'; readonly what: string }

/** What goes back to whoever asked. Only a register listens. */
export type Answer =
  | { readonly answer: 'ok'; readonly amount: string; readonly sale: string; readonly charge: string }
  | { readonly answer: 'no'; readonly reason: string }

/** Where amounts come from: a keypad, buttons, or a cash register. */
export interface AmountSource {
  /**
   * From when it resolves `deliver` is called for every input, in order. Hardware that may come and go need not be there
   * yet: its driver says so (PartReport) and goes on looking.
   */
  start(deliver: (input: Input) => void): Promise<void>
  /** Resolves when the answer has left this process; rejects with a DriverError when it could not. A keypad ignores it. */
  answer(answer: Answer): Promise<void>
  stop(): Promise<void>
}

export interface PanelSize {
  /** 64..4096 */
  readonly widthPx: number
  /** 64..4096 */
  readonly heightPx: number
  /** Distance between the centres of two neighbouring dots, in millimetres. */
  readonly pitchMm: number
}

/** One picture, one bit a dot: 1 is dark. Rows from the top, each padded to whole bytes, leftmost dot in the highest bit. */
export interface Frame {
  readonly widthPx: number
  readonly heightPx: number
  readonly bits: Uint8Array
}

export const strideBytes = (widthPx: number): number => Math.ceil(widthPx / 8)

/**
 * How a picture takes the place of the last one; the least thorough first.
 *   quick   as soon as this panel can; it may still choose a more thorough way, when glass asks for it
 *   swept   every dot anew, in a hurry: when a code goes, and somebody waits for the word that takes its place
 *   clean   every dot anew, as well as this panel can: when a code comes, and for what stands for hours
 */
export const REFRESHES = ['quick', 'swept', 'clean'] as const
export type Refresh = (typeof REFRESHES)[number]

export interface Panel {
  readonly size: PanelSize
  /**
   * Replaces the whole picture; 'clean' unless said. Resolves when it is really visible; rejects with a DriverError after
   * the panel's timeout. Of pictures that wait, the newest is drawn, and the overtaken ones end as it does.
   */
  draw(frame: Frame, refresh?: Refresh): Promise<void>
  /**
   * Asked while nothing is drawn: resolves when the panel still answers, rejects with a DriverError when it does not, or when
   * something failed since the last picture. What can be seen stays as it is. Absent where a panel cannot be asked.
   */
  check?(): Promise<void>
  /** Within this time a picture is there when all is well; 10 s unless said. Until the timeout of `draw` it may still come. */
  readonly usualMs?: number
  close(): Promise<void>
}

/** Rhythms, not colours: what a lamp does must be understood without seeing its colour. Never above 3 flashes a second. */
export type LampPattern =
  | 'off'
  | 'ready'           // steady, dim
  | 'working'         // 1 Hz
  | 'waiting'         // 1 Hz, long on
  | 'checking'        // 2 Hz
  | 'paid'            // steady
  | 'not paid'        // two short
  | 'offline'         // slow blink
  | 'out of service'  // three short, pause

export interface Lamps {
  /** Never waits and never fails a sale: a lamp that cannot be lit is reported by the driver's own log. */
  show(pattern: LampPattern): void
  close(): Promise<void>
}

/**
 * How goods came out.
 *   delivered   a sensor saw it
 *   released    the pulses went out; this box has no sensor that could see more
 *   unknown     the pulses may have gone out, wholly or in part, or the sensor saw nothing in time
 */
export type Delivery =
  | { readonly delivery: 'delivered' }
  | { readonly delivery: 'released' }
  | { readonly delivery: 'unknown'; readonly why: string }

/** What lets goods out: a relay, or the coin line of a machine. */
export interface Release {
  /**
   * Sends that many pulses, 1..PULSES_MAX. Resolves within the driver's own bound, and never rejects: once begun, nobody
   * can say that nothing came out. It is the caller who sees to it that this is called at most once a sale.
   */
  release(pulses: number): Promise<Delivery>
  /** Leaves the output at its safe level. */
  close(): Promise<void>
}

export const PULSES_MAX = 100

/** The parts of a box that can be missing while the rest of it works. (A panel that fails says so picture by picture.) */
export type PartName = SourceName | 'lamps' | 'release'
export type SourceName = 'keypad' | 'buttons' | 'register'

/** How a driver says that its part is lost -- one sentence that names the thing and what to do -- or (undefined) is there again. */
export type PartReport = (fault: string | undefined) => void

/** What is missing of a box now. */
export interface Parts {
  readonly faults: ReadonlyMap<PartName, string>
  /** `changed` is called after each change; one listener, the last. */
  watch(changed: () => void): void
}

/** A source and whom it stands for: only a register is answered, and a sale remembers who asked for it. */
export interface NamedSource {
  readonly kind: 'keypad' | 'register'
  readonly part: SourceName
  readonly source: AmountSource
}

export interface Hardware {
  readonly sources: readonly NamedSource[]
  readonly panel: Panel
  readonly lamps: Lamps
  /** Undefined on a box that hands nothing out by itself. */
  readonly release?: Release | undefined
  readonly parts: Parts
}

/** Stable codes, so that a person can look them up. */
export type DriverErrorCode =
  | 'PANEL_OPEN_FAILED' | 'PANEL_TIMEOUT' | 'PANEL_WRITE_FAILED' | 'PANEL_WRONG_SIZE' | 'GPIO_FAILED'
  | 'KEYPAD_OPEN_FAILED' | 'LAMP_FAILED' | 'REGISTER_OPEN_FAILED' | 'REGISTER_CLOSED' | 'REGISTER_WRITE_FAILED'
  | 'BENCH_UNREACHABLE'

/** A broken piece of the world: names the thing and the value. */
export class DriverError extends Error {
  override readonly name = 'DriverError'
  readonly code: DriverErrorCode

  constructor(code: DriverErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** What every panel says of a picture that is not its own size. */
export function refuseWrongSize(frame: Frame, { widthPx, heightPx }: PanelSize): void {
  const bytes = strideBytes(widthPx) * heightPx
  if (frame.widthPx === widthPx && frame.heightPx === heightPx && frame.bits.length === bytes) return
  throw new DriverError('PANEL_WRONG_SIZE',
    `a picture of ${frame.widthPx}x${frame.heightPx} in ${frame.bits.length} bytes on a panel of ${widthPx}x${heightPx} in ${bytes}`)
}
