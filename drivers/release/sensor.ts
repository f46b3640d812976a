/**
 * The sensor that sees the goods fall or the gate open, while a release waits for it and not otherwise. Seen is an edge:
 * a sensor that is active before anything was released has seen nothing. By edges of the kernel where it has them, else
 * by looking every 10 ms; what is shorter than this program takes to look is missed, so a sensor must hold its signal.
 */
import type { Logger } from 'pino'
import { DriverError } from '../driver.js'
import type { Board, InputLine, Wire } from '../linux/gpio.js'
import { hold, messageOf } from '../linux/held.js'

export interface SensorOptions {
  readonly wire: Wire
  /** From the start on; after that nothing counts as seen. */
  readonly withinMs: number
  readonly board: Pick<Board, 'openInput'>
  /** Called when `fault` or `missing` may have changed. */
  readonly changed: () => void
  readonly log: Logger
  readonly now: () => number
  readonly alarm: (at: number, ring: () => void) => () => void
}

export interface Sensor {
  readonly name: string
  readonly fault: string | undefined
  /** Whether it is worth a look again in some seconds: it is not there, or it is jammed. */
  readonly missing: boolean
  /** Opens it when it is missing, and looks whether it is still jammed. */
  retry(): void
  /**
   * Looks from now on. Resolves when something is seen, or with the reason why nothing was; never rejects.
   * Throws a DriverError when the sensor is not there: then nothing should be released.
   */
  begin(): Promise<string | undefined>
  /** Whoever waits is told this reason. */
  end(why: string): void
  close(): void
}

const LOOK_MS = 10

interface Looking {
  readonly until: number
  readonly resolve: (unseen: string | undefined) => void
  callOff: () => void
}

export function createSensor({ wire, withinMs, board, changed, log, now, alarm }: SensorOptions): Sensor {
  const name = `GPIO ${wire.pin}`
  const held = hold<InputLine>({ name, open: openWatched, settled: changed, log })
  let hasEdges = false
  let jammed: string | undefined
  let looking: Looking | undefined

  async function openWatched(): Promise<InputLine> {
    const line = await board.openInput(wire.pin)
    try {
      hasEdges = line.watch(look)
      return line
    } catch (error) {
      line.close()
      throw error
    }
  }

  /** A line that cannot be read is lost. */
  function isActive(line: InputLine): boolean {
    try {
      const active = line.level() === (wire.activeLow ? 0 : 1)
      if (!active) setJammed(undefined)
      return active
    } catch (error) {
      held.lose(error)
      changed()
      throw error
    }
  }

  function setJammed(why: string | undefined): void {
    if (jammed === why) return
    jammed = why
    changed()
  }

  function look(): void {
    if (held.line === undefined) return
    try {
      const active = isActive(held.line)
      if (looking !== undefined && active && now() <= looking.until) end(undefined)
    } catch (error) {
      end(messageOf(error))
    }
  }

  function end(unseen: string | undefined): void {
    const ended = looking
    looking = undefined
    ended?.callOff()
    ended?.resolve(unseen)
  }

  function comeBack(mine: Looking): void {
    mine.callOff = alarm(hasEdges ? mine.until : Math.min(now() + LOOK_MS, mine.until), () => {
      look()
      if (looking !== mine) return
      if (now() >= mine.until) end(`${name} saw nothing within ${withinMs} ms of the first pulse`)
      else comeBack(mine)
    })
  }

  return {
    name,
    get fault() { return held.fault ?? jammed },
    get missing() { return held.line === undefined || jammed !== undefined },
    retry() {
      held.open()
      look()
    },
    begin() {
      if (held.line === undefined) throw new DriverError('GPIO_FAILED', held.fault ?? `${name} is not open yet`)
      if (isActive(held.line)) {
        const why = `${name} was active before anything was released: free the sensor, or correct its activeLow`
        setJammed(why)
        return Promise.resolve(why)
      }
      return new Promise((resolve) => {
        looking = { until: now() + withinMs, resolve, callOff: () => undefined }
        comeBack(looking)
      })
    },
    end,
    close() {
      end(`${name} was closed`)
      held.close()
    },
  }
}
