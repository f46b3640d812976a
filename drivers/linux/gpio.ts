/**
 * Lines of the board's header by their BCM number, through the kernel's sysfs.
 *
 *   BCM 17 ──chip found by label──> base 512 + 17 ──onoff──> /sys/class/gpio/gpio529         (gpio-chip.ts, gpio-onoff.ts)
 *                                └> a chip without base ───> /sys/class/gpio/chip0/gpio17    (gpio-by-chip.ts)
 *
 * Whatever goes wrong is one sentence that names the line and what to do. Not from here: what a line is before this program
 * runs. An input's pull, and an output's level from power on, are the firmware's, by lines in config.txt:
 *
 *   gpio=5,6,13,19=ip,pu   inputs, pulled up: buttons to ground, the rows of a matrix (or resistors of 10 k)
 *   gpio=17=op,dl          an output that is low from power on: a relay that is on at high; dh for one that is on at low
 *
 * An output stays as it is when the program is killed. So each is driven to off the moment it is opened again, before the
 * kernel hears anything else of it, and `plinth safe` does that at once after a crash (driveSafe in led.ts).
 */
import { type ChipOptions, headerChip, refuseForeignLine } from './gpio-chip.js'
import { openByOffset } from './gpio-by-chip.js'
import { codeOf, type Direction, gpioFailure, type Line } from './gpio-line.js'
import { loadOnoff, openByNumber, type OpenGpio } from './gpio-onoff.js'
import type { Light, LightOptions, LightWire } from './led.js'

export interface GpioOptions extends ChipOptions {
  /** What opens a line by number: onoff's Gpio. */
  readonly onoff?: () => Promise<OpenGpio>
}

/** Lines that are closed, or that fail, throw GPIO_FAILED; they may be closed twice. */
export interface OutputLine {
  set(level: 0 | 1): void
  /** Leaves it at its level, as far as the kernel keeps one. */
  close(): void
}

export interface InputLine {
  level(): 0 | 1
  /**
   * `changed` is called after the level has changed, as far as the kernel tells: once for several changes at times, now and
   * then for none. It must not throw, and `level` may, when the chip is lost. Read the level once after this has returned.
   * False: no edges on this kernel; whoever needs them looks now and then. One watcher, the last.
   */
  watch(changed: () => void): boolean
  close(): void
}

/**
 * A line that is pulled low or let go (an input), never driven high: a column of a key matrix, where two driven lines could
 * meet through two pressed keys. Let go when it is opened and when it is closed.
 */
export interface OpenDrainLine {
  pullLow(): void
  letGo(): void
  close(): void
}

/** An output that is off from the first moment, when it is closed, and (with `plinth safe` after a crash) whenever nobody holds it. */
export interface SwitchedOutput {
  set(on: boolean): void
  /** Off, and given back. Throws when it could not be driven to off, and has given it back nevertheless. */
  close(): void
}

export interface Wire {
  /** BCM number. */
  readonly pin: number
  /** On is the low level. */
  readonly activeLow: boolean
}

/** What drivers take of a board: its header, and its lights. */
export interface Board {
  openInput(bcm: number): Promise<InputLine>
  openOpenDrain(bcm: number): Promise<OpenDrainLine>
  openSafeOutput(wire: Wire): Promise<SwitchedOutput>
  openLight(light: LightWire): Promise<Light>
}

export function boardOf(options: LightOptions = {}): Board {
  return {
    openInput: (bcm) => openInput(bcm, options),
    openOpenDrain: (bcm) => openOpenDrain(bcm, options),
    openSafeOutput: (wire) => openSafeOutput(wire, options),
    openLight: async (light) => (await import('./led.js')).openLight(light, options),
  }
}

/** An output at that level from the first moment. */
export async function openOutput(bcm: number, level: 0 | 1, options: GpioOptions = {}): Promise<OutputLine> {
  const line = await holdLine(bcm, level === 1 ? 'high' : 'low', options)
  return { set: (next) => line.write(next), close: () => line.close() }
}

