/** One line of a GPIO chip as a back end holds it (onoff, or the files of its chip), and how its failures are told. */
import { DriverError } from '../driver.js'

/** What a line is turned into: an input, or an output that has its level from the first moment. */
export type Direction = 'in' | 'high' | 'low'

/** Whatever fails throws as the kernel said it; the one who opened the line knows its name. */
export interface Line {
  turn(direction: Direction): void
  read(): 0 | 1
  write(level: 0 | 1): void
  /** False: this kernel tells nothing of this line. */
  watch(changed: () => void): boolean
  /** Gives it back to the kernel, as it stands. */
  release(): void
}

export const gpioFailure = (message: string, cause?: unknown): DriverError => new DriverError('GPIO_FAILED', message, cause)

/** ENOENT and its like; the whole error where it has no code. */
export const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error))
