/**
 * Lamps made of lights: one, three of one colour each, or a ring; and a buzzer, if there is one. What they show stands in
 * patterns.ts; here it is played. Every edge is counted from the start of its pattern, so that late alarms add up to nothing;
 * there is one alarm at a time, and none while nothing changes. A light that cannot be lit is reported and tried again;
 * the others go on without it.
 */
import type { Logger } from 'pino'
import type { LampPattern, Lamps, PartReport } from '../driver.js'
import type { Board } from '../linux/gpio.js'
import type { Light, LightWire } from '../linux/led.js'
import { hold, RETRY_MS, type Held } from '../linux/held.js'
import { FLASHES_MAX, FLASHES_WITHIN_MS, isFlash, soundAt, SOUNDS, stepAt, stepsOf, type LampForm } from './patterns.js'

export interface LightLampsOptions {
  readonly shape: LampForm['shape']
  /** single: one. rgb: red, green, blue. ring: 2..16, in the order they stand. */
  readonly lights: readonly LightWire[]
  readonly buzzer?: LightWire | undefined
  readonly board: Pick<Board, 'openLight'>
  readonly report: PartReport
  readonly log: Logger
  /** Milliseconds on a clock that never goes backwards. */
  readonly now: () => number
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  readonly alarm: (at: number, ring: () => void) => () => void
}

/** They are dark until a pattern is shown. */
export function createLightLamps({ shape, lights, buzzer, board, report, log, now, alarm }: LightLampsOptions): Lamps {
  const open = (wire: LightWire): Lit => createLit(nameOf(wire), () => board.openLight(wire), play, log)
  const lamp = lights.map(open)
  const horn = buzzer === undefined ? undefined : open(buzzer)
  const all = horn === undefined ? lamp : [...lamp, horn]
  const limit = createFlashLimit(lights.length)
  let pattern: LampPattern = 'off'
  let startedAt = now()
  let retryAt = startedAt + RETRY_MS
  let callOff = (): void => undefined
  let told: string | undefined
  let closed = false

  /** Lights what belongs to this moment, and comes back when that changes. */
  function play(): void {
    if (closed) return
    const at = now()
    if (at >= retryAt) {
      for (const lit of all) lit.held.open()
      retryAt = at + RETRY_MS
    }
    const dimmable = lamp.every(({ held }) => held.line?.dimmable !== false)
    const step = stepAt(stepsOf(pattern, { shape, lights: lights.length, dimmable }), startedAt, at)
    const lit = limit(step.what, at)
    for (const [index, light] of lamp.entries()) light.set(lit.what[index] ?? 0)
    const sound = soundAt(SOUNDS[pattern], startedAt, at)
    horn?.set(sound.what ? 1 : 0)
    tell()
    const missing = all.some(({ held }) => held.line === undefined)
    comeBack(Math.min(step.until, lit.until, horn === undefined ? Infinity : sound.until, missing ? retryAt : Infinity))
  }

  function comeBack(at: number): void {
    callOff()
    callOff = Number.isFinite(at) ? alarm(at, play) : () => undefined
  }

  function tell(): void {
    const [first, ...others] = all.flatMap(({ held: { fault } }) => fault ?? [])
    const fault = first === undefined || others.length === 0 ? first : `${first} (and ${others.length} more of its lights)`
    if (fault !== told) report(fault)
    told = fault
  }

  for (const lit of all) lit.held.open()
  comeBack(retryAt)
  return {
    show(next) {
      if (next === pattern) return
      pattern = next
      startedAt = now()
      play()
    },
    close() {
      closed = true
      callOff()
      for (const lit of all) lit.held.close()
      return Promise.resolve()
    },
  }
}

const nameOf = (wire: LightWire): string => ('led' in wire ? `the light ${wire.led}` : `GPIO ${wire.pin}`)

interface Lit {
  readonly held: Held<Light>
  /** 0..1. Writes only what changes; a light that cannot be written is lost. */
  set(brightness: number): void
}

function createLit(name: string, open: () => Promise<Light>, settled: () => void, log: Logger): Lit {
  const held = hold<Light>({ name, open, settled, log })
  let written: { readonly light: Light; readonly brightness: number } | undefined
  return {
    held,
    set(brightness) {
      const light = held.line
      if (light === undefined || (light === written?.light && brightness === written.brightness)) return
      try {
        light.set(brightness)
        written = { light, brightness }
      } catch (error) {
        written = undefined
        held.lose(error)
      }
    },
  }
}

/**
 * Patterns that follow each other fast would flash faster than any of them: what would be a flash too many stays as dark as
 * it is until its time has come.
 */
function createFlashLimit(lights: number) {
  let shown: readonly number[] = Array<number>(lights).fill(0)
  let flashes: readonly number[] = []

  return (wanted: readonly number[], at: number): { readonly what: readonly number[]; readonly until: number } => {
    flashes = flashes.filter((began) => began + FLASHES_WITHIN_MS > at)
    const flash = isFlash(shown, wanted)
    const refused = flash && flashes.length >= FLASHES_MAX
    if (flash && !refused) flashes = [...flashes, at]
    const before = shown
    shown = refused ? wanted.map((brightness, index) => Math.min(brightness, before[index] ?? 0)) : wanted
    return { what: shown, until: refused ? (flashes[0] ?? at) + FLASHES_WITHIN_MS : Infinity }
  }
}
