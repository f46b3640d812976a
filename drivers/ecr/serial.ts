/**
 * A cash register on a serial line, speaking line.ts: any tty, USB adapter or pty that `serialport` can open.
 *
 *   register ──RS-232/USB── /dev/tty… ──serialport── line.ts ──deliver──> terminal
 *
 * The line is there or it is not: while it is lost the driver reopens it, waiting longer each time, and `answer`
 * rejects with REGISTER_CLOSED so that the terminal tells the outcome again later. Nothing is queued here.
 */
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { SerialPort } from 'serialport'
import { type AmountSource, DriverError, type Input, type PartReport } from '../driver.js'
import { answerLine, distrustLine, lineStart, readLines } from './line.js'

export interface SerialTimes {
  /** The port must open within this. */
  readonly openMs: number
  /** After opening, whatever comes within this may be half a line and is not believed. */
  readonly settleMs: number
  /** An answer must have left within this: 120 bytes at 1200 baud take one second. */
  readonly writeMs: number
  /** How often the device is looked at. */
  readonly watchMs: number
  readonly reopenMsMin: number
  readonly reopenMsMax: number
}

const TIMES: SerialTimes = {
  openMs: 3_000, settleMs: 50, writeMs: 3_000, watchMs: 1_000, reopenMsMin: 250, reopenMsMax: 10_000,
}

export interface SerialRegisterOptions {
  readonly path: string
  readonly baud: number
  readonly report?: PartReport
  readonly log: Logger
  /** Milliseconds on a clock that never goes backwards. */
  readonly now: () => number
  /** 0 <= x < 1: terminals that lost power together do not come back in step. */
  readonly random: () => number
  readonly times?: Partial<SerialTimes>
}

export function createSerialRegister({ path, baud, report = () => undefined, log, now, random, times }: SerialRegisterOptions): AmountSource {
  const limits = { ...TIMES, ...times }
  let line: Line | undefined
  let halted: AbortController | undefined
  /** Half an answer may stand on the register's line: the next one begins on a line of its own. */
  let halfSaid = false

  /** One opening of the port, until it is lost. */
  const connect = async (deliver: (input: Input) => void, signal: AbortSignal): Promise<void> => {
    const opened = await openLine({ path, baud, limits, log, now, deliver: (input) => { if (!signal.aborted) deliver(input) } })
    if (signal.aborted) return opened.close()
    line = opened
    log.info({ path, baud }, 'register line open')
    report(undefined)
    void opened.lost.then((why) => {
      if (line === opened) line = undefined
      if (signal.aborted) return
      log.warn({ path, why }, 'register line lost')
      report(`the register's line ${path} is lost (${why}): plug it in`)
      void reconnect(deliver, signal)
    })
  }

  const reconnect = async (deliver: (input: Input) => void, signal: AbortSignal): Promise<void> => {
    for (let tries = 0; !signal.aborted; tries++) {
      const waitMs = Math.min(limits.reopenMsMin * 2 ** Math.min(tries, 16), limits.reopenMsMax) * (0.5 + random() / 2)
      try {
        await sleep(waitMs, undefined, { signal })
        return await connect(deliver, signal)
      } catch (error) {
        // The first failure says why; a line that stays away for days must not fill the disk.
        if (!signal.aborted && tries === 0) log.warn({ path, err: error }, 'register line not back yet')
      }
    }
  }

  /** One answer at a time: only when the last one has left is it known how its line ended. */
  let said: Promise<void> = Promise.resolve()

  const say = async (text: string): Promise<void> => {
    if (line === undefined) throw new DriverError('REGISTER_CLOSED', `register ${path} is not connected`)
    const fresh = halfSaid ? '\r\n' : ''
    halfSaid = true
    await line.write(`${fresh}${text}`)
    halfSaid = false
  }

  return {
    async start(deliver) {
      if (halted !== undefined) throw new DriverError('REGISTER_OPEN_FAILED', `register ${path} is already started`)
      halted = new AbortController()
      try {
        await connect(deliver, halted.signal)
      } catch (error) {
        halted = undefined
        report(`the register's line ${path} does not open: ${error instanceof Error ? error.message : String(error)}`)
        throw error
      }
    },
    answer(answer) {
      const turn = said.then(() => say(answerLine(answer)))
      said = turn.catch(() => undefined) // Whoever asked for this answer hears of it; the next one goes on.
      return turn
    },
    async stop() {
      halted?.abort()
      halted = undefined
      await line?.close()
      line = undefined
    },
  }
}

