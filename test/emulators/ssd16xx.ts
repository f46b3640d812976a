/**
 * The SSD16xx controllers with their glass, at the level of commands and in virtual time. Written from what is known of the
 * controllers and not from our driver: it knows neither the driver nor its table. What no driver may do is a violation in
 * words, and what the controller would then do is done: ignored, shifted, left as it was, or shown wrong.
 */
import { DriverError, type Frame, strideBytes } from '../../drivers/driver.js'
import type { PanelBus, PanelClock } from '../../drivers/panel/eink-chip.js'
import { changesOf, type Changes, GREY } from './ssd16xx-waveform.js'

type Controller = 'SSD1680' | 'SSD1681' | 'SSD1683' | 'SSD1677' | 'IL3820'

export interface Ssd16xxGlass {
  readonly controller: Controller
  /** Of what can be seen. */
  readonly widthPx: number
  readonly heightPx: number
  /** The source line of the leftmost column. */
  readonly firstSource: 0 | 8
  /** Whether gate 0 is the lowest row. */
  readonly gatesUpwards: boolean
  /** Third byte of 0x01 that this glass is wired for. */
  readonly gateFlags: number
  /** How long each waveform of the controller's own, or from the host, works on this glass. */
  readonly ms: { readonly full: number; readonly fast: number | undefined; readonly partial: number }
  /** Whether the controller itself holds a waveform for differences. */
  readonly ownPartial: boolean
}

const down = { firstSource: 0, gatesUpwards: false, gateFlags: 0, ownPartial: true } as const

