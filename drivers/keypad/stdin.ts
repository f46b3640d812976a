/**
 * A keypad on a stream: the keys of a laptop, or a script that pipes them in.
 *
 *   0-9 digit · . or , decimal point · Enter · c or Backspace clear · x or Escape cancel · everything else nothing
 *
 * On a TTY it reads single keys (raw mode), and gives Ctrl-C back to the program, since raw mode takes it away.
 */
import type { Logger } from 'pino'
import type { AmountSource, Input } from '../driver.js'

/** The part of process.stdin that is used. */
export interface KeyStream {
  readonly isTTY?: boolean
  setRawMode?(raw: boolean): unknown
  on(event: 'data', listener: (chunk: Buffer | string) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'data', listener: (chunk: Buffer | string) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  resume(): unknown
  pause(): unknown
}

export interface StdinKeypadOptions {
  readonly stream: KeyStream
  /** Called on Ctrl-C in raw mode. */
  readonly interrupt: () => void
  readonly log: Logger
}

/** Of one chunk: a person has ten fingers, a pipe has 64 KB at once, and the keys of one chunk are felt in one go. */
export const CHUNK_BYTES_MAX = 256

const CTRL_C = 0x03
const BACKSPACE = 0x08
const LF = 0x0a
const CR = 0x0d
const ESCAPE = 0x1b
const COMMA = 0x2c
const POINT = 0x2e
const DELETE = 0x7f

/**
 * The keys in a chunk; `before` is the last byte of the chunk before it, so that CR LF is one Enter wherever it is cut.
 * Bytes from 128 up are no keys: digits of other scripts come as such bytes and are ignored.
 */
export function keysOf(chunk: Uint8Array, before = 0): readonly Input[] {
  const inputs: Input[] = []
  for (let at = 0; at < chunk.length; at++) {
    const byte = chunk[at] ?? 0
    const previous = at === 0 ? before : chunk[at - 1]
    if (byte === LF && previous === CR) continue
    if (byte === ESCAPE) {
      const end = sequenceEnd(chunk, at)
      if (end === undefined) inputs.push({ type: 'cancel pressed' })
      else at = end
      continue
    }
    const input = inputOf(byte)
    if (input !== undefined) inputs.push(input)
  }
  return inputs
}

export function createStdinKeypad({ stream, interrupt, log }: StdinKeypadOptions): AmountSource {
  let stopListening: (() => void) | undefined

  return {
    start(deliver) {
      stopListening?.()
      let before = 0
      const onData = (chunk: Buffer | string): void => {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk
        if (stream.isTTY === true && bytes.includes(CTRL_C)) return interrupt()
        for (const input of keysOf(bytes.subarray(0, CHUNK_BYTES_MAX), before)) deliver(input)
        if (bytes.length > CHUNK_BYTES_MAX) log.warn({ bytes: bytes.length }, 'keys dropped')
        before = bytes.at(-1) ?? before
      }
      const onError = (error: Error): void => log.warn({ err: error }, 'keypad stream failed')

      stream.on('data', onData)
      stream.on('error', onError)
      if (stream.isTTY === true) stream.setRawMode?.(true)
      stream.resume()

      stopListening = () => {
        stream.off('data', onData)
        stream.off('error', onError)
        if (stream.isTTY === true) stream.setRawMode?.(false)
        stream.pause()
        stopListening = undefined
      }
      return Promise.resolve()
    },
    answer: () => Promise.resolve(), // Nobody is at the other end of a keypad.
    stop() {
      stopListening?.()
      return Promise.resolve()
    },
  }
}

function inputOf(byte: number): Input | undefined {
  if (byte >= 0x30 && byte <= 0x39) return { type: 'digit pressed', digit: String.fromCharCode(byte) }
  if (byte === POINT || byte === COMMA) return { type: 'point pressed' }
  if (byte === CR || byte === LF) return { type: 'enter pressed' }
  if (byte === BACKSPACE || byte === DELETE) return { type: 'clear pressed' }
  const letter = String.fromCharCode(byte).toLowerCase()
  if (letter === 'c') return { type: 'clear pressed' }
  if (letter === 'x') return { type: 'cancel pressed' }
  return undefined
}

/** Arrow and function keys come as ESC [ ... letter or ESC O letter (ECMA-48 5.4), in one chunk; alone, ESC is the key itself. */
function sequenceEnd(chunk: Uint8Array, escapeAt: number): number | undefined {
  const kind = chunk[escapeAt + 1]
  if (kind !== 0x5b && kind !== 0x4f) return undefined
  let at = escapeAt + 2
  while (at < chunk.length && (chunk[at] ?? 0) >= 0x20 && (chunk[at] ?? 0) <= 0x3f) at++
  return Math.min(at, chunk.length - 1)
}
