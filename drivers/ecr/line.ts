/**
 * Plinth's own line protocol for registers that can be told what to send. Pure; knows no port and no clock.
 *
 *   register -> terminal   150.00 CR LF                      please take this amount
 *                          CANCEL CR LF                      please end the sale that is open
 *   terminal -> register   OK 150.00 <sale> <charge> CR LF   paid
 *                          NO <reason> CR LF                 not paid; the reason is for a person
 *
 * ASCII, at most 64 bytes a line without its end. A line ends with CR LF, CR or LF; empty lines mean nothing; spaces
 * around a line and the case of CANCEL do not matter. Money never comes from a damaged line: one byte outside
 * 0x20..0x7E, or a line too long, and the whole line is nonsense up to its end (a lost byte of '150.00' would else be
 * read as '50.00'). What rested for more than five seconds without an end was noise: the next byte begins a line.
 * One nonsense is delivered for each such thing.
 */
import type { Answer, Input } from '../driver.js'

/** Without the line's end. */
export const LINE_BYTES_MAX = 64
/** A line that rests longer than this is not continued: its beginning was noise. A person may type slower than a machine. */
export const PAUSE_MS_MAX = 5_000
/** As sent, after sanitising. */
export const REASON_CHARS_MAX = 60

export interface LineState {
  /** What has come of the current line; empty while skipping. */
  readonly text: string
  /** The current line is damaged and has been reported: nothing of it counts until it ends. */
  readonly skipping: boolean
  /** When the last byte came, on a clock that never goes backwards, in milliseconds. */
  readonly lastAt: number
}

export interface LineRead {
  readonly state: LineState
  readonly inputs: readonly Input[]
}

export const lineStart: LineState = { text: '', skipping: false, lastAt: 0 }

const LF = 0x0a
const CR = 0x0d

/** Takes bytes as they come, however they are cut. */
export function readLines(state: LineState, bytes: Uint8Array, now: number): LineRead {
  const inputs: Input[] = []
  const nonsense = (what: string): void => { inputs.push({ type: 'nonsense received', what }) }
  let { text, skipping } = state

  if (bytes.length === 0) return { state, inputs }
  if (text !== '' && now - state.lastAt > PAUSE_MS_MAX) {
    nonsense('half a line')
    text = ''
  }
  for (const byte of bytes) {
    if (byte === CR || byte === LF) {
      const input = skipping ? undefined : inputOf(text)
      if (input !== undefined) inputs.push(input)
      text = ''
      skipping = false
    } else if (!skipping) {
      const fault = faultOf(byte, text.length)
      if (fault === undefined) text += String.fromCharCode(byte)
      else {
        nonsense(fault)
        text = ''
        skipping = true
      }
    }
  }
  return { state: { text, skipping, lastAt: now }, inputs }
}

/** The port was just opened and what has come may be the tail of a line: 'x50.00' must not be taken for an amount. */
export const distrustLine = (state: LineState): LineState =>
  state.text === '' ? state : { ...state, text: '', skipping: true }

export function answerLine(answer: Answer): string {
  switch (answer.answer) {
    case 'ok': return `OK ${word(answer.amount)} ${word(answer.sale)} ${word(answer.charge)}\r\n`
    case 'no': return `NO ${printable(answer.reason).slice(0, REASON_CHARS_MAX).trim() || 'no reason given'}\r\n`
  }
}

function inputOf(line: string): Input | undefined {
  const text = line.trim()
  if (text === '') return undefined
  if (text.toUpperCase() === 'CANCEL') return { type: 'cancel pressed' }
  // Whatever else can be read is taken for an amount: refusing it is the terminal's part, and the register is answered.
  return { type: 'amount asked', amount: text }
}

function faultOf(byte: number, length: number): string | undefined {
  if (byte < 0x20 || byte > 0x7e) return `byte 0x${byte.toString(16).padStart(2, '0')}`
  return length >= LINE_BYTES_MAX ? `a line of more than ${LINE_BYTES_MAX} bytes` : undefined
}

/** One word of the answer: never empty, never two words. */
const word = (text: string): string => printable(text).replace(/ /g, '_').slice(0, LINE_BYTES_MAX) || '-'

const printable = (text: string): string => text.replace(/[^\x21-\x7e]+/g, ' ').trim()
