/**
 * Time for a panel on a box, beside the alarm that the program has already. Short pauses block: setTimeout may come late
 * by several milliseconds, and some boards take a reset that is held longer for being switched off.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PanelClock } from '../panel/eink-chip.js'

/** Nothing else of this process runs meanwhile. */
const BLOCK_MS_MAX = 5
const nobody = new Int32Array(new SharedArrayBuffer(4))

export function panelClock({ now, alarm }: Required<Pick<PanelClock, 'now' | 'alarm'>>): PanelClock {
  return {
    now,
    alarm,
    async pause(ms) {
      if (ms <= BLOCK_MS_MAX) Atomics.wait(nobody, 0, 0, ms)
      else await sleep(ms)
    },
  }
}
