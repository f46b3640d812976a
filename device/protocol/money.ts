/**
 * Money: whole minor units and an ISO 4217 currency. 2500 THB minor units are THB 25.00.
 * Nothing here, or anywhere, holds money in a floating point number.
 */

/** Decimal digits after the point, by currency (ISO 4217, "exponent"). */
export const CURRENCY_DIGITS = { THB: 2, SGD: 2, MYR: 2 } as const

export type Currency = keyof typeof CURRENCY_DIGITS

export const CURRENCIES = Object.keys(CURRENCY_DIGITS) as readonly Currency[]

export interface Amount {
  /** 1..999_999_999 */
  readonly minor: number
  readonly currency: Currency
}

/** The most digits an amount may have, before and after the point together. */
export const AMOUNT_DIGITS_MAX = 9

/**
 * Reads '150', '150.0' or '150.00' (ASCII digits, at most the currency's own decimals).
 * Anything else -- signs, spaces, commas, exponents, other scripts' digits, zero -- is undefined.
 */
export function parseAmount(text: string, currency: Currency): Amount | undefined {
  const digits = CURRENCY_DIGITS[currency]
  const match = /^([0-9]{1,9})(?:\.([0-9]+))?$/.exec(text)
  if (match === null) return undefined
  const [, whole = '', fraction = ''] = match
  if (fraction.length > digits) return undefined
  return amountFromDigits(whole + fraction.padEnd(digits, '0'), currency)
}

/** Keys as typed, least significant last: '2500' is 25.00. Undefined when empty, zero or too long. */
export function amountFromDigits(keys: string, currency: Currency): Amount | undefined {
  const significant = keys.replace(/^0+/, '')
  if (!/^[0-9]+$/.test(significant) || significant.length > AMOUNT_DIGITS_MAX) return undefined
  return { minor: Number(significant), currency }
}

/**
 * Keys as typed with a decimal point: '25.' and '25.0' are 25.00, '.5' is 0.50. Without one they are minor units, as above.
 * Undefined when empty, zero or too long.
 */
export function amountFromKeys(keys: string, currency: Currency): Amount | undefined {
  const [whole = '', fraction] = keys.split('.')
  return fraction === undefined ? amountFromDigits(whole, currency)
    : amountFromDigits(whole + fraction.padEnd(CURRENCY_DIGITS[currency], '0'), currency)
}

/**
 * One more key of digits ('0' to '9', '00', '000'). The keys as they were when it does not belong there: more decimals than
 * the currency has, more digits than an amount. A key counts whole or not at all.
 */
export function typeDigits(keys: string, digits: string, currency: Currency): string {
  if (!/^([0-9]|00|000)$/.test(digits)) return keys
  const fraction = keys.split('.')[1]
  if (fraction !== undefined) return fraction.length + digits.length <= CURRENCY_DIGITS[currency] ? keys + digits : keys
  const typed = (keys + digits).replace(/^0+/, '')
  return typed.length <= AMOUNT_DIGITS_MAX ? typed : keys
}

/** The decimal point: one, and only where all decimals of the currency still have room. */
export const typePoint = (keys: string, currency: Currency): string =>
  (keys.includes('.') || keys.length + CURRENCY_DIGITS[currency] > AMOUNT_DIGITS_MAX ? keys : `${keys || '0'}.`)

/** '25.00' -- the form registers speak. */
export function formatMajor(amount: Amount): string {
  const digits = CURRENCY_DIGITS[amount.currency]
  const text = String(amount.minor).padStart(digits + 1, '0')
  return `${text.slice(0, -digits)}.${text.slice(-digits)}`
}

/** 'THB 1,500.00' -- the code in front, since fonts may lack the sign. */
export function formatAmount(amount: Amount): string {
  const [whole = '', fraction = ''] = formatMajor(amount).split('.')
  return `${amount.currency} ${whole.replace(/\B(?=(\d{3})+$)/g, ',')}.${fraction}`
}

export const sameAmount = (a: Amount, b: Amount): boolean => a.minor === b.minor && a.currency === b.currency
