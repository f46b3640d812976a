/**
 * Which GPIO chip the header of this board is on, as this kernel says it.
 *
 *   /sys/class/gpio/gpiochip512/{label,base,ngpio}   lines of all chips are counted through, from a base for each
 *   /sys/class/gpio/chip0/{label,ngpio}              kernels from 6.17, which may have nothing but this (no GPIO_SYSFS_LEGACY)
 *
 * The base differs by board and kernel (a Pi 4: 0, 458, 512; a Pi 5: 53, 399, 571) and so does the number in the name of a
 * folder: the chip is found by its label, and its base is read.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, gpioFailure } from './gpio-line.js'

export interface ChipOptions {
  /** Number of the header's first line, for a kernel on which it cannot be found; nothing is looked up then. */
  readonly base?: number | undefined
  /** Label of the header's chip, for a board that is not a Raspberry Pi. */
  readonly chip?: string | undefined
  /** Where the kernel's GPIO files are. */
  readonly root?: string
}

export interface Chip {
  readonly label: string
  /** How many lines it has. */
  readonly lines: number
  /** Number of its first line; undefined where lines have no numbers, and are taken from the folder. */
  readonly base: number | undefined
  readonly folder: string
}

export const GPIO_ROOT = '/sys/class/gpio'
const HEADER_LABELS = ['pinctrl-bcm2835', 'pinctrl-bcm2711', 'pinctrl-rp1']
/** The header's chip is the large one: expanders and power chips have 8 to 32 lines. */
const HEADER_LINES_MIN = 54
/** 0 and 1 read the EEPROM of a HAT. */
const BCM_MIN = 2

/** Rejects with GPIO_FAILED when there is none, or more than one that it could be. */
export async function headerChip({ base, chip, root = GPIO_ROOT }: ChipOptions = {}): Promise<Chip> {
  if (base !== undefined) return { label: 'configured', lines: HEADER_LINES_MIN, base, folder: root }
  const chips = await chipsIn(root)
  const labels = chip === undefined ? HEADER_LABELS : [chip]
  const labelled = chips.filter(({ label }) => labels.includes(label))
  const found = labelled.length > 0 || chip !== undefined ? labelled : largest(chips)
  const [only, ...others] = found
  const whose = chip === undefined ? 'the header\'s' : `labelled ${chip}`
  if (only === undefined) throw gpioFailure(`none of the GPIO chips in ${root} is ${whose}: ${listed(chips)}; set gpio.chip of the profile`)
  if (others.length > 0) {
    const set = chip === undefined ? 'gpio.chip or gpio.base' : 'gpio.base'
    throw gpioFailure(`several GPIO chips in ${root} could be ${whose}: ${listed(found)}; set ${set} of the profile`)
  }
  return only
}

/** A number of the header, and whether it may be used; throws GPIO_FAILED otherwise. */
export function refuseForeignLine(bcm: number, { lines }: Chip): void {
  if (Number.isInteger(bcm) && bcm >= BCM_MIN && bcm < lines) return
  throw gpioFailure(`there is no GPIO ${bcm} to use: ${BCM_MIN} to ${lines - 1} are`)
}

async function chipsIn(root: string): Promise<readonly Chip[]> {
  const names = await readdir(root).catch((error: unknown) => {
    throw gpioFailure(`this machine has no GPIO: ${root} cannot be listed (${codeOf(error)})`, error)
  })
  // Where a kernel has both, numbered lines are better: they tell of edges, and udev can give them to a group.
  const numbered = names.filter((name) => /^gpiochip[0-9]+$/.test(name))
  const folders = numbered.length > 0 ? numbered : names.filter((name) => /^chip[0-9]+$/.test(name))
  if (folders.length === 0) throw gpioFailure(`this machine has no GPIO: there is no chip in ${root}`)
  return Promise.all(folders.map((name) => readChip(join(root, name), numbered.length > 0)))
}

async function readChip(folder: string, numbered: boolean): Promise<Chip> {
  const read = async (name: string): Promise<string> => {
    const path = join(folder, name)
    const text = await readFile(path, 'utf8').catch((error: unknown) => {
      throw gpioFailure(`${path} cannot be read (${codeOf(error)})`, error)
    })
    return text.trim()
  }
  const readNumber = async (name: string): Promise<number> => {
    const text = await read(name)
    if (!/^[0-9]{1,9}$/.test(text)) throw gpioFailure(`${join(folder, name)} is '${text}', which is no number`)
    return Number(text)
  }
  return {
    label: await read('label'), lines: await readNumber('ngpio'), base: numbered ? await readNumber('base') : undefined, folder,
  }
}

function largest(chips: readonly Chip[]): readonly Chip[] {
  const lines = Math.max(HEADER_LINES_MIN, ...chips.map((chip) => chip.lines))
  return chips.filter((chip) => chip.lines === lines)
}

const listed = (chips: readonly Chip[]): string => chips
  .map(({ label, base, lines }) => `${label} (${base === undefined ? '' : `base ${base}, `}${lines} lines)`).join(', ')
