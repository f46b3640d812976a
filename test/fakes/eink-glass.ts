/**
 * The smallest e-ink panel there is: a chip of six commands, the wires to it, and a glass to look at. It keeps time on a
 * virtual clock, refuses nothing, and notes what a real controller would not forgive.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { DriverError, type Frame, type PanelSize, strideBytes } from '../../drivers/driver.js'
import type { EinkChip, EinkModel, NativePicture, PanelBus, PanelClock, Step } from '../../drivers/panel/eink-chip.js'
import { createFakeClock } from './clock.js'

export interface GlassClock extends PanelClock {
  alarm(at: number, ring: () => void): () => void
  waiting(): number
  /** Lets that much time pass, and everything happen that happens in it. */
  pass(ms: number): Promise<void>
}

export function createGlassClock(): GlassClock {
  const fake = createFakeClock(0)
  const alarms = new Set<number>()
  const alarm = (at: number, ring: () => void): (() => void) => {
    const time = Math.max(at, fake.now())
    alarms.add(time)
    return fake.alarm(time, ring)
  }
  return {
    now: fake.now,
    alarm,
    waiting: fake.waiting,
    pause: (ms) => new Promise((resolve) => { alarm(fake.now() + ms, resolve) }),
    async pass(ms) {
      const until = fake.now() + ms
      for (;;) {
        await turn()
        const next = Math.min(...alarms)
        if (next > until) break
        alarms.delete(next)
        fake.advance(next - fake.now())
      }
      fake.advance(until - fake.now())
      await turn()
    },
  }
}

/** Time passes by being waited for; nothing happens in between. */
export function createHastyClock(): PanelClock {
  let now = 0
  return {
    now: () => now,
    pause: (ms) => {
      now += ms
      return Promise.resolve()
    },
  }
}

const SOFT_RESET = 0x12
const SLEEP = 0x10
const WINDOW = 0x44
const PICTURE = 0x24
const REFRESH = 0x20
const PROBE = 0x22

export type Way = 'full' | 'fast' | 'partial'
const CODES: Readonly<Record<Way, number>> = { full: 0xf7, fast: 0xc7, partial: 0xfc }
export const REFRESH_MS: Readonly<Record<Way, number>> = { full: 4_000, fast: 1_500, partial: 400 }

export interface ToyModelOptions {
  readonly size: PanelSize
  readonly partial?: boolean
  readonly fast?: boolean
  readonly remembersAsleep?: boolean
  readonly busyLevel?: 0 | 1
}

const command = (number: number, ...data: readonly number[]): Step => ({ step: 'command', command: number, data: Uint8Array.from(data) })
const refresh = (way: Way): readonly Step[] =>
  [command(REFRESH, CODES[way]), { step: 'await idle', withinMs: 2 * REFRESH_MS[way], what: `${way} refresh` }]
const whole = (way: Way) => ({ bits }: NativePicture): readonly Step[] => [command(PICTURE, ...bits), ...refresh(way)]

export function toyModel(options: ToyModelOptions): EinkModel {
  const { size, partial = true, fast = true, remembersAsleep = false, busyLevel = 1 } = options
  const chip: EinkChip = {
    busyLevel,
    partial,
    remembersAsleep,
    wake: () => [
      { step: 'reset', lowMs: 2, afterMs: 20 }, command(SOFT_RESET), { step: 'pause', ms: 10 },
      { step: 'await idle', withinMs: 500, what: 'waking' },
    ],
    full: whole('full'),
    ...fast ? { fast: whole('fast') } : {},
    partialRefresh(old, { bits }, { x, y, widthPx, heightPx }) {
      const stride = strideBytes(old.widthPx)
      const rows = Array.from({ length: heightPx }, (_, row) => {
        const start = (y + row) * stride + x / 8
        return [...bits.slice(start, start + widthPx / 8)]
      })
      return [command(WINDOW, x / 8, y >> 8, y & 0xff, widthPx / 8, heightPx >> 8, heightPx & 0xff),
        command(PICTURE, ...rows.flat()), ...refresh('partial')]
    },
    probe: () => [command(PROBE), { step: 'await idle', withinMs: 500, what: 'high voltage' }],
    sleep: () => [command(SLEEP, 1)],
  }
  const native = { widthPx: strideBytes(size.widthPx) * 8, heightPx: size.heightPx }
  return { name: 'toy-glass', title: 'Toy glass', chip, native, visibleWidthPx: size.widthPx, pitchMm: size.pitchMm, fullMs: REFRESH_MS.full }
}

export interface Refreshed {
  readonly way: Way
  readonly at: number
  /** Bytes of picture that were sent for it. */
  readonly bytes: number
}

