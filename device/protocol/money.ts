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
