/** What a release answers when it does not even begin. */
import { PULSES_MAX, type Delivery } from '../driver.js'

export const nothingSent = (why: string): Delivery => ({ delivery: 'unknown', why: `nothing was sent: ${why}` })

/** Why nobody can send so many pulses. */
export const wrongPulses = (pulses: number): string | undefined =>
  Number.isInteger(pulses) && pulses >= 1 && pulses <= PULSES_MAX ? undefined : `${pulses} pulses were asked for, 1 to ${PULSES_MAX} are possible`
