/**
 * The customer's phone: hands what it read on the panel to the sandbox's wallet, and the customer's decision after it.
 * It knows no charge and no key; a code is all that it has, like a real wallet.
 */
import { z } from 'zod'
import { CURRENCIES, formatAmount } from '../../device/protocol/money.js'

export const OUTCOMES = ['paid', 'payment_rejected', 'insufficient_fund', 'failed_processing'] as const
export type Outcome = (typeof OUTCOMES)[number]

const Payload = z.string().min(1).max(1024)
export const ScanRequest = z.strictObject({ payload: Payload })
export const PayRequest = z.strictObject({ payload: Payload, outcome: z.enum(OUTCOMES) })

const Bill = z.object({
  charge: z.string().min(1).max(64),
  amount: z.int().min(1),
  currency: z.string().min(3).max(3),
  status: z.string().max(32),
  merchant: z.string().max(128),
})

/** What the phone shows. `amount` is ready to be read, such as 'THB 25.00'. */
export interface PhoneBill {
  readonly charge: string
  readonly amount: string
  readonly status: string
  readonly merchant: string
}

/** The wallet's answer, or a sentence for the customer. */
export type PhoneAnswer<T> = { readonly answer: T } | { readonly problem: string; readonly status: 404 | 409 | 502 }

export interface Phone {
  scan(payload: string): Promise<PhoneAnswer<PhoneBill>>
  pay(payload: string, outcome: Outcome): Promise<PhoneAnswer<{ readonly outcome: Outcome }>>
}

const SCAN_MS = 5_000
/** The sandbox's bank may be told to think for up to a minute. */
const PAY_MS = 65_000
const ANSWER_BYTES_MAX = 16 * 1024

export function createPhone(sandboxUrl: string): Phone {
  const ask = async (route: 'scan' | 'pay', body: unknown, patienceMs: number, silence: string): Promise<PhoneAnswer<unknown>> => {
    try {
      const response = await fetch(new URL(`/sandbox/wallet/${route}`, sandboxUrl), {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
        redirect: 'error', signal: AbortSignal.timeout(patienceMs),
      })
      const text = await response.text()
      if (text.length > ANSWER_BYTES_MAX) return { problem: 'The wallet answered too much.', status: 502 }
      if (response.ok) return { answer: JSON.parse(text) }
      return refusalOf(response.status)
    } catch {
      // No connection, no answer in time, or an answer that is no JSON: for the customer all the same.
      return { problem: silence, status: 502 }
    }
  }

  return {
    async scan(payload) {
      const asked = await ask('scan', { payload }, SCAN_MS, 'The wallet cannot be reached. Try again.')
      if ('problem' in asked) return asked
      const bill = Bill.safeParse(asked.answer)
      if (!bill.success) return { problem: 'The wallet answered something strange.', status: 502 }
      const { charge, amount, currency, status, merchant } = bill.data
      return { answer: { charge, amount: readable(amount, currency), status, merchant } }
    },
    async pay(payload, outcome) {
      const asked = await ask('pay', { payload, outcome }, PAY_MS, NO_WORD)
      return 'problem' in asked ? asked : { answer: { outcome } }
    },
  }
}

/** The money may have moved: never "try again". */
const NO_WORD = 'No word from the wallet. Look at the terminal before paying again.'

function refusalOf(status: number): { readonly problem: string; readonly status: 404 | 409 | 502 } {
  if (status >= 500) return { problem: 'The wallet is out of order. Try again.', status: 502 }
  if (status === 404) return { problem: 'The wallet does not know this code.', status: 404 }
  return { problem: 'This code can no longer be paid.', status: 409 }
}

function readable(minor: number, code: string): string {
  const currency = CURRENCIES.find((known) => known === code.toUpperCase())
  return currency === undefined ? `${code} ${minor} (minor units)` : formatAmount({ minor, currency })
}
