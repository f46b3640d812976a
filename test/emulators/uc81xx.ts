/**
 * The UC81xx controllers with their glass, at the level of commands and in virtual time. Written from what is known of the
 * controllers and not from our driver: it knows neither the driver nor its table. What no driver may do is a violation in
 * words, and what the controller would then do is done: ignored, shifted, inverted, shown too late or not at all.
 */
import { DriverError, type Frame, strideBytes } from '../../drivers/driver.js'
import type { PanelBus, PanelClock } from '../../drivers/panel/eink-chip.js'

export interface Uc81xxGlass {
  readonly controller: 'UC8179' | 'UC8151D'
  readonly widthPx: number
  readonly heightPx: number
  readonly fullMs: number
  /** Waveforms that the controller itself has for these forced temperatures: their kind and how long they take. */
  readonly forced: ReadonlyMap<number, { readonly kind: 'fast' | 'partial'; readonly ms: number }>
  /** How long a usual waveform from the registers takes. */
  readonly registerMs: number
}

/** Dots, times and waveforms as GxEPD2 lists them for these panels. */
export const UC81XX_GLASSES: Readonly<Record<string, Uc81xxGlass>> = {
  'waveshare-7in5-v2': {
    controller: 'UC8179', widthPx: 800, heightPx: 480, fullMs: 4_100, registerMs: 1_584,
    forced: new Map([[0x5a, { kind: 'fast', ms: 1_171 }], [0x6e, { kind: 'partial', ms: 435 }]]),
  },
  'waveshare-7in5-v2-old': {
    controller: 'UC8179', widthPx: 800, heightPx: 480, fullMs: 4_108, registerMs: 1_584, forced: new Map(),
  },
  'waveshare-2in9-d': {
    controller: 'UC8151D', widthPx: 128, heightPx: 296, fullMs: 3_251, registerMs: 705, forced: new Map(),
  },
}

export interface Refreshes {
  full: number
  fast: number
  partial: number
  msOnGlass: number
  /** Commands and data. */
  bytesOverSpi: number
}

interface Area {
  readonly x: number
  readonly y: number
  readonly widthPx: number
  readonly heightPx: number
}

/** What a reset, hard or soft, puts back. */
interface Registers {
  psr: number
  /** The bit of CDI that says what a 1 is: 1 for white. */
  ddx: 0 | 1
  copyNewToOld: boolean
  resolution: Area | undefined
  window: Area | undefined
  insideWindow: boolean
  temperatureForced: boolean
  temperature: number
  readonly waveforms: Set<number>
}

const afterReset = (): Registers => ({
  psr: 0x0f, ddx: 1, copyNewToOld: false, resolution: undefined, window: undefined, insideWindow: false,
  temperatureForced: false, temperature: 0, waveforms: new Set(),
})

/** Rows as on the glass, whatever the resolution that was set; meaningless until wholly written. */
interface Memory {
  readonly bytes: Uint8Array
  /** The polarity in force when it was written; undefined when it never was since the reset. */
  writtenAs: 0 | 1 | undefined
}

type Waveform = { readonly kind: 'full' | 'fast' | 'partial'; readonly ms: number }

const CHUNK_BYTES = 4_096
const RESET_LOW_MS = { least: 2, most: 3 } // Shorter is not seen; longer, and Waveshare's boards cut the power.
const QUIET_AFTER_RESET_MS = 10
const BUSY_FALLS_AFTER_MS = 0.2
const POWER_ON_MS = 129
const POWER_OFF_MS = 40
const SOFT_RESET_MS = 15
const HIGH_VOLTAGE_IDLE_MS = 5_000
/** Each leaves a little of what was there before; makers say 5 to 10. */
const PARTIALS_MAX = 10

const PICTURE = 'a picture'

