/** A release in the hands of a test: it counts what it lets out, and answers when it is told to. */
import type { Delivery, Release } from '../../drivers/driver.js'
import { nothingSent, wrongPulses } from '../../drivers/release/refusal.js'

export interface FakeRelease extends Release {
  /** What it was asked for, oldest first. */
  readonly asked: readonly number[]
  /** Pulses that went out. */
  sent(): number
  /** From now on nobody hears how it went, until `answer`. */
  hold(): void
  answer(delivery: Delivery): void
}

/** `onRelease` hears of each request the moment it is made. */
export function createFakeRelease(onRelease: (pulses: number) => void = () => undefined): FakeRelease {
  const asked: number[] = []
  let sent = 0
  let isHeld = false
  let closed = false
  let waiting: ((delivery: Delivery) => void)[] = []

  function answer(delivery: Delivery): void {
    const all = waiting
    waiting = []
    for (const tell of all) tell(delivery)
  }

  return {
    asked,
    sent: () => sent,
    hold() { isHeld = true },
    answer,
    release(pulses) {
      const refused = closed ? 'the release is closed' : wrongPulses(pulses)
      if (refused !== undefined) return Promise.resolve(nothingSent(refused))
      onRelease(pulses)
      asked.push(pulses)
      sent += pulses
      return isHeld ? new Promise((resolve) => { waiting.push(resolve) }) : Promise.resolve({ delivery: 'released' })
    },
    close() {
      closed = true
      answer({ delivery: 'unknown', why: 'the release was closed' })
      return Promise.resolve()
    },
  }
}
