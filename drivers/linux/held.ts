/**
 * A line of the board that may be missing: taken, not permitted yet, or broken while it is used. It is opened in the
 * background and says in one sentence what is wrong with it; when it is tried again is its owner's business.
 */
import type { Logger } from 'pino'

/** Between two attempts to open what is missing. */
export const RETRY_MS = 5_000

export interface Held<Line> {
  /** Undefined while it is missing. */
  readonly line: Line | undefined
  /** What is wrong; undefined while it is there, and while it is opened for the first time. */
  readonly fault: string | undefined
  /** Opens it, unless it is there. An attempt that is still under way stays the only one. */
  open(): void
  /** It is broken: it is closed, as well as that can be done. */
  lose(error: unknown): void
  /** For good; a line that opens after that is closed at once. */
  close(): void
}

export interface HoldOptions<Line> {
  /** Such as 'GPIO 17'. */
  readonly name: string
  readonly open: () => Promise<Line>
  /** It opened, or it did not. */
  readonly settled: () => void
  readonly log: Logger
}

/** Closing a line leaves it at its safe level. */
export function hold<Line extends { close(): void }>({ name, open, settled, log }: HoldOptions<Line>): Held<Line> {
  let line: Line | undefined
  let fault: string | undefined
  let opening = false
  let closed = false

  function letGo(old: Line): void {
    try {
      old.close()
    } catch (error) {
      log.error({ err: error, line: name }, 'line did not close, and may still be on')
    }
  }

  async function attempt(): Promise<void> {
    try {
      const opened = await open()
      if (closed) return letGo(opened)
      line = opened
      fault = undefined
    } catch (error) {
      fault = messageOf(error)
    } finally {
      opening = false
    }
    if (!closed) settled()
  }

  return {
    get line() { return line },
    get fault() { return fault },
    open() {
      if (closed || line !== undefined) return
      if (opening) {
        fault = `${name} does not open: the kernel has not answered for ${RETRY_MS} ms`
        return
      }
      opening = true
      void attempt()
    },
    lose(error) {
      if (line === undefined) return
      const lost = line
      line = undefined
      fault = messageOf(error)
      letGo(lost)
    },
    close() {
      closed = true
      if (line !== undefined) letGo(line)
      line = undefined
    },
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
