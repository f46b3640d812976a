import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Input } from '../../../drivers/driver.js'
import { answerLine, distrustLine, LINE_BYTES_MAX, lineStart, PAUSE_MS_MAX, readLines, REASON_CHARS_MAX } from '../../../drivers/ecr/line.js'

const read = (text: string): readonly Input[] => readLines(lineStart, Buffer.from(text, 'latin1'), 0).inputs
const asked = (amount: string): Input => ({ type: 'amount asked', amount })
const amounts = (inputs: readonly Input[]): readonly string[] =>
  inputs.flatMap((input) => (input.type === 'amount asked' ? [input.amount] : []))

describe('what a register sends', () => {
  test.each([
    ['150.00\r\n', [asked('150.00')]],
    ['150.00\r', [asked('150.00')]],
    ['150.00\n', [asked('150.00')]],
    ['  150.00 \r\n', [asked('150.00')]],
    ['\r\n\r\n150.00\r\n\n', [asked('150.00')]],
    ['1.00\r\n2.00\n3.00\r', [asked('1.00'), asked('2.00'), asked('3.00')]],
    ['CANCEL\r\n', [{ type: 'cancel pressed' }]],
    ['cancel\r\n', [{ type: 'cancel pressed' }]],
    ['150.00', []],
    ['', []],
  ] as const)('%j', (text, expected) => expect(read(text)).toEqual(expected))

  test.each(['1,500.00', '1e3', '-5', 'TOTAL 150.00', '0x10'])('whatever can be read is for the terminal to refuse: %j', (text) => {
    expect(read(`${text}\r\n`)).toEqual([asked(text)])
  })

  test('a line of 64 bytes is a line, and one more is nonsense', () => {
    expect(read(`${'9'.repeat(LINE_BYTES_MAX)}\r\n`)).toEqual([asked('9'.repeat(LINE_BYTES_MAX))])
    expect(read(`${'9'.repeat(LINE_BYTES_MAX + 1)}\r\n`)).toEqual([{ type: 'nonsense received', what: 'a line of more than 64 bytes' }])
  })

  test('a flood without an end is one nonsense, and the line after it counts again', () => {
    expect(read(`${'9'.repeat(100_000)}\r\n7.00\r\n`)).toEqual([{ type: 'nonsense received', what: 'a line of more than 64 bytes' }, asked('7.00')])
  })

  test.each([0x00, 0x02, 0x05, 0x08, 0x11, 0x1b, 0x7f, 0x80, 0xff])('money never comes from a line with byte %i in it', (byte) => {
    const damaged = `1${String.fromCharCode(byte)}50.00\r\n7.00\r\n`
    expect(read(damaged)).toEqual([{ type: 'nonsense received', what: `byte 0x${byte.toString(16).padStart(2, '0')}` }, asked('7.00')])
  })

  test('one damaged byte anywhere takes the whole amount away, never a part of it', () => {
    fc.assert(fc.property(
      fc.constantFrom('150.00', '25.00', '1', '99999.99'), fc.nat(8), fc.integer({ min: 0, max: 255 }), fc.boolean(),
      (amount, place, byte, replace) => {
        fc.pre(byte !== 0x0a && byte !== 0x0d && (byte < 0x20 || byte > 0x7e))
        const at = Math.min(place, amount.length - 1)
        const bytes = Buffer.concat([
          Buffer.from(amount.slice(0, at)), Buffer.from([byte]), Buffer.from(amount.slice(replace ? at + 1 : at)), Buffer.from('\r\n3.00\r\n'),
        ])
        expect(amounts(readLines(lineStart, bytes, 0).inputs)).toEqual(['3.00'])
      },
    ))
  })

  test('means the same however the bytes are cut', () => {
    const piece = fc.oneof(
      fc.constantFrom('150.00\r\n', 'CANCEL\r\n', '\r', '\n', '\r\n', '9'.repeat(70), ' ', '7'),
      fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    )
    fc.assert(fc.property(fc.array(piece, { maxLength: 12 }), fc.array(fc.nat(120), { maxLength: 12 }), (pieces, cuts) => {
      const bytes = Buffer.from(pieces.join(''), 'latin1')
      const places = cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b)
      let state = lineStart
      const inputs: Input[] = []
      for (const [index, end] of [...places, bytes.length].entries()) {
        const step = readLines(state, bytes.subarray(places[index - 1] ?? 0, end), index)
        state = step.state
        inputs.push(...step.inputs)
        expect(state.text.length).toBeLessThanOrEqual(LINE_BYTES_MAX)
      }
      expect(inputs).toEqual(readLines(lineStart, bytes, 0).inputs)
    }))
  })

  test('half a line that rested too long does not become the head of the next amount', () => {
    const half = readLines(lineStart, Buffer.from('1'), 1_000)
    const late = readLines(half.state, Buffer.from('50.00\r\n'), 1_000 + PAUSE_MS_MAX + 1)
    expect(late.inputs).toEqual([{ type: 'nonsense received', what: 'half a line' }, asked('50.00')])
    const inTime = readLines(half.state, Buffer.from('50.00\r\n'), 1_000 + PAUSE_MS_MAX)
    expect(inTime.inputs).toEqual([asked('150.00')])
  })

  test('the tail of a line that was under way when the port opened is not an amount', () => {
    const tail = readLines(lineStart, Buffer.from('50.0'), 0)
    expect(readLines(distrustLine(tail.state), Buffer.from('0\r\n7.00\r\n'), 1).inputs).toEqual([asked('7.00')])
    expect(readLines(distrustLine(lineStart), Buffer.from('7.00\r\n'), 1).inputs).toEqual([asked('7.00')])
  })
})

describe('what a register is told', () => {
  test('paid', () => {
    expect(answerLine({ answer: 'ok', amount: '150.00', sale: '01931e7c', charge: 'chrg_1' })).toBe('OK 150.00 01931e7c chrg_1\r\n')
  })

  test('not paid, and why', () => {
    expect(answerLine({ answer: 'no', reason: 'payment expired' })).toBe('NO payment expired\r\n')
    expect(answerLine({ answer: 'no', reason: '' })).toBe('NO no reason given\r\n')
    expect(answerLine({ answer: 'no', reason: `${'x'.repeat(REASON_CHARS_MAX - 1)} more` })).toBe(`NO ${'x'.repeat(REASON_CHARS_MAX - 1)}\r\n`)
  })

  test('an answer is one line of printable ASCII with its words in their places, whatever it is made of', () => {
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.string(), fc.constantFrom('', ' ', 'a\r\nOK 1.00 x y', 'หมดเวลา'))
    fc.assert(fc.property(text, text, text, (amount, sale, charge) => {
      expect(answerLine({ answer: 'ok', amount, sale, charge })).toMatch(/^OK [!-~]{1,64} [!-~]{1,64} [!-~]{1,64}\r\n$/)
    }))
    fc.assert(fc.property(text, (reason) => {
      const line = answerLine({ answer: 'no', reason })
      expect(line).toMatch(/^NO [!-~]([ -~]*[!-~])?\r\n$/)
      expect(line.length).toBeLessThanOrEqual('NO '.length + REASON_CHARS_MAX + 2)
    }))
  })
})
