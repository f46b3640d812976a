/** The kernel's side of GPIO in a test: the files that describe its chips, and lines that behave as they do through onoff. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { Direction } from '../../../drivers/linux/gpio-line.js'
import type { OpenGpio } from '../../../drivers/linux/gpio-onoff.js'

export interface ChipFiles {
  readonly name: string
  readonly label: string
  /** Chips of kernels that count by chip have none. */
  readonly base?: number
  readonly lines: number
}

const trees: string[] = []
afterEach(async () => {
  for (const tree of trees.splice(0)) await rm(tree, { recursive: true, force: true })
})

export async function emptyTree(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'plinth-gpio-'))
  trees.push(root)
  return root
}

/** The files a kernel would offer for these chips. */
export async function sysfs(...chips: readonly ChipFiles[]): Promise<string> {
  const root = await emptyTree()
  await writeFile(join(root, 'export'), '')
  for (const { name, label, base, lines } of chips) {
    await mkdir(join(root, name))
    await writeFile(join(root, name, 'label'), `${label}\n`)
    await writeFile(join(root, name, 'ngpio'), `${lines}\n`)
    if (base !== undefined) await writeFile(join(root, name, 'base'), `${base}\n`)
  }
  return root
}

export const errno = (code: string): Error => Object.assign(new Error(`${code}: something`), { code })

export interface KernelLine {
  exported: boolean
  direction: 'in' | 'out'
  level: 0 | 1
  activeLow: boolean
  edge: 'none' | 'both'
  /** What a meter on the wire saw: 'in' for an input, or the level that it was driven to; only changes. */
  readonly seen: (0 | 1 | 'in')[]
  /** What fails, and how; a word such as 'direction' is a file of the line, 'export' that of the class. */
  readonly faults: Map<'export' | 'direction' | 'active_low' | 'edge' | 'value', Error>
}

export interface GpioKernel {
  readonly onoff: () => Promise<OpenGpio>
  line(number: number): KernelLine
  /** From outside, on an input: whoever polls the line is woken. */
  pull(number: number, level: 0 | 1): void
  /** What a process that is killed leaves: everything stays as it is, and nobody polls. */
  kill(): void
}

/** Lines as onoff 6.0.3 offers them, with what it swallows, and what the kernel refuses. */
export function createGpioKernel(): GpioKernel {
  const lines = new Map<number, KernelLine>()
  const woken = new Map<number, () => void>()
  const lineAt = (number: number): KernelLine => {
    const line = lines.get(number) ?? { exported: false, direction: 'in', level: 0, activeLow: false, edge: 'none', seen: [], faults: new Map() }
    lines.set(number, line)
    return line
  }
  const refuse = (line: KernelLine, file: Parameters<KernelLine['faults']['get']>[0]): void => {
    const fault = line.faults.get(file)
    if (fault !== undefined) throw fault
  }

  const Gpio: OpenGpio = class {
    readonly #number: number
    readonly #line: KernelLine
    #open = true
    #listeners: ((error: undefined, level: 0 | 1) => void)[] = []

    constructor(number: number, direction: Direction) {
      this.#number = number
      this.#line = lineAt(number)
      const left = this.#line.exported
      if (!left) refuse(this.#line, 'export')
      this.#line.exported = true
      refuse(this.#line, 'value')
      if (!left) for (const file of ['direction', 'active_low'] as const) refuse(this.#line, file)
      try {
        this.setDirection(direction)
      } catch (error) {
        if (!left) throw error
      }
    }

    setDirection(direction: Direction) {
      refuse(this.#line, 'direction')
      if (direction !== 'in' && this.#line.edge !== 'none') throw errno('EIO')
      this.#line.direction = direction === 'in' ? 'in' : 'out'
      if (direction !== 'in') this.#line.level = direction === 'high' ? 1 : 0
      this.#meter()
    }

    setActiveLow(activeLow: boolean) {
      refuse(this.#line, 'active_low')
      this.#line.activeLow = activeLow
    }

    setEdge(edge: string) {
      refuse(this.#line, 'edge')
      this.#line.edge = edge === 'both' ? 'both' : 'none'
    }

    readSync() {
      this.#use()
      return this.#line.activeLow ? inverse(this.#line.level) : this.#line.level
    }

    writeSync(level: 0 | 1) {
      this.#use()
      if (this.#line.direction === 'in') throw errno('EPERM')
      this.#line.level = this.#line.activeLow ? inverse(level) : level
      this.#meter()
    }

    watch(changed: (error: undefined, level: 0 | 1) => void) {
      this.#listeners.push(changed)
      woken.set(this.#number, () => {
        const level = this.readSync()
        if (this.#line.edge === 'both') for (const listener of [...this.#listeners]) listener(undefined, level)
      })
    }

    unwatchAll() {
      this.#listeners = []
      woken.delete(this.#number)
    }

    unexport() {
      this.unwatchAll()
      this.#open = false
      Object.assign(this.#line, { exported: false, activeLow: false, edge: 'none' })
    }

    #use() {
      if (!this.#open) throw errno('EBADF')
      refuse(this.#line, 'value')
    }

    #meter() {
      const seen = this.#line.direction === 'in' ? 'in' : this.#line.level
      if (this.#line.seen.at(-1) !== seen) this.#line.seen.push(seen)
    }
  }

  return {
    onoff: () => Promise.resolve(Gpio),
    line: lineAt,
    pull(number, level) {
      lineAt(number).level = level
      woken.get(number)?.()
    },
    kill: () => woken.clear(),
  }
}

const inverse = (level: 0 | 1): 0 | 1 => (level === 0 ? 1 : 0)