export interface ToyGlass extends PanelBus {
  /** Every refresh that was driven to its end or is on its way, oldest first. */
  readonly refreshed: readonly Refreshed[]
  /** What a real controller would not forgive. */
  readonly violations: readonly string[]
  /** What a person sees, as the panel stands at rotation 0. */
  visible(): Frame
  isAsleep(): boolean
  isClosed(): boolean
  resets(): number
  /** Pulls or plugs the cable: BUSY idles, commands go nowhere. */
  connect(connected: boolean): void
  /** BUSY stays where it is when the controller works. */
  stick(stuck: boolean): void
  /** How many of the next commands fail on the wire. */
  failNext(count: number, failure?: Error): void
}

export function createToyGlass({ chip, native, visibleWidthPx }: EinkModel, clock: PanelClock): ToyGlass {
  const stride = strideBytes(native.widthPx)
  const seen = new Uint8Array(stride * native.heightPx).fill(0xa5) // Whatever stood there when power went.
  const refreshed: Refreshed[] = []
  const violations: string[] = []
  let memory = seen.slice()
  let window = { column: 0, y: 0, columns: stride, heightPx: native.heightPx }
  let sent = 0
  let busyUntil = 0
  let held = false
  let asleep = true
  /** A full picture since power or sleep. */
  let based = false
  let resets = 0
  let closed = false
  let connected = true
  let stuck = false
  let failures: readonly Error[] = []

  const works = (): boolean => clock.now() < busyUntil || stuck

  function wholeWindow(): void {
    window = { column: 0, y: 0, columns: stride, heightPx: native.heightPx }
  }

  function store(data: Uint8Array): void {
    if (data.length !== window.columns * window.heightPx) violations.push(`${data.length} bytes for a window of ${window.columns}x${window.heightPx}`)
    data.forEach((byte, at) => {
      memory[(window.y + Math.floor(at / window.columns)) * stride + window.column + at % window.columns] = byte
    })
    sent = data.length
    wholeWindow()
  }

  function drive(code: number): void {
    const way = (Object.keys(CODES) as Way[]).find((one) => CODES[one] === code)
    if (way === undefined) return void violations.push(`refresh ${code}`)
    if (way === 'partial' && !based) violations.push('a partial refresh of nobody knows what')
    refreshed.push({ way, at: clock.now(), bytes: sent })
    busyUntil = clock.now() + REFRESH_MS[way]
    based = true
    seen.set(memory)
  }

  function obey(number: number, data: Uint8Array): void {
    if (number === SOFT_RESET) busyUntil = clock.now() + 8
    if (number === PROBE) busyUntil = clock.now() + 100
    if (number === WINDOW) {
      const [column = 0, yHigh = 0, yLow = 0, columns = 0, heightHigh = 0, heightLow = 0] = data
      window = { column, y: yHigh * 256 + yLow, columns, heightPx: heightHigh * 256 + heightLow }
    }
    if (number === PICTURE) store(data)
    if (number === REFRESH) drive(data[0] ?? 0)
    if (number === SLEEP) {
      asleep = true
      if (chip.remembersAsleep !== true) {
        based = false
        memory = memory.map(() => 0x5a)
      }
    }
  }

  return {
    refreshed,
    violations,
    visible() {
      const frame = { widthPx: visibleWidthPx, heightPx: native.heightPx, bits: new Uint8Array(strideBytes(visibleWidthPx) * native.heightPx) }
      frame.bits.forEach((_, at) => {
        const columns = strideBytes(visibleWidthPx)
        frame.bits[at] = ~(seen[Math.floor(at / columns) * stride + at % columns] ?? 0) & 0xff
      })
      return frame
    },
    isAsleep: () => asleep,
    isClosed: () => closed,
    resets: () => resets,
    connect(now) { connected = now },
    stick(now) { stuck = now },
    failNext(count, failure = new DriverError('PANEL_WRITE_FAILED', 'SPI says EIO')) { failures = Array.from({ length: count }, () => failure) },
    hold(now) {
      if (held && !now && connected) {
        resets++
        asleep = false
        busyUntil = 0
        wholeWindow()
      }
      held = now
      return Promise.resolve()
    },
    command(number, data = new Uint8Array()) {
      const [failure, ...rest] = failures
      failures = rest
      if (failure !== undefined) return Promise.reject(failure)
      if (closed) violations.push('a command on closed wires')
      if (!connected) return Promise.resolve()
      if (works()) violations.push(`command ${number} while BUSY`)
      if (asleep) violations.push(`command ${number} while asleep`)
      else obey(number, data)
      return Promise.resolve()
    },
    busy() {
      const working = connected && works()
      return Promise.resolve(working === (chip.busyLevel === 1) ? 1 : 0)
    },
    close() {
      closed = true
      return Promise.resolve()
    },
  }
}