/** Bytes of data that each command takes. */
const UC8179_LENGTHS: ReadonlyMap<number, readonly number[] | typeof PICTURE> = new Map<number, readonly number[] | typeof PICTURE>([
  [0x00, [1]], [0x01, [4, 5]], [0x02, [0]], [0x03, [1]], [0x04, [0]], [0x06, [4]], [0x07, [1]], [0x10, PICTURE], [0x11, [0]],
  [0x12, [0]], [0x13, PICTURE], [0x15, [1]], [0x20, [42]], [0x21, [42]], [0x22, [42]], [0x23, [42]], [0x24, [42]], [0x25, [42]],
  [0x30, [1]], [0x41, [1]], [0x50, [2]], [0x52, [1]], [0x60, [1]], [0x61, [4]], [0x71, [0]], [0x82, [1]], [0x90, [9]],
  [0x91, [0]], [0x92, [0]], [0xe0, [1]], [0xe3, [1]], [0xe5, [1]],
])

const UC8151D_LENGTHS: typeof UC8179_LENGTHS = new Map<number, readonly number[] | typeof PICTURE>([
  [0x00, [1]], [0x01, [4, 5]], [0x02, [0]], [0x04, [0]], [0x06, [3]], [0x07, [1]], [0x10, PICTURE], [0x11, [0]], [0x12, [0]],
  [0x13, PICTURE], [0x20, [44]], [0x21, [42]], [0x22, [42]], [0x23, [42]], [0x24, [42]], [0x30, [1]], [0x41, [1]],
  [0x50, [1]], [0x60, [1]], [0x61, [3]], [0x71, [0]], [0x82, [1]], [0x90, [7]], [0x91, [0]], [0x92, [0]],
])

const hex = (byte: number): string => `0x${byte.toString(16).padStart(2, '0')}`

export class Uc81xxEmulator {
  readonly violations: string[] = []
  readonly refreshes: Refreshes = { full: 0, fast: 0, partial: 0, msOnGlass: 0, bytesOverSpi: 0 }
  readonly clock: PanelClock
  readonly bus: PanelBus = {
    hold: (held) => this.#alone(() => { this.#hold(held) }),
    command: (command, data) => this.#alone(() => { this.#transfer(command, data ?? new Uint8Array()) }),
    busy: () => this.#alone(() => this.#busy()),
    close: () => this.#alone(() => { this.#closed = true }),
  }

  readonly #is: Uc81xxGlass
  readonly #strideBytes: number
  /** 1 is white, as the particles lie. */
  readonly #particles: Uint8Array
  readonly #old: Memory
  readonly #new: Memory
  #registers = afterReset()

  #inCall = false
  #closed = false
  #transfers = 0
  #failingTransfer = 0
  #stuck: boolean | 'until reset' = false
  #noise = 0x9e3779b9

  #resetSince: number | undefined
  #quietUntil = Infinity // No power yet, or power and no reset yet.
  #asleep = false
  #resetting = false
  #powered = false
  #poweredIdleSince = 0
  #busyFrom = 0
  #busyUntil = 0
  #refreshing: { readonly result: Uint8Array; readonly waveform: Waveform; readonly whole: boolean } | undefined
  #fullSincePower = false
  #partials = 0

  /** With a clock of its own, or with the one by which a whole shop goes. */
  constructor(is: Uc81xxGlass, clock: PanelClock = virtualClock()) {
    this.#is = is
    this.clock = clock
    this.#strideBytes = strideBytes(is.widthPx)
    const bytes = this.#strideBytes * is.heightPx
    this.#particles = this.#anything(new Uint8Array(bytes)) // Whatever was shown last: nobody can know.
    this.#old = { bytes: this.#anything(new Uint8Array(bytes)), writtenAs: undefined }
    this.#new = { bytes: this.#anything(new Uint8Array(bytes)), writtenAs: undefined }
  }

