/**
 * The text inside a code, by method: an order code URL for Alipay+, an EMVCo string for PromptPay. Pure; the
 * unguessable part comes in as random bytes. Written apart from device/protocol/payload.ts, which reads these texts.
 */
import type { Currency } from '../../device/protocol/money.js'
import type { MethodName } from './account.js'

/** Random bytes a payload takes: 160 bits in the URL, of which PromptPay uses 100. */
export const PAYLOAD_RANDOM_BYTES = 20

export function codePayload(method: MethodName, amount: number, currency: Currency, random: Uint8Array): string {
  switch (method) {
    // Real ones are 60 to 100 characters; the domain is reserved (RFC 2606), so no wallet ever goes there.
    case 'alipayplus_mpm': return `https://order.alipayplus.example/281666${base32(random)}/${base32(random.subarray(0, 10))}`
    case 'promptpay':      return promptPay(amount, currency, base32(random).slice(0, 20))
  }
}

// ISO 4217 numeric codes.
const CURRENCY_NUMBERS: Readonly<Record<Currency, string>> = { THB: '764', SGD: '702', MYR: '458' }

/** EMVCo merchant-presented mode: tag, two digits of length, value; the checksum last, over everything before it. */
function promptPay(amount: number, currency: Currency, reference: string): string {
  const billPayment = field('00', 'A000000677010112') + field('01', '010555600000000') + field('02', reference)
  const unsigned = [
    field('00', '01'),
    field('01', '12'), // good for one payment
    field('30', billPayment),
    field('52', '0000'),
    field('53', CURRENCY_NUMBERS[currency]),
    field('54', `${Math.floor(amount / 100)}.${String(amount % 100).padStart(2, '0')}`),
    field('58', 'TH'),
    field('59', 'PLINTH SANDBOX'),
    field('60', 'BANGKOK'),
  ].join('') + '6304'
  return unsigned + crc16(unsigned).toString(16).toUpperCase().padStart(4, '0')
}

const field = (tag: string, value: string): string => `${tag}${String(value.length).padStart(2, '0')}${value}`

/** CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF (EMVCo QR, 4.7.3). */
function crc16(ascii: string): number {
  let crc = 0xffff
  for (let at = 0; at < ascii.length; at++) {
    crc ^= ascii.charCodeAt(at) << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff
  }
  return crc
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** RFC 4648 alphabet, one character for each 5 bits. */
function base32(bytes: Uint8Array): string {
  let bits = ''
  for (const byte of bytes) bits += byte.toString(2).padStart(8, '0')
  return (bits.match(/.{5}/g) ?? []).map((five) => BASE32.charAt(parseInt(five, 2))).join('')
}
