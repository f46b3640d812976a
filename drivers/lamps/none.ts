/** Lamps of a box that has none. */
import type { Lamps } from '../driver.js'

export const createNoLamps = (): Lamps => ({
  show: () => undefined,
  close: () => Promise.resolve(),
})
