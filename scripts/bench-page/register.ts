/**
 * A little cash register on the page: writes `150.00` CR LF to the tty or pty and hands on the lines that come back.
 * The port is opened with the first amount and closed after a while, so that any other program may use the same path.
 */
import type { Logger } from 'pino'
import { SerialPort } from 'serialport'

export interface Register {
  /** Resolves to undefined, or to a sentence for the cashier. */
  ringUp(amount: string): Promise<string | undefined>
  close(): Promise<void>
}

/** Longer than the longest sale. */
const IDLE_MS = 10 * 60_000
const WRITE_MS = 2_000
const LINE_CHARS_MAX = 200

export function createRegister(path: string, log: Logger, said: (line: string) => void): Register {
  let port: SerialPort | undefined
  let opening: Promise<SerialPort> | undefined
  let idleTimer: NodeJS.Timeout | undefined
  let received = ''

  const hear = (chunk: Buffer): void => {
    const lines = (received + chunk.toString('latin1')).split(/\r?\n|\r/)
    received = (lines.pop() ?? '').slice(0, LINE_CHARS_MAX)
    for (const line of lines) if (line !== '') said(line.slice(0, LINE_CHARS_MAX))
  }

  const hangUp = async (): Promise<void> => {
    clearTimeout(idleTimer)
    const closing = port
    port = undefined
    if (closing?.isOpen === true) await new Promise<void>((resolve) => closing.close(() => resolve()))
  }

  const openPort = async (): Promise<SerialPort> => {
    const opened = new SerialPort({ path, baudRate: 9600, autoOpen: false })
    await new Promise<void>((resolve, reject) => opened.open((error) => error ? reject(error) : resolve()))
    received = ''
    opened.on('data', hear)
    opened.on('error', (error) => log.warn({ err: error }, 'register of the bench failed'))
    opened.on('close', () => { if (port === opened) port = undefined })
    return opened
  }

  return {
    async ringUp(amount) {
      try {
        port ??= await (opening ??= openPort().finally(() => { opening = undefined }))   // Two amounts at once share one port.
        await write(port, `${amount}\r\n`)
      } catch (error) {
        log.warn({ err: error, path }, 'register of the bench cannot write')
        await hangUp()
        return `The register's cable ${path} is not there.`
      }
      clearTimeout(idleTimer)
      idleTimer = setTimeout(() => void hangUp(), IDLE_MS)
      return undefined
    },
    close: hangUp,
  }
}

async function write(port: SerialPort, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const impatience = setTimeout(() => reject(new Error(`write took longer than ${WRITE_MS} ms`)), WRITE_MS)
    port.write(text, 'latin1', (error) => {
      clearTimeout(impatience)
      if (error) reject(error)
      else resolve()
    })
  })
}
