/**
 * Lets goods out by pulses on one line: one for a relay, or several, as coins would give them.
 *
 *   safe ___|~~~~~~~|________|~~~~~~~|________    at least widthMs high, at least gapMs low, also between two releases
 *
 * The line is safe at the start, at the end and after anything that goes wrong. A pulse is never sent again: what cannot be
 * known is answered as unknown. A sensor, if there is one, decides whether anything came out.
 */
import type { Logger } from 'pino'
import { DriverError, type Delivery, type PartReport, type Release } from '../driver.js'
import { hold, messageOf, RETRY_MS } from '../linux/held.js'
import type { Board, SwitchedOutput, Wire } from '../linux/gpio.js'
import { nothingSent, wrongPulses } from './refusal.js'
import { createSensor } from './sensor.js'

export interface PulseReleaseOptions {
  readonly output: Wire
  /** 10..10000 */
  readonly widthMs: number
  /** 10..10000 */
  readonly gapMs: number
  /** A sensor, and how long after the start of the first pulse it may take: 100..60000. */
  readonly feedback?: (Wire & { readonly withinMs: number }) | undefined
  readonly board: Pick<Board, 'openSafeOutput' | 'openInput'>
  readonly report: PartReport
  readonly log: Logger
  /** Milliseconds on a clock that never goes backwards. */
  readonly now: () => number
  /** Calls once, no earlier than `at`; the returned function calls it off. */
  readonly alarm: (at: number, ring: () => void) => () => void
}

/** A pulse that lasts longer than so many of its widths may have been taken for something else. */
const OVERLONG = 3

export function createPulseRelease(options: PulseReleaseOptions): Release {
  const { output, widthMs, gapMs, feedback, board, report, log, now, alarm } = options
  const relay = hold<SwitchedOutput>({ name: `GPIO ${output.pin}`, open: openSafe, settled: lookAfter, log })
  const sensor = feedback === undefined ? undefined
    : createSensor({ wire: feedback, withinMs: feedback.withinMs, board, changed: lookAfter, log, now, alarm })
  let safeSince = -Infinity
  let told: string | undefined
  let callOffRetry: (() => void) | undefined
  let wake: (() => void) | undefined
  let running: Promise<Delivery> | undefined
  let closed = false

  async function openSafe(): Promise<SwitchedOutput> {
    const line = await board.openSafeOutput(output)
    safeSince = now() // Whatever a run before this one left on it ends here: that, too, was a pulse.
    return line
  }

  /** Says what is missing, and comes back for it. */
  function lookAfter(): void {
    if (closed) return
    const fault = relay.fault ?? sensor?.fault
    if (fault !== told) {
      told = fault
      report(fault)
    }
    if (relay.line !== undefined && sensor?.missing !== true) {
      callOffRetry?.()
      callOffRetry = undefined
      return
    }
    callOffRetry ??= alarm(now() + RETRY_MS, () => {
      callOffRetry = undefined
      relay.open()
      sensor?.retry()
      lookAfter()
    })
  }

  /** `close` ends it early. */
  async function waitUntil(at: number): Promise<void> {
    if (at <= now()) return
    await new Promise<void>((resolve) => {
      const callOff = alarm(at, resolve)
      wake = () => {
        callOff()
        resolve()
      }
    })
  }

  function drive(line: SwitchedOutput, on: boolean): void {
    if (closed) throw new DriverError('GPIO_FAILED', 'the release was closed')
    try {
      line.set(on)
    } catch (error) {
      relay.lose(error) // Closing switches it off, or tries to.
      lookAfter()
      throw error
    }
  }

  /** How long the pulse lasted at most, in milliseconds. */
  async function sendPulse(line: SwitchedOutput): Promise<number> {
    const before = now()
    drive(line, true)
    await waitUntil(now() + widthMs)
    drive(line, false)
    safeSince = now()
    return safeSince - before
  }

  async function send(line: SwitchedOutput, pulses: number): Promise<Delivery> {
    let begun = 0
    let seeing: Promise<string | undefined> | undefined
    let tooLong: string | undefined
    try {
      while (begun < pulses) {
        await waitUntil(safeSince + gapMs)
        if (begun === 0) seeing = sensor?.begin()
        begun++
        const lastedMs = await sendPulse(line)
        if (lastedMs > OVERLONG * widthMs) tooLong ??= `pulse ${begun} of ${pulses} lasted ${Math.ceil(lastedMs)} ms instead of ${widthMs} ms`
      }
    } catch (error) {
      sensor?.end('the release has failed')
      const why = messageOf(error)
      return begun === 0 ? nothingSent(why) : { delivery: 'unknown', why: `pulse ${begun} of ${pulses} failed: ${why}` }
    }
    const unseen = await seeing
    if (tooLong !== undefined) log.warn({ pin: output.pin, tooLong }, 'release pulse was too long')
    if (seeing !== undefined && unseen === undefined) return { delivery: 'delivered' }
    const doubt = unseen ?? tooLong
    return doubt === undefined ? { delivery: 'released' } : { delivery: 'unknown', why: doubt }
  }

  relay.open()
  sensor?.retry()
  lookAfter()
  return {
    release(pulses) {
      const refused = closed ? 'the release is closed' : running !== undefined ? 'another release is under way' : wrongPulses(pulses)
      if (refused !== undefined) return Promise.resolve(nothingSent(refused))
      if (relay.line === undefined) return Promise.resolve(nothingSent(relay.fault ?? `GPIO ${output.pin} is not open yet`))
      running = send(relay.line, pulses).finally(() => { running = undefined })
      return running
    },
    async close() {
      closed = true
      callOffRetry?.()
      relay.close()
      sensor?.close()
      wake?.()
      await running
    },
  }
}