/** Dots and wiring by the makers; times as the author of GxEPD2 measured them, or usual ones. */
export const SSD16XX_GLASSES: Readonly<Record<string, Ssd16xxGlass>> = {
  'waveshare-2in13-v4': {
    ...down, controller: 'SSD1680', widthPx: 122, heightPx: 250, firstSource: 8, ms: { full: 4_000, fast: 1_617, partial: 457 },
  },
  'waveshare-2in9-v2': {
    ...down, controller: 'SSD1680', widthPx: 128, heightPx: 296, firstSource: 8, ownPartial: false,
    ms: { full: 4_012, fast: undefined, partial: 737 },
  },
  'gdey029t94': {
    ...down, controller: 'SSD1680', widthPx: 128, heightPx: 296, firstSource: 8, ms: { full: 4_000, fast: 1_715, partial: 362 },
  },
  'waveshare-2in7-v2': { ...down, controller: 'SSD1680', widthPx: 176, heightPx: 264, ms: { full: 4_000, fast: 1_627, partial: 459 } },
  'waveshare-1in54-v2': { ...down, controller: 'SSD1681', widthPx: 200, heightPx: 200, ms: { full: 4_000, fast: 1_907, partial: 459 } },
  'waveshare-4in2-v2': { ...down, controller: 'SSD1683', widthPx: 400, heightPx: 300, ms: { full: 4_000, fast: 1_140, partial: 358 } },
  'waveshare-4in26': {
    ...down, controller: 'SSD1677', widthPx: 800, heightPx: 480, gatesUpwards: true, gateFlags: 0x02,
    ms: { full: 4_000, fast: 1_567, partial: 500 },
  },
  'inky-what': {
    ...down, controller: 'SSD1683', widthPx: 400, heightPx: 300, ownPartial: false, ms: { full: 12_500, fast: undefined, partial: 0 },
  },
  'waveshare-2in9-v1': {
    ...down, controller: 'IL3820', widthPx: 128, heightPx: 296, ownPartial: false, ms: { full: 1_575, fast: undefined, partial: 412 },
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

/** Memory of a controller, whatever glass it drives, and the bytes of its commands. */
interface Kind {
  readonly strideBytes: number
  readonly rows: number
  readonly xInDots: boolean
  readonly twoMemories: boolean
  readonly lengths: ReadonlyMap<number, readonly number[]>
}

const MEMORY = -1
const lengths = (...own: (readonly [number, readonly number[]])[]): Kind['lengths'] => new Map([
  [0x01, [3]], [0x03, [1]], [0x04, [3]], [0x0c, [4]], [0x10, [1]], [0x11, [1]], [0x12, [0]], [0x18, [1]], [0x1a, [1, 2]],
  [0x20, [0]], [0x21, [2]], [0x22, [1]], [0x24, [MEMORY]], [0x26, [MEMORY]], [0x2c, [1]], [0x3c, [1]], [0x3f, [1]],
  [0x44, [2]], [0x45, [4]], [0x4e, [1]], [0x4f, [2]], [0x7f, [0]], ...own,
])

const KINDS: Readonly<Record<Controller, Kind>> = {
  SSD1680: { strideBytes: 22, rows: 296, xInDots: false, twoMemories: true, lengths: lengths([0x32, [153]]) },
  SSD1681: { strideBytes: 25, rows: 200, xInDots: false, twoMemories: true, lengths: lengths([0x32, [153]]) },
  SSD1683: { strideBytes: 50, rows: 300, xInDots: false, twoMemories: true, lengths: lengths([0x32, [227]]) },
  SSD1677: {
    strideBytes: 120, rows: 680, xInDots: true, twoMemories: true,
    lengths: lengths([0x0c, [5]], [0x32, [105]], [0x44, [4]], [0x4e, [2]]),
  },
  IL3820: {
    strideBytes: 16, rows: 296, xInDots: false, twoMemories: false,
    lengths: new Map([
      [0x01, [3]], [0x0c, [3]], [0x10, [1]], [0x11, [1]], [0x12, [0]], [0x1a, [2]], [0x20, [0]], [0x21, [1]], [0x22, [1]],
      [0x24, [MEMORY]], [0x2c, [1]], [0x32, [30]], [0x3a, [1]], [0x3b, [1]], [0x3c, [1]], [0x44, [2]], [0x45, [4]], [0x4e, [1]],
      [0x4f, [2]], [0xff, [0]],
    ]),
  },
}

const CHUNK_BYTES = 4_096
const RESET_LOW_MS = { least: 2, most: 3 } // Shorter is not seen; longer, and Waveshare's boards cut the power.
const QUIET_AFTER_RESET_MS = 10
const POWER_ON_MS = 95
const POWER_OFF_MS = 140
const LOAD_MS = 10
const HIGH_VOLTAGE_IDLE_MS = 5_000
/** Each leaves a little of what was there before; makers say 5 to 10. */
const PARTIALS_MAX = 10
const ROOM_TEMPERATURE = 25
const WARM = 0x5a

interface Registers {
  gateLines: number
  gateFlags: number
  /** Undefined until it is sent: not every controller starts with the same. */
  entry: number | undefined
  columns: { readonly start: number; readonly end: number }
  rows: { readonly start: number; readonly end: number }
  x: number
  y: number
  innerSensor: boolean
  temperature: number | undefined
  newOption: number
  oldOption: number
  sourcesFrom8: boolean
  control: number
  waveform: Waveform | undefined
}

interface Waveform {
  readonly from: 'controller' | 'host'
  readonly kind: 'full' | 'fast' | 'partial'
  readonly ms: number
  readonly changes: Changes
}

const hex = (byte: number): string => `0x${byte.toString(16).padStart(2, '0')}`
const wordAt = (data: Uint8Array, at: number): number => data[at]! + 256 * data[at + 1]!

export class Ssd16xxEmulator {
  readonly violations: string[] = []
  readonly refreshes: Refreshes = { full: 0, fast: 0, partial: 0, msOnGlass: 0, bytesOverSpi: 0 }
  readonly clock: PanelClock
  readonly bus: PanelBus = {
    hold: (held) => this.#alone(() => { this.#hold(held) }),
    command: (command, data) => this.#alone(() => { this.#transfer(command, data ?? new Uint8Array()) }),
    busy: () => this.#alone(() => this.#busy()),
    close: () => this.#alone(() => { this.#closed = true }),
  }

  readonly #is: Ssd16xxGlass
  readonly #kind: Kind
  /** What lies on the glass, a byte a dot: 0 black, 1 white. */
  #dots: Uint8Array
  /** [0] is written by 0x24, [1] by 0x26. */
  #memories: [Uint8Array, Uint8Array]
  #registers: Registers

  #inCall = false
  #closed = false
  #transfers = 0
  #failingTransfer = 0
  #stuck: boolean | 'until reset' = false
  #noise = 0x2545f491

  #resetSince: number | undefined
  #quietUntil = Infinity // No power yet, or power and no reset yet.
  #asleep = false
  #powered = false
  #poweredIdleSince = 0
  #busyUntil = 0
  #refreshing: { readonly dots: Uint8Array; readonly kind: Waveform['kind'] } | undefined
  #fullSincePower = false
  #partials = 0

  /** With a clock of its own, or with the one by which a whole shop goes. */
  constructor(is: Ssd16xxGlass, clock: PanelClock = virtualClock()) {
    this.#is = is
    this.#kind = KINDS[is.controller]
    this.clock = clock
    this.#dots = this.#anything(is.widthPx * is.heightPx, 1) // Whatever was shown last: nobody can know.
    this.#memories = this.#noisyMemories()
    this.#registers = this.#afterReset()
  }

  /** What a person sees, as the glass is wired; dark is 1. In the middle of a refresh it is still the last picture. */
  glass(): Frame {
    this.#settle()
    const { widthPx, heightPx } = this.#is
    const bits = new Uint8Array(strideBytes(widthPx) * heightPx)
    for (let y = 0; y < heightPx; y++) {
      for (let x = 0; x < widthPx; x++) {
        if (this.#dots[y * widthPx + x] === 0) bits[y * strideBytes(widthPx) + (x >> 3)]! |= 0x80 >> (x & 7)
      }
    }
    return { widthPx, heightPx, bits }
  }

  /** Power goes and comes back: the glass keeps what it had, or something in between; everything else is forgotten. */
  powerLoss(): void {
    this.#settle()
    this.#breakOff()
    this.#forgetPictures()
    this.#registers = this.#afterReset()
    this.#asleep = false
    this.#powered = false
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

  /** What happened by itself since somebody looked. */
  #settle(): void {
    if (this.#stuck !== false) return
    const now = this.clock.now()
    if (this.#refreshing !== undefined && now >= this.#busyUntil) {
      this.#dots = this.#refreshing.dots
      if (this.#refreshing.kind !== 'partial') this.#fullSincePower = true
      this.#refreshing = undefined
    }
    if (this.#powered && now - Math.max(this.#poweredIdleSince, this.#busyUntil) > HIGH_VOLTAGE_IDLE_MS) {
      this.violations.push(`high voltage on for ${HIGH_VOLTAGE_IDLE_MS} ms with nothing to do`)
      this.#poweredIdleSince = now
    }
  }

  #hold(held: boolean): void {
    const now = this.clock.now()
    if (held) {
      this.#resetSince ??= now
      return
    }
    if (this.#resetSince === undefined) return
    const lowMs = now - this.#resetSince
    this.#resetSince = undefined
    if (lowMs < RESET_LOW_MS.least) {
      this.violations.push(`RST low for ${lowMs} ms: not seen`)
      return
    }
    if (lowMs > RESET_LOW_MS.most) {
      this.violations.push(`RST low for ${lowMs} ms: the board cuts the power`)
      this.#memories = this.#noisyMemories()
    }
    if (this.#stuck === 'until reset') this.#stuck = false
    this.#breakOff()
    this.#registers = this.#afterReset()
    this.#asleep = false
    this.#powered = false
    this.#busyUntil = now
    this.#quietUntil = now + QUIET_AFTER_RESET_MS
  }

  #busy(): 0 | 1 {
    return this.#stuck !== false || this.#asleep || this.clock.now() < this.#busyUntil ? 1 : 0
  }

  /** A refresh that is cut short leaves the upper half new, the rest old, and nobody can build on it. */
  #breakOff(): void {
    if (this.#refreshing === undefined) return
    const half = this.#dots.length >> 1
    this.#dots.set(this.#refreshing.dots.subarray(0, half))
    this.#refreshing = undefined
    this.#fullSincePower = false
  }

  #forgetPictures(): void {
    this.#memories = this.#noisyMemories()
    this.#fullSincePower = false
  }

  #noisyMemories(): [Uint8Array, Uint8Array] {
    const bytes = this.#kind.strideBytes * this.#kind.rows
    return [this.#anything(bytes, 255), this.#anything(bytes, 255)]
  }

  #afterReset(): Registers {
    return {
      gateLines: this.#kind.rows, gateFlags: 0, entry: undefined,
      columns: { start: 0, end: this.#kind.strideBytes - 1 }, rows: { start: 0, end: this.#kind.rows - 1 }, x: 0, y: 0,
      innerSensor: false, temperature: undefined, newOption: 0, oldOption: 0, sourcesFrom8: false, control: 0xff,
      waveform: undefined,
    }
  }

  #transfer(command: number, data: Uint8Array): void {
    this.#wire(1)
    let arrived = 0
    try {
      while (arrived < data.length) {
        const bytes = Math.min(CHUNK_BYTES, data.length - arrived)
        this.#wire(bytes)
        arrived += bytes
      }
    } catch (error) {
      if (this.#isMemory(command) && this.#deafBecause() === undefined) this.#store(command, data.subarray(0, arrived))
      throw error
    }
    const because = this.#deafBecause()
    if (because !== undefined) this.violations.push(`command ${hex(command)} ${because}: ignored`)
    else if (this.#taken(command, data)) this.#obey(command, data)
  }

  #wire(bytes: number): void {
    this.#transfers++
    if (this.#transfers === this.#failingTransfer) throw new DriverError('PANEL_WRITE_FAILED', `SPI transfer ${this.#transfers} failed`)
    this.refreshes.bytesOverSpi += bytes
  }

  #deafBecause(): string | undefined {
    const now = this.clock.now()
    if (this.#resetSince !== undefined) return 'while RST is low'
    if (this.#quietUntil === Infinity) return 'before any reset'
    if (this.#asleep) return 'in deep sleep'
    if (now < this.#quietUntil) return `less than ${QUIET_AFTER_RESET_MS} ms after a reset`
    return this.#busy() === 1 ? 'while BUSY' : undefined
  }

  #isMemory(command: number): boolean {
    return this.#kind.lengths.get(command)?.[0] === MEMORY
  }

  /** Whether the controller knows such a command with so many bytes. */
  #taken(command: number, data: Uint8Array): boolean {
    const lengths = this.#kind.lengths.get(command)
    if (lengths === undefined) this.violations.push(`${this.#is.controller} has no command ${hex(command)}: ignored`)
    else if (!this.#isMemory(command) && !lengths.includes(data.length)) {
      this.violations.push(`command ${hex(command)} with ${data.length} bytes of data: ignored`)
    } else return true
    return false
  }

  #obey(command: number, data: Uint8Array): void {
    const registers = this.#registers
    const [first = 0, second = 0] = data
    switch (command) {
      case 0x01: registers.gateLines = wordAt(data, 0) + 1; registers.gateFlags = data[2]!; break
      case 0x10: this.#sleep(first); break
      case 0x11: registers.entry = first; break
      case 0x12: this.#softReset(); break
      case 0x18: registers.innerSensor = first === 0x80; break
      case 0x1a: registers.temperature = first; break
      case 0x20: this.#activate(); break
      case 0x21:
        registers.newOption = first & 15
        registers.oldOption = first >> 4
        registers.sourcesFrom8 = (second & 0x80) !== 0
        break
      case 0x22: registers.control = first; break
      case 0x24: case 0x26: this.#picture(command, data); break
      case 0x32: this.#loadFromHost(data); break
      case 0x44:
        registers.columns = this.#kind.xInDots
          ? { start: this.#column(wordAt(data, 0), 0), end: this.#column(wordAt(data, 2), 7) }
          : { start: first, end: second }
        break
      case 0x45: registers.rows = { start: wordAt(data, 0), end: wordAt(data, 2) }; break
      case 0x4e: registers.x = this.#kind.xInDots ? this.#column(wordAt(data, 0), 0) : first; break
      case 0x4f: registers.y = wordAt(data, 0); break
      // Voltages, borders and timings: right for the glass or not, nothing here can tell.
    }
  }

  #column(dot: number, edge: 0 | 7): number {
    if (dot % 8 !== edge) this.violations.push(`X of ${dot} dots cuts a byte`)
    return dot >> 3
  }

  #sleep(mode: number): void {
    if (mode !== 1 && mode !== 3) {
      if (mode !== 0) this.violations.push(`no deep sleep ${hex(mode)}`)
      return
    }
    if (this.#powered) this.violations.push('deep sleep with the high voltage on')
    if (mode === 3) this.#forgetPictures()
    this.#powered = false
    this.#asleep = true
  }

  #softReset(): void {
    this.#registers = this.#afterReset()
    this.#busyUntil = this.clock.now() + QUIET_AFTER_RESET_MS
  }

  #picture(command: number, data: Uint8Array): void {
    const { entry, columns, rows, x, y } = this.#registers
    if (entry === undefined) this.violations.push('picture data before the data entry mode was set')
    const bytes = (Math.abs(columns.end - columns.start) + 1) * (Math.abs(rows.end - rows.start) + 1)
    if (data.length !== bytes) this.violations.push(`${data.length} bytes for a window of ${bytes}`)
    if (x !== columns.start || y !== rows.start) this.violations.push(`picture data from (${x}, ${y}), not from the start of the window`)
    this.#store(command, data)
  }

  /** Through the address counters, as the entry mode moves them. */
  #store(command: number, data: Uint8Array): void {
    const registers = this.#registers
    const { strideBytes: stride, rows: rowCount } = this.#kind
    const entry = registers.entry ?? 3
    const { columns, rows } = registers
    const stepX = (entry & 1) !== 0 ? 1 : -1
    const stepY = (entry & 2) !== 0 ? 1 : -1
    const memory = this.#memories[command === 0x24 ? 0 : 1]
    let outside = 0
    for (const byte of data) {
      if (registers.x < stride && registers.y < rowCount) memory[registers.y * stride + registers.x] = byte
      else outside++
      const moveY = (): void => { registers.y = registers.y === rows.end ? rows.start : (registers.y + stepY) & 0x3ff }
      const moveX = (): void => { registers.x = registers.x === columns.end ? columns.start : (registers.x + stepX) & 0x7f }
      if ((entry & 4) !== 0) {
        if (registers.y === rows.end) moveX()
        moveY()
      } else {
        if (registers.x === columns.end) moveY()
        moveX()
      }
    }
    if (outside > 0) this.violations.push(`${outside} bytes outside the memory`)
  }

  #loadFromHost(data: Uint8Array): void {
    const changes = changesOf(data)
    if (changes === undefined) {
      this.violations.push(`a waveform of ${data.length} bytes is not emulated`)
      return
    }
    const { full, partial } = this.#is.ms
    this.#registers.waveform = changes.everyDot
      ? { from: 'host', kind: 'full', ms: full, changes } : { from: 'host', kind: 'partial', ms: partial, changes }
  }

  /** 0x20: the steps of 0x22, in order. */
  #activate(): void {
    const { control } = this.#registers
    let ms = 0
    if ((control & 0x40) !== 0 && !this.#powered) {
      this.#powered = true
      ms += POWER_ON_MS
    }
    if ((control & 0x20) !== 0) ms += this.#readTemperature()
    if ((control & 0x10) !== 0) ms += this.#loadOwn(control)
    if ((control & 0x04) !== 0) ms += this.#display(control)
    if ((control & 0x02) !== 0 && this.#powered) {
      this.#powered = false
      ms += POWER_OFF_MS
    }
    this.#busyUntil = this.clock.now() + ms
    this.#poweredIdleSince = this.#busyUntil
  }

  #readTemperature(): number {
    if (this.#registers.innerSensor) this.#registers.temperature = ROOM_TEMPERATURE
    else this.violations.push('reads a temperature sensor that this board has not')
    return LOAD_MS
  }

  #loadOwn(control: number): number {
    const { temperature } = this.#registers
    const { ms, ownPartial, controller } = this.#is
    if (controller === 'IL3820') this.violations.push('IL3820 has no waveform of its own')
    if (temperature === undefined) this.violations.push('loads a waveform for a temperature that nobody told')
    const warm = (temperature ?? 0) >= WARM
    const everyDot = (control & 0x08) === 0
    if (everyDot ? warm && ms.fast === undefined : !ownPartial) {
      this.violations.push(`this glass has no ${everyDot ? 'fast' : 'partial'} waveform of its own`)
      this.#registers.waveform = undefined
    } else if (everyDot) {
      this.#registers.waveform = warm
        ? { from: 'controller', kind: 'fast', ms: ms.fast ?? ms.full, changes: EVERY_DOT }
        : { from: 'controller', kind: 'full', ms: ms.full, changes: EVERY_DOT }
    } else this.#registers.waveform = { from: 'controller', kind: 'partial', ms: ms.partial, changes: DIFFERENCES }
    return LOAD_MS
  }

  #display(control: number): number {
    const { waveform } = this.#registers
    const mode = (control & 0x08) === 0 ? 'full' : 'partial'
    if (!this.#powered) {
      this.violations.push('a refresh without high voltage: nothing happens')
      return 0
    }
    if (waveform === undefined || (waveform.from === 'controller' && (waveform.kind === 'partial') !== (mode === 'partial'))) {
      this.violations.push('a refresh without a waveform for it: nothing happens')
      return 0
    }
    if (waveform.kind === 'partial' && !this.#fullSincePower) {
      this.violations.push('a partial refresh before any full one: what is on the glass is unknown')
    }
    this.#partials = waveform.kind === 'partial' ? this.#partials + 1 : 0
    if (this.#partials > PARTIALS_MAX) this.violations.push(`${this.#partials} partial refreshes since every dot was driven`)
    this.#refreshing = { dots: this.#drive(waveform), kind: waveform.kind }
    if (!this.#kind.twoMemories) this.#memories = [this.#memories[1], this.#memories[0]]
    this.refreshes[waveform.kind]++
    this.refreshes.msOnGlass += waveform.ms
    return waveform.ms
  }

  /** The dots as they lie afterwards. */
  #drive({ kind, changes }: Waveform): Uint8Array {
    const { widthPx, heightPx, gatesUpwards, gateFlags } = this.#is
    const { gateLines, newOption, oldOption } = this.#registers
    if (this.#registers.gateFlags !== gateFlags) this.violations.push(`gates scanned as ${hex(this.#registers.gateFlags)}, wired as ${hex(gateFlags)}`)
    const after = this.#dots.slice()
    let unlike = 0
    let grey = 0
    for (let y = 0; y < heightPx; y++) {
      const gate = gatesUpwards ? heightPx - 1 - y : y
      if (gate >= gateLines) continue
      for (let x = 0; x < widthPx; x++) {
        const wanted = optioned(this.#bitAt(0, gate, x), newOption)
        const old = optioned(this.#bitAt(1, gate, x), oldOption)
        if (wanted === undefined || old === undefined) continue
        const standing = this.#dots[y * widthPx + x] === 1 ? 1 : 0
        if (old !== standing) unlike++
        const result = changes.of(old, wanted, standing)
        if (result === GREY) grey++
        after[y * widthPx + x] = result === GREY ? (x ^ y) & 1 : result
      }
    }
    if (kind === 'partial' && unlike > 0) this.violations.push(`the old picture is wrong in ${unlike} dots`)
    if (grey > 0) this.violations.push(`${grey} dots are left grey`)
    return after
  }

  /** The bit that drives a column of the glass; undefined where its source line is not driven. */
  #bitAt(memory: 0 | 1, gate: number, column: number): 0 | 1 | undefined {
    const dot = column + this.#is.firstSource - (this.#registers.sourcesFrom8 ? 8 : 0)
    if (dot < 0 || dot >= this.#kind.strideBytes * 8) return undefined
    return (this.#memories[memory][gate * this.#kind.strideBytes + (dot >> 3)]! & (0x80 >> (dot & 7))) === 0 ? 0 : 1
  }

  /** What nobody wrote: noise, the same in every run. */
  #anything(length: number, mask: number): Uint8Array {
    return Uint8Array.from({ length }, () => {
      this.#noise ^= this.#noise << 13
      this.#noise ^= this.#noise >>> 17
      this.#noise ^= this.#noise << 5
      return (this.#noise >>> 8) & mask
    })
  }
}

/** 0x21: 4 reads a memory as empty, 8 turns it round. */
function optioned(bit: 0 | 1 | undefined, option: number): 0 | 1 | undefined {
  if (bit === undefined || option === 0) return bit
  if (option === 4) return 0
  return bit === 0 ? 1 : 0
}

/** The controller's own waveforms, as far as they concern us. */
const EVERY_DOT: Changes = { everyDot: true, of: (_old, wanted) => wanted }
const DIFFERENCES: Changes = { everyDot: false, of: (old, wanted, standing) => (old === wanted ? standing : wanted) }

function virtualClock(): PanelClock {
  let now = 0
  return { now: () => now, pause: async (ms) => { await Promise.resolve(); now += ms } }
}
