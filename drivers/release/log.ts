/**
 * The release of a box that lets nothing out, told instead of done: for the laptop and for tests.
 * After close nothing more is said.
 */
import type { Release } from '../driver.js'
import { nothingSent, wrongPulses } from './refusal.js'

export function createLogRelease(say: (pulses: number) => void): Release {
  let closed = false

  return {
    release(pulses) {
      const refused = closed ? 'the release is closed' : wrongPulses(pulses)
      if (refused !== undefined) return Promise.resolve(nothingSent(refused))
      say(pulses)
      return Promise.resolve({ delivery: 'released' })
    },
    close() {
      closed = true
      return Promise.resolve()
    },
  }
}
