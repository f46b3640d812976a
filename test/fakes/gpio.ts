/**
 * The header of a board in the hands of a test: what drivers do to its lines can be read, and lines can be pressed or broken.
 * Lamps of the LED class are there by their name, with their brightness as level. A line that nobody drives is pulled up: 1.
 */
import { DriverError } from '../../drivers/driver.js'
import type { Board } from '../../drivers/linux/gpio.js'

/** A BCM number, or a name in /sys/class/leds. */
export type FakePin = number | string

export interface FakeBoard {
  readonly gpio: Board
  /** As a meter would show it: 0 or 1, and 0..1 for a light of the LED class. */
  level(pin: FakePin): number
  /** The level at which it was first driven, and each one that it changed to since. */
  history(pin: FakePin): readonly number[]
  /** From outside: a button, a sensor. Tells whoever watches the line, if that is a change. */
  press(pin: FakePin, level: 0 | 1): void
  /** From now on opening and using it fails like this; undefined mends it. */
  fail(pin: FakePin, message: string | undefined): void
  /** Somebody has it open. */
  held(pin: FakePin): boolean
}

interface FakeLine {
  level: number
  held: boolean
  fault: string | undefined
  watcher: (() => void) | undefined
  readonly history: number[]
}

/** `edges: false` is a kernel on which no line can be watched. */
export function createFakeBoard({ edges = true }: { readonly edges?: boolean } = {}): FakeBoard {
  const lines = new Map<FakePin, FakeLine>()
  const lineOf = (pin: FakePin): FakeLine => {
    const line = lines.get(pin) ?? { level: 1, held: false, fault: undefined, watcher: undefined, history: [] }
    lines.set(pin, line)
    return line
  }

  /** One who holds the line: every use fails while it is broken, or once it was closed. `resting` is its level from then on. */
  const hold = (pin: FakePin, resting?: number) => {
    const line = lineOf(pin)
    let open = true
    const use = (): FakeLine => {
      if (line.fault !== undefined) throw failure(line.fault)
      if (!open) throw failure(`GPIO ${pin} is closed`)
      return line
    }
    use()
    if (line.held) throw failure(`GPIO ${pin} is taken`)
    line.held = true
    const drive = (level: number): void => {
      use()
      if (line.history.at(-1) !== level) line.history.push(level)
      line.level = level
    }
    const close = (): void => {
      if (!open) return
      try {
        if (resting !== undefined) drive(resting)
      } finally {
        line.watcher = undefined
        line.held = false
        open = false
      }
    }
    return { use, drive, close }
  }

  const openSafeOutput: Board['openSafeOutput'] = async ({ pin, activeLow }) => {
    const off = activeLow ? 1 : 0
    const { drive, close } = hold(pin, off)
    drive(off)
    return { set: (on) => drive(on === activeLow ? 0 : 1), close }
  }

  return {
    gpio: {
      openSafeOutput,
      async openInput(bcm) {
        const { use, close } = hold(bcm)
        return {
          level: () => (use().level === 0 ? 0 : 1),
          watch(changed) {
            use().watcher = edges ? changed : undefined
            return edges
          },
          close,
        }
      },
      async openOpenDrain(bcm) {
        const { drive, close } = hold(bcm, 1)
        drive(1)
        return { pullLow: () => drive(0), letGo: () => drive(1), close }
      },
      async openLight(light) {
        if ('led' in light) {
          const { drive, close } = hold(light.led, 0)
          drive(0)
          return { dimmable: true, set: drive, close }
        }
        const { set, close } = await openSafeOutput(light)
        return { dimmable: false, set: (brightness) => set(brightness > 0), close }
      },
    },
    level: (pin) => lineOf(pin).level,
    history: (pin) => lineOf(pin).history,
    press(pin, level) {
      const line = lineOf(pin)
      if (line.level === level) return
      line.level = level
      line.watcher?.()
    },
    fail(pin, message) { lineOf(pin).fault = message },
    held: (pin) => lineOf(pin).held,
  }
}

const failure = (message: string): DriverError => new DriverError('GPIO_FAILED', message)
