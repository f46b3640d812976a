import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Amount } from '../../../device/protocol/money.js'
import { checkPayload, crc16, PAYLOAD_CHARS_MAX } from '../../../device/protocol/payload.js'

const THB_25: Amount = { minor: 2_500, currency: 'THB' }

const field = (id: string, value: string): string => `${id}${String(value.length).padStart(2, '0')}${value}`
const sealed = (body: string): string => {
  const open = `${body}6304`
  return open + crc16(open).toString(16).toUpperCase().padStart(4, '0')
}
const promptpay = (changes: Readonly<Record<string, string | undefined>> = {}): string => {
  const fields = {
    '00': '01', '01': '12', '29': field('00', 'A000000677010111') + field('01', '0066812345678'),
    '53': '764', '54': '25.00', '58': 'TH', '59': 'BAAN SUAN', ...changes,
  }
  return sealed(Object.entries(fields).sort(([a], [b]) => a.localeCompare(b))
    .flatMap(([id, value]) => (value === undefined ? [] : [field(id, value)])).join(''))
}

describe('the checksum', () => {
  test.each([
    ['123456789', 0x29b1], // The check value of CRC-16/CCITT-FALSE.
    ['', 0xffff],
    ['A', 0xb915],
  ])('of %j is known', (text, crc) => {
    expect(crc16(text)).toBe(crc)
  })
})

describe('an order code', () => {
  test('is an https address', () => {
    expect(checkPayload('alipayplus_mpm', 'https://qr.alipayplus.com/28100102abc?x=1', THB_25)).toBeUndefined()
  })

  test.each([
    ['', 'empty'],
    ['http://qr.alipayplus.com/1', 'not https:'],
    ['javascript:alert(1)', 'not https:'],
    ['qr.alipayplus.com/1', 'not an address'],
    ['https://', 'not an address'],
    ['https://user:secret@qr.alipayplus.com/1', 'user name'],
    ['https://qr.alipayplus.com/1 2', 'space'],
    ['https://qr.alipayplus.com/ก', 'not printable ASCII'],
    ['https://qr.alipayplus.com/\n', 'not printable ASCII'],
    [`https://qr.alipayplus.com/${'a'.repeat(PAYLOAD_CHARS_MAX)}`, 'more than 512'],
  ])('%j is refused', (text, why) => {
    expect(checkPayload('alipayplus_mpm', text)).toContain(why)
  })

  test('is never quoted in a refusal', () => {
    expect(checkPayload('alipayplus_mpm', 'http://qr.alipayplus.com/topsecret')).not.toContain('topsecret')
  })
})

describe('an EMV code', () => {
  test('that names the amount, the currency and the country of the sale is shown', () => {
    expect(checkPayload('promptpay', promptpay(), THB_25)).toBeUndefined()
    expect(checkPayload('promptpay', promptpay({ '54': '25' }), THB_25)).toBeUndefined()
  })

  test('in an older style with a small-letter checksum is the same code', () => {
    const text = promptpay()
    expect(checkPayload('promptpay', text.slice(0, -4) + text.slice(-4).toLowerCase(), THB_25)).toBeUndefined()
  })

  test.each([
    ['another amount', promptpay({ '54': '25.01' }), 'asks for THB 25.01, not THB 25.00'],
    ['no amount: the customer could type any', promptpay({ '54': undefined }), 'no amount'],
    ['an amount that is none', promptpay({ '54': '25,00' }), 'no amount'],
    ['another currency', promptpay({ '53': '702' }), 'currency 702, not 764 (THB)'],
    ['no currency', promptpay({ '53': undefined }), 'currency (none)'],
    ['another country', promptpay({ '58': 'SG' }), 'country SG, not TH'],
    ['another format', promptpay({ '00': '02' }), 'format indicator'],
    ['an order code instead', 'https://qr.alipayplus.com/1', 'no tag and length'],
    ['a cut end', promptpay().slice(0, -3), 'cut off'],
    ['something behind the checksum', `${promptpay()}0002AB`, 'twice'],
    ['a last field that is no checksum', field('00', '01') + field('53', '764'), 'does not end with its CRC'],
    ['a field twice', sealed(field('00', '01') + field('53', '764') + field('53', '764')), 'twice'],
    ['an empty field', sealed(`${field('00', '01')}5300`), 'cut off'],
  ])('with %s is refused', (_, text, why) => {
    expect(checkPayload('promptpay', text, THB_25)).toContain(why)
  })

  test('with any one character changed is refused', () => {
    const text = promptpay()
    for (let i = 0; i < text.length; i++) {
      const other = text[i] === '7' ? '8' : '7'
      expect(checkPayload('promptpay', text.slice(0, i) + other + text.slice(i + 1), THB_25), `character ${i}`).toBeDefined()
    }
  })

  test('is shown when every one of its parts is in order, and only then, whatever else it carries', () => {
    const part = <T>(good: T, ...bad: readonly T[]) => fc.oneof({ weight: 4, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: fc.constantFrom(good, ...bad) })
    const bent = fc.record({
      head: part('01', '11', '1'), amount: part<string | undefined>('25.00', '25.01', '2500', '٢٥.٠٠', undefined),
      currency: part<string | undefined>('764', '702', undefined), country: part<string | undefined>('TH', 'SG', undefined),
      crc: part('right', 'wrong', 'missing'), twice: part<string | undefined>(undefined, '59', '54'), after: part('', '5902AB', '6', ' '),
      shopName: fc.string({ unit: fc.constantFrom(...'ABC 0123456789'), minLength: 1, maxLength: 25 }),
    })
    let shown = 0
    fc.assert(fc.property(bent, ({ head, amount, currency, country, crc, twice, after, shopName }) => {
      const good = promptpay({ '00': head, '53': currency, '54': amount, '58': country, '59': shopName })
      const body = good.slice(0, -8) + (twice === undefined ? '' : field(twice, 'X'))
      const text = { right: sealed(body), wrong: `${sealed(body).slice(0, -4)}${(parseInt(sealed(body).slice(-4), 16) ^ 1).toString(16).padStart(4, '0')}`, missing: body }[crc] + after
      const inOrder = head === '01' && amount === '25.00' && currency === '764' && country === 'TH' && crc === 'right' && twice === undefined && after === ''
      if (inOrder) shown++
      expect(checkPayload('promptpay', text, THB_25) === undefined).toBe(inOrder)
    }), { numRuns: 3_000 })
    expect(shown).toBeGreaterThan(100)
  })

  test('may be anything at all without breaking the terminal', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ maxLength: 600 }), fc.string({ unit: 'grapheme' }), fc.array(fc.nat(99)).map((pairs) => pairs.map((n) => String(n).padStart(2, '0')).join(''))),
      fc.constantFrom('promptpay', 'alipayplus_mpm'), (text, method) => {
        const refusal = checkPayload(method, text, THB_25)
        if (refusal === undefined) expect(text).toMatch(/^[\x20-\x7e]{1,512}$/)
        else if (text.length > 12) expect(refusal).not.toContain(text)
      }), { numRuns: 5_000 })
  })

  test('may be checked before the amount is known', () => {
    expect(checkPayload('promptpay', promptpay({ '54': undefined }))).toBeUndefined()
  })
})
