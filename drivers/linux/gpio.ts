/**
 * GPIO lines of the board's header by their BCM number, through the kernel's sysfs and `onoff` (loaded only when wanted).
 *
 *   BCM 17 ──chip found by label──> base 512 + 17 ──> /sys/class/gpio/gpio529
 *
 * sysfs counts lines from a base that differs by board and kernel (Pi 0 to 4: 0, then 512; Pi 5: 53, 399, 571): it is read,
 * never assumed. Whatever goes wrong is one sentence that names the line and what to do. No pull-ups and no edges here.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Gpio } from 'onoff'
import { DriverError } from '../driver.js'

export interface GpioOptions {
  /** Number of the header's first line, for a board whose chip is not known here. */
  readonly base?: number | undefined
  /** Where the kernel's GPIO files are. */
  readonly root?: string
  /** What opens a line: onoff's Gpio. */
  readonly onoff?: () => Promise<OpenGpio>
}

export type OpenGpio = new (line: number, direction: 'in' | 'high' | 'low') => Pick<Gpio, 'readSync' | 'writeSync' | 'direction' | 'unexport'>

export interface OutputLine {
  set(level: 0 | 1): void
  close(): void
}

export interface InputLine {
  level(): 0 | 1
  close(): void
}

const ROOT = '/sys/class/gpio'
const HEADER_LABELS = ['pinctrl-bcm2835', 'pinctrl-bcm2711', 'pinctrl-rp1']
/** The header's chip is the large one: expanders and power chips have 8 to 32 lines. */
const HEADER_LINES_MIN = 54
/** 0 and 1 read the EEPROM of a HAT. */
const BCM_MIN = 2

/** The line is an output at that level from the first moment. */
export async function openOutput(bcm: number, level: 0 | 1, options: GpioOptions = {}): Promise<OutputLine> {
  const { line, name } = await openLine(bcm, level === 1 ? 'high' : 'low', options)
  let closed = false
  return {
    set: (next) => { attempt(`${name} could not be driven`, () => line.writeSync(next)) },
    close() {
      if (!closed) line.unexport()
      closed = true
    },
  }
}

export async function openInput(bcm: number, options: GpioOptions = {}): Promise<InputLine> {
  const { line, name } = await openLine(bcm, 'in', options)
  let closed = false
  return {
    level: () => attempt(`${name} could not be read`, () => line.readSync()),
    close() {
      if (!closed) line.unexport()
      closed = true
    },
  }
}

/** BCM number of the header -> number in sysfs. */
export async function sysfsNumber(bcm: number, { base, root = ROOT }: GpioOptions = {}): Promise<number> {
  const chip = base === undefined ? await headerChip(root) : { base, lines: HEADER_LINES_MIN }
  if (!Number.isInteger(bcm) || bcm < BCM_MIN || bcm >= chip.lines) {
    throw failure(`there is no GPIO ${bcm} to use: ${BCM_MIN} to ${chip.lines - 1} are`)
  }
  return chip.base + bcm
}

interface Chip {
  readonly label: string
  readonly base: number
  readonly lines: number
}

async function headerChip(root: string): Promise<Chip> {
  const names = await readdir(root).catch((error: unknown) => {
    throw failure(`this machine has no GPIO: ${root} cannot be listed (${codeOf(error)})`, error)
  })
  const chips = await Promise.all(names.filter((name) => /^gpiochip[0-9]+$/.test(name)).map((name) => readChip(join(root, name))))
  if (chips.length === 0 && names.some((name) => /^chip[0-9]+$/.test(name))) {
    throw failure(`this kernel offers GPIO by chip only (${root}/chip0), without the numbers that onoff needs: use one with CONFIG_GPIO_SYSFS_LEGACY`)
  }
  const labelled = chips.filter(({ label }) => HEADER_LABELS.includes(label))
  const found = labelled.length > 0 ? labelled : largest(chips)
  const [chip, ...others] = found
  if (chip === undefined) throw failure(`none of the GPIO chips in ${root} is the header's: ${listed(chips)}; set its base`)
  if (others.length > 0) throw failure(`several GPIO chips in ${root} could be the header's: ${listed(found)}; set its base`)
  return chip
}

function largest(chips: readonly Chip[]): readonly Chip[] {
  const lines = Math.max(HEADER_LINES_MIN, ...chips.map((chip) => chip.lines))
  return chips.filter((chip) => chip.lines === lines)
}

async function readChip(folder: string): Promise<Chip> {
  const [label = '', base = '', lines = ''] = await Promise.all(['label', 'base', 'ngpio'].map(async (name) => {
    const path = join(folder, name)
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw failure(`${path} cannot be read (${codeOf(error)})`, error)
    })
    return text.trim()
  }))
  if (![base, lines].every((text) => /^[0-9]{1,9}$/.test(text))) throw failure(`${folder} has base '${base}' and ngpio '${lines}'`)
  return { label, base: Number(base), lines: Number(lines) }
}

const listed = (chips: readonly Chip[]): string =>
  chips.map(({ label, base, lines }) => `${label} (base ${base}, ${lines} lines)`).join(', ') || 'there are none'

interface OpenedLine {
  readonly line: InstanceType<OpenGpio>
  readonly name: string
}

async function openLine(bcm: number, direction: 'in' | 'high' | 'low', options: GpioOptions): Promise<OpenedLine> {
  const number = await sysfsNumber(bcm, options)
  const name = `GPIO ${bcm} (line ${number})`
  const Line = await (options.onoff ?? loadOnoff)()
  let line: InstanceType<OpenGpio> | undefined
  try {
    line = new Line(number, direction)
    // onoff is silent about a direction that cannot be set on a line which an earlier run left behind.
    if ((line.direction() === 'in') !== (direction === 'in')) throw new Error('it keeps its direction')
    return { line, name }
  } catch (error) {
    line?.unexport()
    throw failure(`${name} ${remedy(error)}`, error)
  }
}

async function loadOnoff(): Promise<OpenGpio> {
  try {
    return (await import('onoff')).Gpio
  } catch (error) {
    throw failure('the package onoff cannot be loaded: is it installed, and built for this Node?', error)
  }
}

function remedy(error: unknown): string {
  switch (codeOf(error)) {
    case 'EBUSY': return 'is taken by the kernel or another program: free it, or wire another one'
    case 'EINVAL': return 'is not a line of this kernel: the base is wrong'
    case 'EACCES':
    case 'EPERM': return 'is not permitted: the user of this program must be in the group gpio'
    case 'ENOENT': return 'cannot be opened: this kernel has no GPIO in sysfs'
    default: return `cannot be opened (${error instanceof Error ? error.message : String(error)})`
  }
}

function attempt<T>(failed: string, use: () => T): T {
  try {
    return use()
  } catch (error) {
    throw failure(`${failed} (${codeOf(error)})`, error)
  }
}

const failure = (message: string, cause?: unknown): DriverError => new DriverError('GPIO_FAILED', message, cause)

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error))