export async function openSafeOutput({ pin, activeLow }: Wire, options: GpioOptions = {}): Promise<SwitchedOutput> {
  const off = activeLow ? 1 : 0
  const on = activeLow ? 0 : 1
  const line = await holdLine(pin, activeLow ? 'high' : 'low', options)
  return {
    set: (wanted) => line.write(wanted ? on : off),
    close: () => line.close((held) => held.write(off)),
  }
}

export async function openInput(bcm: number, options: GpioOptions = {}): Promise<InputLine> {
  const line = await holdLine(bcm, 'in', options)
  return { level: () => line.read(), watch: (changed) => line.watch(changed), close: () => line.close() }
}

export async function openOpenDrain(bcm: number, options: GpioOptions = {}): Promise<OpenDrainLine> {
  const line = await holdLine(bcm, 'in', options)
  return {
    pullLow: () => line.turn('low'),
    letGo: () => line.turn('in'),
    close: () => line.close((held) => held.turn('in')),
  }
}

/** A line with its name, so that failures are told by it; and not used once it is closed: its file may be another's by then. */
interface HeldLine extends Omit<Line, 'release'> {
  /** `last` is what is done with it before it is given back. */
  close(last?: (line: Line) => void): void
}

async function holdLine(bcm: number, direction: Direction, options: GpioOptions): Promise<HeldLine> {
  const { line, name } = await openLine(bcm, direction, options)
  let closed = false
  const attempt = <T>(what: string, use: () => T): T => {
    if (closed) throw gpioFailure(`${name} could not be ${what}: it is closed`)
    try {
      return use()
    } catch (error) {
      throw gpioFailure(`${name} could not be ${what} (${codeOf(error)})`, error)
    }
  }
  return {
    turn: (to) => attempt('driven', () => line.turn(to)),
    read: () => attempt('read', () => line.read()),
    write: (level) => attempt('driven', () => line.write(level)),
    watch: (changed) => attempt('watched', () => line.watch(changed)),
    close(last = () => undefined) {
      if (closed) return
      try {
        attempt('driven to its last level', () => last(line))
      } finally {
        closed = true
        line.release()
      }
    },
  }
}

async function openLine(bcm: number, direction: Direction, options: GpioOptions): Promise<{ line: Line, name: string }> {
  const chip = await headerChip(options)
  refuseForeignLine(bcm, chip)
  if (chip.base === undefined) {
    const name = `GPIO ${bcm} (of ${chip.label})`
    return { name, line: opened(name, () => openByOffset(chip.folder, bcm, direction), ROOT_ONLY) }
  }
  const number = chip.base + bcm
  const name = `GPIO ${bcm} (line ${number})`
  const Gpio = await (options.onoff ?? loadOnoff)()
  const invalid = options.base === undefined ? KEPT_BY_KERNEL : `is not a line of this kernel: gpio.base ${options.base} of the profile is wrong`
  return { name, line: opened(name, () => openByNumber(Gpio, number, direction), GROUP_ONLY, invalid) }
}

const GROUP_ONLY = 'is not permitted: the user of this program must be in the group gpio (just after boot, udev may not have given it the line yet)'
const ROOT_ONLY = 'is not permitted: this kernel gives new lines to root alone, so root must export it and give its files to the group gpio first'
const KEPT_BY_KERNEL = 'is not given out by this kernel: wire another one'

function opened(name: string, open: () => Line, notPermitted: string, invalid = KEPT_BY_KERNEL): Line {
  try {
    return open()
  } catch (error) {
    throw gpioFailure(`${name} ${remedy(error, notPermitted, invalid)}`, error)
  }
}

function remedy(error: unknown, notPermitted: string, invalid: string): string {
  switch (codeOf(error)) {
    case 'EBUSY': return 'is taken by the kernel (an overlay of config.txt) or by another program: free it, or wire another one'
    case 'EINVAL': return invalid
    case 'EACCES':
    case 'EPERM': return notPermitted
    case 'ENOENT': return 'cannot be opened: this kernel has no such line in sysfs'
    default: return `cannot be opened (${error instanceof Error ? error.message : String(error)})`
  }
}
