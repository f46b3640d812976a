/**
 * What we know of each way to pay: limits per currency, wallets per country, and whether and how money can go back.
 * A method is an Omise source type whose charge answers with a scannable code ("flow": "offline").
 */
import { type Amount, type Currency, formatAmount } from './money.js'

export type Country = 'TH' | 'SG' | 'MY'

export interface Limits {
  readonly minMinor: number
  readonly maxMinor: number
}

export interface PaymentMethod {
  readonly name: PaymentMethodName
  /** The method's name as a customer knows it. */
  readonly title: string
  /** A currency that is missing cannot be charged. */
  readonly limits: Readonly<Partial<Record<Currency, Limits>>>
  readonly wallets: Readonly<Partial<Record<Country, readonly string[]>>>
  readonly refundable: boolean
  /** A full refund is a void until so long after the end of the payment's day; undefined where there is no void. */
  readonly voidWindow: { readonly dayUtcOffsetMs: number; readonly afterDayMs: number } | undefined
  readonly codeGrammar: 'order code URL' | 'EMVCo'
}

export type PaymentMethodName = 'alipayplus_mpm' | 'promptpay'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

export const PAYMENT_METHODS: Readonly<Record<PaymentMethodName, PaymentMethod>> = {
  // Order Code Payment documentation, "Limits" and "Supported Wallets"; wallets per country: omise-api.md, section 10.
  alipayplus_mpm: {
    name: 'alipayplus_mpm',
    title: 'Alipay+',
    limits: {
      THB: { minMinor: 2_000, maxMinor: 15_000_000 },
      SGD: { minMinor: 100, maxMinor: 2_000_000 },
      MYR: { minMinor: 100, maxMinor: 3_000_000 },
    },
    wallets: {
      TH: ['Alipay', 'AlipayHK', 'KakaoPay', "Touch 'n Go"],
      SG: ['Alipay', 'AlipayHK', 'KakaoPay', 'GCash', "Touch 'n Go", 'TrueMoney'],
      MY: ['AlipayHK', 'KakaoPay', 'GCash', 'TrueMoney'],
    },
    refundable: true,
    // "Until 16:15 UTC of the transaction date", which is the calendar day of UTC+8: its midnight, and 15 minutes.
    voidWindow: { dayUtcOffsetMs: 8 * HOUR_MS, afterDayMs: 15 * 60_000 },
    codeGrammar: 'order code URL',
  },
  // PromptPay: same shape on the API, THB only, and no way to give the money back through it (omise-api.md, 4 and 10).
  promptpay: {
    name: 'promptpay',
    title: 'PromptPay',
    limits: { THB: { minMinor: 2_000, maxMinor: 15_000_000 } },
    wallets: { TH: ['PromptPay'] },
    refundable: false,
    voidWindow: undefined,
    codeGrammar: 'EMVCo',
  },
}

export const PAYMENT_METHOD_NAMES = Object.keys(PAYMENT_METHODS) as readonly PaymentMethodName[]

export type AmountRefusal =
  | { readonly reason: 'currency not supported'; readonly text: string }
  | { readonly reason: 'amount too small'; readonly text: string }
  | { readonly reason: 'amount too large'; readonly text: string }

/** Why this method cannot charge this amount, or undefined when it can. */
export function refuseAmount(name: PaymentMethodName, amount: Amount): AmountRefusal | undefined {
  const method = PAYMENT_METHODS[name]
  const limits = method.limits[amount.currency]
  if (limits === undefined) {
    return { reason: 'currency not supported', text: `${method.title} cannot charge ${amount.currency}` }
  }
  const bound = (minor: number) => formatAmount({ minor, currency: amount.currency })
  if (amount.minor < limits.minMinor) {
    return { reason: 'amount too small', text: `${formatAmount(amount)} is below the minimum of ${bound(limits.minMinor)}` }
  }
  if (amount.minor > limits.maxMinor) {
    return { reason: 'amount too large', text: `${formatAmount(amount)} is above the maximum of ${bound(limits.maxMinor)}` }
  }
  return undefined
}

/**
 * The moment from which a full refund is a refund, which takes days, and no longer a void; the moment itself is too late.
 * Undefined for a method without voids. For words only: whether it was a void is read from the refund itself.
 */
export function voidableUntil(name: PaymentMethodName, paidAtMs: number): number | undefined {
  const { voidWindow } = PAYMENT_METHODS[name]
  if (voidWindow === undefined) return undefined
  const { dayUtcOffsetMs, afterDayMs } = voidWindow
  const daysSince1970 = Math.floor((paidAtMs + dayUtcOffsetMs) / DAY_MS)
  return (daysSince1970 + 1) * DAY_MS - dayUtcOffsetMs + afterDayMs
}