  /** What a person sees, as the glass is wired; dark is 1. In the middle of a refresh it is still the last picture. */
  glass(): Frame {
    this.#settle()
    const { widthPx, heightPx } = this.#is
    return { widthPx, heightPx, bits: this.#particles.map((byte) => ~byte) }
  }

  /** Power goes and comes back: the glass keeps what it had, or something in between; everything else is forgotten. */
  powerLoss(): void {
    this.#settle()
    this.#breakOff()
    this.#forget()
    this.#fullSincePower = false
    this.#quietUntil = Infinity
    this.#resetSince = undefined
  }

  get asleep(): boolean {
    return this.#asleep
  }

  stickBusy(stuck: boolean | 'until reset'): void {
    this.#settle()
    this.#stuck = stuck
  }

  /** The nth SPI transfer from now fails: 1 is the next one. A command is one, and so is every 4096 bytes of its data. */
  failTransfer(nth: number): void {
    this.#failingTransfer = this.#transfers + nth
  }

  async #alone<T>(action: () => T): Promise<T> {
    if (this.#inCall) this.violations.push('two calls on the bus at once')
    if (this.#closed) throw new DriverError('PANEL_WRITE_FAILED', 'the bus is closed')
    this.#inCall = true
    await Promise.resolve()
    this.#inCall = false
    this.#settle()
    return action()
  }

  /** What happened by itself since somebody looked. A controller that hangs never ends its refresh. */
  #settle(): void {
    if (this.#stuck !== false) return
    const now = this.clock.now()
    if (this.#refreshing !== undefined && now >= this.#busyUntil) this.#finishRefresh()
    if (this.#powered && now - Math.max(this.#poweredIdleSince, this.#busyUntil) > HIGH_VOLTAGE_IDLE_MS) {
      this.violations.push(`high voltage on for ${HIGH_VOLTAGE_IDLE_MS} ms with nothing to do`)
      this.#poweredIdleSince = now
    }
  }

  #hold(held: boolean): void {
    if (held) {
      this.#resetSince ??= this.clock.now()
      return
    }
    if (this.#resetSince === undefined) return
    const lowMs = this.clock.now() - this.#resetSince
    this.#resetSince = undefined
    if (lowMs < RESET_LOW_MS.least) {
      this.violations.push(`RST low for ${lowMs} ms: not seen`)
      return
    }
    if (lowMs > RESET_LOW_MS.most) this.violations.push(`RST low for ${lowMs} ms: the board cuts the power`)
    if (this.#stuck === 'until reset') this.#stuck = false
    this.#breakOff()
    this.#forget()
    this.#quietUntil = this.clock.now() + QUIET_AFTER_RESET_MS
  }

  #forget(): void {
    this.#registers = afterReset()
    for (const memory of [this.#old, this.#new]) {
      this.#anything(memory.bytes)
      memory.writtenAs = undefined
    }
    this.#asleep = false
    this.#resetting = false
    this.#powered = false
    this.#busyUntil = this.clock.now()
  }

  #busy(): 0 | 1 {
    if (this.#stuck !== false) return 0
    if (this.clock.now() >= this.#busyUntil) return 1
    if (this.clock.now() >= this.#busyFrom) return 0
    this.violations.push('BUSY looked at before a refresh has pulled it low')
    return 1
  }

  #beBusy(ms: number, fallsAfterMs = 0): void {
    this.#busyFrom = this.clock.now() + fallsAfterMs
    this.#busyUntil = this.clock.now() + ms
  }

  #transfer(command: number, data: Uint8Array): void {
    for (let chunk = 0; chunk <= Math.ceil(data.length / CHUNK_BYTES); chunk++) this.#wire() // A picture that breaks off counts for nothing.
    this.refreshes.bytesOverSpi += 1 + data.length
    const because = this.#deafBecause(command)
    if (because !== undefined) {
      this.violations.push(`command ${hex(command)} ${because}: ignored`)
      return
    }
    if (this.#lengthIsWrong(command, data.length)) return
    this.#poweredIdleSince = this.clock.now()
    this.#obey(command, data)
  }

  #wire(): void {
    this.#transfers++
    if (this.#transfers === this.#failingTransfer) throw new DriverError('PANEL_WRITE_FAILED', `SPI transfer ${this.#transfers} failed`)
  }

  #deafBecause(command: number): string | undefined {
    const now = this.clock.now()
    if (this.#resetSince !== undefined) return 'while RST is low'
    if (this.#quietUntil === Infinity) return 'before any reset'
    if (now < this.#quietUntil) return `less than ${QUIET_AFTER_RESET_MS} ms after a reset`
    if (this.#asleep) return 'in deep sleep'
    if (this.#stuck !== false || now < this.#busyUntil) return 'while BUSY'
    if (this.#resetting && command !== 0x00) return 'while PSR holds it in reset'
    return undefined
  }

  /** Commands of no known meaning, or with too few or too many bytes, do nothing. Pictures say themselves what is wrong. */
  #lengthIsWrong(command: number, length: number): boolean {
    const lengths = (this.#is.controller === 'UC8179' ? UC8179_LENGTHS : UC8151D_LENGTHS).get(command)
    if (lengths === undefined) this.violations.push(`command ${hex(command)} is none of ${this.#is.controller}`)
    else if (lengths !== PICTURE && !lengths.includes(length)) {
      this.violations.push(`command ${hex(command)} with ${length} bytes, not ${lengths.join(' or ')}`)
    } else return false
    return true
  }

  #obey(command: number, data: Uint8Array): void {
    const registers = this.#registers
    switch (command) {
      case 0x00: return this.#setPanel(at(data, 0))
      case 0x02: return this.#switchPower(false)
      case 0x04: return this.#switchPower(true)
      case 0x07: return this.#deepSleep(at(data, 0))
      case 0x10: return this.#write(this.#old, data)
      case 0x12: return this.#refresh()
      case 0x13: return this.#write(this.#new, data)
      case 0x50: return this.#setPolarity(data)
      case 0x61: return this.#setResolution(data)
      case 0x90: return this.#setWindow(data)
      case 0x91:
        registers.insideWindow = true
        return
      case 0x92:
        registers.insideWindow = false
        return
      case 0xe0:
        registers.temperatureForced = (at(data, 0) & 0x02) !== 0
        return
      case 0xe5:
        registers.temperature = at(data, 0)
        return
      default:
        if (command >= 0x20 && command <= 0x25) registers.waveforms.add(command)
    }
  }

  #setPanel(psr: number): void {
    if ((psr & 0x01) === 0) {
      this.#registers = afterReset()
      this.#resetting = true
      this.#powered = false
    } else if (this.#resetting) {
      this.#resetting = false
      this.#beBusy(SOFT_RESET_MS)
    }
    this.#registers.psr = psr
  }

  #switchPower(on: boolean): void {
    this.#powered = on
    this.#poweredIdleSince = this.clock.now()
    this.#beBusy(on ? POWER_ON_MS : POWER_OFF_MS)
  }

  #deepSleep(check: number): void {
    if (check !== 0xa5) {
      this.violations.push(`deep sleep with ${hex(check)}, not 0xa5: ignored`)
      return
    }
    if (this.#powered) this.violations.push('deep sleep with high voltage on')
    this.#asleep = true
  }

  #setPolarity(data: Uint8Array): void {
    const byte = at(data, 0)
    if (this.#is.controller === 'UC8179') {
      this.#registers.ddx = (byte & 0x01) === 0 ? 0 : 1
      this.#registers.copyNewToOld = (byte & 0x08) !== 0
    } else {
      this.#registers.ddx = (byte & 0x10) === 0 ? 0 : 1
    }
  }

  #setResolution(data: Uint8Array): void {
    const [widthPx, heightPx] = this.#is.controller === 'UC8179' ? [pair(data, 0), pair(data, 2)] : [at(data, 0), pair(data, 1)]
    if (widthPx !== this.#is.widthPx || heightPx !== this.#is.heightPx) {
      this.violations.push(`resolution ${widthPx}x${heightPx} on glass of ${this.#is.widthPx}x${this.#is.heightPx}`)
    }
    this.#registers.resolution = { x: 0, y: 0, widthPx, heightPx }
  }

  /** Ends are inside. The lowest three bits of the columns are not there: 0 at the start, 7 at the end. */
  #setWindow(data: Uint8Array): void {
    const [x, xEnd, y, yEnd] = this.#is.controller === 'UC8179'
      ? [pair(data, 0), pair(data, 2), pair(data, 4), pair(data, 6)]
      : [at(data, 0), at(data, 1), pair(data, 2), pair(data, 4)]
    const said = `window ${x}..${xEnd}, ${y}..${yEnd}`
    if ((x & 7) !== 0 || (xEnd & 7) !== 7) this.violations.push(`${said}: columns not in whole bytes`)
    if (xEnd < x || yEnd < y || xEnd >= this.#is.widthPx || yEnd >= this.#is.heightPx) {
      this.violations.push(`${said}: not on the glass`)
      this.#registers.window = undefined
      return
    }
    this.#registers.window = { x: x & ~7, y, widthPx: (xEnd | 7) + 1 - (x & ~7), heightPx: yEnd + 1 - y }
  }

  /** Row by row into the window or, outside partial mode, the whole resolution. */
  #write(memory: Memory, data: Uint8Array): void {
    const { resolution, window, insideWindow, ddx } = this.#registers
    const area = insideWindow ? window : resolution
    if (area === undefined) {
      this.violations.push(`a picture without a ${insideWindow ? 'window' : 'resolution'}: ignored`)
      return
    }
    const rowBytes = strideBytes(area.widthPx)
    const bytes = rowBytes * area.heightPx
    if (data.length !== bytes) this.violations.push(`a picture of ${data.length} bytes, not ${bytes}`)
    for (let i = 0; i < Math.min(data.length, bytes); i++) {
      const column = (area.x >> 3) + i % rowBytes
      const row = area.y + Math.floor(i / rowBytes)
      if (column < this.#strideBytes && row < this.#is.heightPx) memory.bytes[row * this.#strideBytes + column] = at(data, i)
    }
    if (!insideWindow) memory.writtenAs = ddx
  }

  #refresh(): void {
    const { psr, ddx, insideWindow, window } = this.#registers
    if (!this.#powered) return this.#notRefreshed('with the power off')
    if ((psr & 0x02) === 0) return this.#notRefreshed('with the booster off (PSR)')
    if ((psr & 0x10) === 0) return this.#notRefreshed('in the mode for red glass (PSR)')
    if (insideWindow && window === undefined) return this.#notRefreshed('in partial mode without a window')
    const waveform = this.#pickWaveform()
    if (waveform === undefined) return this.#notRefreshed('with no waveform in the registers')
    if (this.#new.writtenAs === undefined) this.violations.push('a refresh without a picture since the reset')
    if (this.#old.writtenAs === undefined) this.violations.push('a refresh without an old picture since the reset')
    if ([this.#old, this.#new].some(({ writtenAs }) => writtenAs === (1 - ddx))) this.violations.push('polarity changed since a picture was written')
    if (waveform.kind === 'partial' && !this.#fullSincePower) this.violations.push('a partial refresh before any full one')
    this.#partials = waveform.kind === 'partial' ? this.#partials + 1 : 0
    if (this.#partials > PARTIALS_MAX) this.violations.push(`${this.#partials} partial refreshes since every dot was driven`)
    this.#refreshing = { result: this.#drive(waveform), waveform, whole: !insideWindow }
    this.#beBusy(waveform.ms, BUSY_FALLS_AFTER_MS)
  }

  #notRefreshed(because: string): void {
    this.violations.push(`a refresh ${because}: ignored`)
  }

  #pickWaveform(): Waveform | undefined {
    const { psr, temperatureForced, temperature, waveforms } = this.#registers
    if ((psr & 0x20) !== 0) {
      return [0x20, 0x21, 0x22, 0x23, 0x24].every((one) => waveforms.has(one)) ? { kind: 'partial', ms: this.#is.registerMs } : undefined
    }
    const full: Waveform = { kind: 'full', ms: this.#is.fullMs }
    if (!temperatureForced) return full
    const forced = this.#is.forced.get(temperature)
    if (forced === undefined) this.violations.push(`no waveform for the forced temperature ${hex(temperature)}`)
    return forced ?? full
  }

  /** The particles as they will lie: every dot of the area anew, or those where the old and the new picture differ. */
  #drive({ kind }: Waveform): Uint8Array {
    const { psr, ddx, insideWindow, window } = this.#registers
    const area = insideWindow && window !== undefined ? window : { x: 0, y: 0, ...this.#is }
    const result = Uint8Array.from(this.#particles)
    const white = ddx === 1 ? 0x00 : 0xff
    const mirrored = (psr & 0x04) === 0
    const upsideDown = (psr & 0x08) === 0
    let oldIsThere = true
    for (let row = area.y; row < area.y + area.heightPx; row++) {
      for (let column = area.x >> 3; column < (area.x + area.widthPx) >> 3; column++) {
        const from = row * this.#strideBytes + column
        const to = (upsideDown ? this.#is.heightPx - 1 - row : row) * this.#strideBytes + (mirrored ? this.#strideBytes - 1 - column : column)
        const seen = (memory: Memory): number => (mirrored ? reversed(at(memory.bytes, from) ^ white) : at(memory.bytes, from) ^ white)
        const driven = kind === 'partial' ? seen(this.#new) ^ seen(this.#old) : 0xff
        oldIsThere &&= seen(this.#old) === at(this.#particles, to)
        result[to] = (at(result, to) & ~driven) | (seen(this.#new) & driven)
      }
    }
    if (kind === 'partial' && !oldIsThere) this.violations.push('a partial refresh from an old picture that is not on the glass')
    return result
  }

  #finishRefresh(): void {
    if (this.#refreshing === undefined) return
    const { result, waveform, whole } = this.#refreshing
    this.#refreshing = undefined
    this.#particles.set(result)
    this.refreshes[waveform.kind]++
    this.refreshes.msOnGlass += waveform.ms
    if (whole && waveform.kind !== 'partial') this.#fullSincePower = true
    if (this.#registers.copyNewToOld) {
      this.#old.bytes.set(this.#new.bytes)
      this.#old.writtenAs = this.#new.writtenAs
    }
  }

  /** Reset or power loss in the middle of a refresh: some dots arrived and some did not. */
  #breakOff(): void {
    const broken = this.#refreshing?.result
    this.#refreshing = undefined
    if (broken === undefined) return
    const arrived = this.#anything(new Uint8Array(broken.length))
    for (let i = 0; i < broken.length; i++) {
      this.#particles[i] = (at(broken, i) & at(arrived, i)) | (at(this.#particles, i) & ~at(arrived, i))
    }
  }

  /** Fills with noise that is the same in every run (xorshift, Marsaglia 2003). */
  #anything(bytes: Uint8Array): Uint8Array {
    for (let i = 0; i < bytes.length; i++) {
      this.#noise ^= this.#noise << 13
      this.#noise ^= this.#noise >>> 17
      this.#noise ^= this.#noise << 5
      bytes[i] = this.#noise & 0xff
    }
    return bytes
  }
}

const at = (bytes: Uint8Array, index: number): number => bytes[index] ?? 0

const pair = (bytes: Uint8Array, index: number): number => (at(bytes, index) << 8) | at(bytes, index + 1)

function reversed(byte: number): number {
  let result = 0
  for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) result |= 0x80 >> bit
  return result
}

function virtualClock(): PanelClock {
  let now = 0
  return { now: () => now, pause: async (ms) => { await Promise.resolve(); now += ms } }
}
