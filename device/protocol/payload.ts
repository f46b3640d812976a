/**
 * The grammar of a code's text, per payment method. Pure. Says whether a text may be shown as the code of an amount;
 * decides nothing about money. Refusals never quote the text: a code is payable by whoever reads it.
 *   order code URL   what Alipay+ wallets open: an https address
 *   EMVCo            EMV QR Code Specification for Payment Systems, merchant-presented mode 1.1, section 4
 */
import { type Amount, type Currency, formatAmount, parseAmount, sameAmount } from './money.js'
import { PAYMENT_METHODS, type PaymentMethodName } from './payment-method.js'

/** As `payload` in wire.ts. */
export const PAYLOAD_CHARS_MAX = 512

/** Why this text is no code of this method for this amount, or undefined when it is. */
export function checkPayload(method: PaymentMethodName, text: string, amount?: Amount): string | undefined {
  if (text.length === 0) return 'code text is empty'
  if (text.length > PAYLOAD_CHARS_MAX) return `code text has ${text.length} characters, more than ${PAYLOAD_CHARS_MAX}`
  if (!/^[\x20-\x7e]+$/.test(text)) return 'code text is not printable ASCII'
  switch (PAYMENT_METHODS[method].codeGrammar) {
    case 'order code URL': return checkOrderCodeUrl(text)
    case 'EMVCo':          return checkEmv(text, amount)
  }
}

/** CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF, not reflected) of ASCII text: '123456789' gives 0x29B1. */
export function crc16(text: string): number {
  let crc = 0xffff
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i) << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
    crc &= 0xffff
  }
  return crc
}

function checkOrderCodeUrl(text: string): string | undefined {
  if (/\s/.test(text)) return 'order code contains a space'
  if (!URL.canParse(text)) return 'order code is not an address'
  const url = new URL(text)
  if (url.protocol !== 'https:') return `order code is a ${url.protocol} address, not https:`
  if (url.username !== '' || url.password !== '') return 'order code carries a user name'
  return undefined
}

/** ISO 4217 numeric code and the country whose codes carry that currency. */
const EMV_CURRENCY: Readonly<Record<Currency, { readonly numeric: string; readonly country: string }>> = {
  THB: { numeric: '764', country: 'TH' },
  SGD: { numeric: '702', country: 'SG' },
  MYR: { numeric: '458', country: 'MY' },
}

function checkEmv(text: string, amount: Amount | undefined): string | undefined {
  const fields = readFields(text)
  if (typeof fields === 'string') return fields
  const ids = [...fields.keys()]
  if (ids[0] !== '00' || fields.get('00') !== '01') return 'EMV code does not begin with format indicator 01'
  if (ids.at(-1) !== '63') return 'EMV code does not end with its CRC'
  const crc = crc16(text.slice(0, -4)).toString(16).toUpperCase().padStart(4, '0')
  if (fields.get('63')?.toUpperCase() !== crc) return 'EMV code has a wrong CRC'
  return amount === undefined ? undefined : checkEmvAmount(fields, amount)
}

/** A code without an amount would let the customer type any: it is no code of a sale. */
function checkEmvAmount(fields: ReadonlyMap<string, string>, amount: Amount): string | undefined {
  const { numeric, country } = EMV_CURRENCY[amount.currency]
  if (fields.get('53') !== numeric) return `EMV code is in currency ${fields.get('53') ?? '(none)'}, not ${numeric} (${amount.currency})`
  if (fields.get('58') !== country) return `EMV code is of country ${fields.get('58') ?? '(none)'}, not ${country}`
  const asked = parseAmount(fields.get('54') ?? '', amount.currency)
  if (asked === undefined) return 'EMV code has no amount'
  return sameAmount(asked, amount) ? undefined : `EMV code asks for ${formatAmount(asked)}, not ${formatAmount(amount)}`
}

/** Tag (2 digits), length (2 digits, 01..99), value; nothing left over, no tag twice. A sentence when it is not so. */
function readFields(text: string): ReadonlyMap<string, string> | string {
  const fields = new Map<string, string>()
  let at = 0
  while (at < text.length) {
    const head = /^([0-9]{2})([0-9]{2})/.exec(text.slice(at, at + 4))
    if (head === null) return `EMV code has no tag and length at character ${at}`
    const [, id = '', length = ''] = head
    const value = text.slice(at + 4, at + 4 + Number(length))
    if (value.length === 0 || value.length !== Number(length)) return `EMV field ${id} is cut off`
    if (fields.has(id)) return `EMV field ${id} is there twice`
    fields.set(id, value)
    at += 4 + value.length
  }
  return fields
}
