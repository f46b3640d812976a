import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Input } from '../../../drivers/driver.js'
import { CHUNK_BYTES_MAX, createStdinKeypad, keysOf } from '../../../drivers/keypad/stdin.js'
import { amountSourceConformance } from '../../conformance/amount-source.js'

const log = pino({ level: 'silent' })
const keys = (text: string): string =>
  keysOf(Buffer.from(text)).map((input) => (input.type === 'digit pressed' ? input.digit : input.type)).join(' ')

describe('the keys of a keyboard', () => {
  test.each([
    ['2500', '2 5 0 0'],
    ['\r', 'enter pressed'],
    ['\n', 'enter pressed'],
    ['25\r\n3\r\n', '2 5 enter pressed 3 enter pressed'],
    ['\n\r', 'enter pressed enter pressed'],
    ['c', 'clear pressed'],
    ['C', 'clear pressed'],
    ['\b', 'clear pressed'],
    ['\x7f', 'clear pressed'],
    ['x', 'cancel pressed'],
    ['X', 'cancel pressed'],
    ['\x1b', 'cancel pressed'],
    ['25.00', '2 5 point pressed 0 0'],
    [',5', 'point pressed 5'],
    ['hello', ''],
    ['', ''],
  ])('%j is %j', (text, expected) => expect(keys(text)).toBe(expected))

  test.each(['٢٥٠٠', '๒๕๐๐', '２５００', '²⁵', '𝟚𝟝'])('digits of other scripts are no keys: %s', (text) => expect(keys(text)).toBe(''))

  test.each(['\x1b[A', '\x1b[1;5C', '\x1bOP', '\x1b[15~'])('an arrow or function key is neither Cancel nor a digit: %j', (text) => {
    expect(keys(`${text}7`)).toBe('7')
  })

  test('a sequence that was cut off takes no key with it beyond itself', () => {
    expect(keys('\x1b[')).toBe('')
    expect(keys('\x1b[1')).toBe('')
  })

  test('are the same wherever the bytes are cut', () => {
    fc.assert(fc.property(
      fc.array(fc.constantFrom(...Array.from('0123456789cCxX\b\x7f.a'), '\r\n', '\r', '\n', 'ก'), { maxLength: 30 }),
      fc.array(fc.nat(40), { maxLength: 5 }),
      (pieces, cuts) => {
        const bytes = Buffer.from(pieces.join(''))
        const places = [...new Set(cuts.map((cut) => Math.min(cut, bytes.length)))].sort((a, b) => a - b)
        const inputs: Input[] = []
        let before = 0
        for (const [index, end] of [...places, bytes.length].entries()) {
          const chunk = bytes.subarray(places[index - 1] ?? 0, end)
          inputs.push(...keysOf(chunk, before))
          before = chunk.at(-1) ?? before
        }
        expect(inputs).toEqual(keysOf(bytes))
      },
    ))
  })
})

describe('a keypad on a stream', () => {
  amountSourceConformance(() => {
    const stream = new PassThrough()
    return Promise.resolve({
      source: createStdinKeypad({ stream, interrupt: () => undefined, log }),
      ask: () => {
        stream.write('25\r')
        return Promise.resolve([{ type: 'digit pressed', digit: '2' }, { type: 'digit pressed', digit: '5' }, { type: 'enter pressed' }])
      },
      settle: async () => { await sleep(20) },
      close: () => Promise.resolve(),
    })
  })

  test('one CR LF that is cut between its bytes is one Enter', async () => {
    const { stream, inputs } = await startOn(new PassThrough())
    stream.write('7\r')
    await sleep(5)
    stream.write('\n8\r\n')
    await expect.poll(() => inputs.length).toBe(4)
    expect(inputs.map(({ type }) => type)).toEqual(['digit pressed', 'enter pressed', 'digit pressed', 'enter pressed'])
  })

  test('a stream that gives text instead of bytes is read the same', async () => {
    const stream = new PassThrough()
    stream.setEncoding('utf8')
    const { inputs } = await startOn(stream)
    stream.write('๑9\n')
    await expect.poll(() => inputs).toEqual([{ type: 'digit pressed', digit: '9' }, { type: 'enter pressed' }])
  })

  test('a flood is felt as a few keys, so that the terminal has time for its customers', async () => {
    const stream = new PassThrough()
    const inputs: Input[] = []
    const keypad = createStdinKeypad({ stream, interrupt: () => undefined, log })
    await keypad.start((input) => inputs.push(input))
    stream.write(Buffer.alloc(65_536, '9'))
    await sleep(20)
    expect(inputs).toHaveLength(CHUNK_BYTES_MAX)

    stream.write('\r')
    await sleep(20)
    expect(inputs.at(-1)).toEqual({ type: 'enter pressed' })
    await keypad.stop()
  })

  test('a stream that breaks is logged and takes nobody with it', async () => {
    const { stream, said } = await startOn(new PassThrough())
    stream.destroy(new Error('EIO'))
    await expect.poll(() => said.join('')).toContain('keypad stream failed')
  })
})

describe('a keypad on a terminal', () => {
  const createTty = () => {
    const raw: boolean[] = []
    const stream = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (on: boolean) => raw.push(on) })
    return { stream, raw }
  }

  test('reads single keys while it is started, and gives the terminal back', async () => {
    const { stream, raw } = createTty()
    const { keypad } = await startOn(stream)
    expect(raw).toEqual([true])
    await keypad.stop()
    expect(raw).toEqual([true, false])
  })

  test('gives Ctrl-C back to the program, since raw mode takes it away', async () => {
    const { stream } = createTty()
    const { inputs, interrupts } = await startOn(stream)
    stream.write('\x03')
    await expect.poll(() => interrupts()).toBe(1)
    expect(inputs).toEqual([])
  })
})

async function startOn(stream: PassThrough & { isTTY?: boolean; setRawMode?: (on: boolean) => unknown }) {
  const inputs: Input[] = []
  const said: string[] = []
  let interrupts = 0
  const keypad = createStdinKeypad({ stream, interrupt: () => { interrupts++ }, log: pino({}, { write: (line) => { said.push(line) } }) })
  await keypad.start((input) => inputs.push(input))
  return { stream, keypad, inputs, said, interrupts: () => interrupts }
}
