/**
 * What every panel promises of pictures that come faster than it draws: one waits, the newest, in a copy of its own; who
 * asked for an overtaken one is answered with it. It draws nothing itself.
 */
import { type Frame, REFRESHES, type Refresh } from '../driver.js'

export interface Waiting {
  readonly frame: Frame
  readonly refresh: Refresh
  /** Ends as this picture does, for everyone who asked for it or was overtaken by it. */
  readonly ended: Promise<void>
  readonly settle: (error?: unknown) => void
}

/** A picture that is overtaken leaves its wish behind: what it was to wipe away is still to be seen. */
export function overtake(waiting: Waiting | undefined, { widthPx, heightPx, bits }: Frame, refresh: Refresh): Waiting {
  const frame: Frame = { widthPx, heightPx, bits: new Uint8Array(bits) } // A copy; a Buffer's slice would not be one.
  if (waiting !== undefined) return { ...waiting, frame, refresh: moreThorough(waiting.refresh, refresh) }
  let settle: Waiting['settle'] = () => undefined
  const ended = new Promise<void>((resolve, reject) => {
    settle = (error) => { if (error === undefined) resolve(); else reject(error) }
  })
  return { frame, refresh, ended, settle }
}

const moreThorough = (one: Refresh, other: Refresh): Refresh => (REFRESHES.indexOf(one) > REFRESHES.indexOf(other) ? one : other)

export interface Latest {
  draw(frame: Frame, refresh: Refresh): Promise<void>
  /** Resolves when nothing is drawn and nothing waits; never rejects. */
  idle(): Promise<void>
}

/** For a panel that has nothing else to do: `show` is called for one picture after the other, never for two at once. */
export function createLatest(show: (frame: Frame, refresh: Refresh) => Promise<void>): Latest {
  let waiting: Waiting | undefined
  let working = false
  let worked: Promise<void> = Promise.resolve()

  async function work(): Promise<void> {
    working = true
    await Promise.resolve() // Of all that are asked for at once, none but the last is drawn.
    while (waiting !== undefined) {
      const { frame, refresh, settle } = waiting
      waiting = undefined
      await show(frame, refresh).then(() => settle(), settle)
    }
    working = false
  }

  return {
    draw(frame, refresh) {
      waiting = overtake(waiting, frame, refresh)
      const { ended } = waiting
      if (!working) worked = work()
      return ended
    },
    idle: () => worked,
  }
}