/*-- One open port --*/

interface Line {
  /** Resolves once, with the reason, when the port is no longer there or was closed. */
  readonly lost: Promise<string>
  write(text: string): Promise<void>
  close(): Promise<void>
}

interface LineOptions {
  readonly path: string
  readonly baud: number
  readonly limits: SerialTimes
  readonly log: Logger
  readonly now: () => number
  readonly deliver: (input: Input) => void
}

async function openLine({ path, baud, limits, log, now, deliver }: LineOptions): Promise<Line> {
  const port = new SerialPort({ path, baudRate: baud, autoOpen: false })
  port.on('error', (error) => log.warn({ path, err: error }, 'register line error'))
  const lost = new Promise<string>((resolve) => {
    port.once('close', (error: Error | null) => resolve(error?.message ?? 'closed'))
  })
  const close = async (): Promise<void> => {
    if (!port.isOpen) return
    await within(limits.writeMs, (done) => port.close(done)).catch((error: unknown) => {
      log.warn({ path, err: error }, 'register line did not close')
    })
  }
  const failed = (cause: unknown): DriverError => new DriverError('REGISTER_OPEN_FAILED',
    `register ${path} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}`, cause)

  const device = await deviceAt(path) // Before opening: a device that changes in between is seen as another one.
  try {
    await within(limits.openMs, (done) => port.open(done))
  } catch (error) {
    port.once('open', () => void close()) // It may still open after we gave up.
    throw failed(error)
  }
  // A pty has no modem lines and says ENOTTY; a register with a three-wire cable does not need them.
  await within(limits.openMs, (done) => port.set({ dtr: true, rts: true }, done)).catch((error: unknown) => {
    log.warn({ path, err: error }, 'register line has no modem signals')
  })

  let state = lineStart
  let settled = false
  port.on('data', (bytes: Buffer) => {
    const read = readLines(state, bytes, now())
    state = read.state
    if (settled) read.inputs.forEach(deliver)
  })
  await sleep(limits.settleMs)
  state = distrustLine(state)
  settled = true
  if (!port.isOpen) throw failed('it closed at once')
  void watch({ port, path, device, everyMs: limits.watchMs, lost }).then((why) => {
    if (why === undefined) return
    log.warn({ path, why }, 'register device gone')
    return close()
  })

  return {
    lost,
    async write(text) {
      try {
        if (!port.isOpen) throw new Error('not open')
        await within(limits.writeMs, (done) => {
          port.write(Buffer.from(text, 'latin1'), (error) => {
            if (error != null) done(error)
            else port.drain(done)
          })
        })
      } catch (error) {
        if (!port.isOpen) throw new DriverError('REGISTER_CLOSED', `register ${path} went away before the answer had left`, error)
        // What did not leave must not leave later, behind a newer answer; closing alone would first wait for it to leave.
        await within(limits.writeMs, (done) => port.flush(done)).catch(() => undefined)
        await close()
        throw new DriverError('REGISTER_WRITE_FAILED', `register ${path} did not take the answer within ${limits.writeMs} ms`, error)
      }
    },
    close,
  }
}

interface Watched {
  readonly port: SerialPort
  readonly path: string
  readonly device: string
  readonly everyMs: number
  readonly lost: Promise<string>
}

/**
 * Looks whether the path still names the device that was opened; tells why not, or undefined when the port closed by
 * itself. Reading is not enough: on a hung-up tty read() gives 0 bytes, and serialport asks again for ever.
 */
async function watch({ port, path, device, everyMs, lost }: Watched): Promise<string | undefined> {
  const ended = new AbortController()
  void lost.then(() => ended.abort())
  while (port.isOpen) {
    await sleep(everyMs, undefined, { signal: ended.signal }).catch(() => undefined) // Woken early: the port is closed.
    const seen = await deviceAt(path)
    if (port.isOpen && seen !== device) return seen === NO_DEVICE ? 'the device is gone' : 'another device has its name'
  }
  return undefined
}

const NO_DEVICE = 'none'

/** What tells one device from another under the same name. */
const deviceAt = (path: string): Promise<string> =>
  stat(path).then(({ dev, ino, rdev }) => `${dev}:${ino}:${rdev}`, () => NO_DEVICE)

/** Waits for a callback, and no longer than that. */
function within(limitMs: number, begin: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
    begin((error) => {
      clearTimeout(timer)
      if (error == null) resolve()
      else reject(error)
    })
  })
}
