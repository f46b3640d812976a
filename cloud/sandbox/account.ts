/**
 * The merchant account of the sandbox: its country, currency, methods, limits and fees. Pure.
 * The numbers stand here a second time, beside device/protocol/payment-method.ts, on purpose: they are what Omise
 * knows, and must not move with what our terminal believes.
 */
import type { Currency } from '../../device/protocol/money.js'
import type { Country } from '../../device/protocol/payment-method.js'

export type MethodName = 'alipayplus_mpm' | 'promptpay'

export interface Method {
  readonly name: MethodName
  /** Subunits of the account's currency, both inclusive. */
  readonly minAmount: number
  readonly maxAmount: number
  /** Hundredths of a percent. */
  readonly feeBasisPoints: number
  readonly refundable: boolean
  /** How long a charge may be paid when it does not say itself. */
  readonly lifetimeMs: number
}

export interface Account {
  readonly country: Country
  readonly currency: Currency
  readonly vatBasisPoints: number
  readonly methods: readonly Method[]
}

const HOUR_MS = 3_600_000

// Limits: Order Code Payment page, "Limits". The fee of 1.65 % and VAT of 7 % are that page's example for Thailand; the rate
// in Singapore and Malaysia is not published and assumed equal, and VAT is 0 there (the one Singapore sample says so).
const mpm = { name: 'alipayplus_mpm', feeBasisPoints: 165, refundable: true, lifetimeMs: 24 * HOUR_MS } as const

export const ACCOUNTS: Readonly<Record<Country, Account>> = {
  TH: {
    country: 'TH',
    currency: 'THB',
    vatBasisPoints: 700,
    methods: [
      { ...mpm, minAmount: 2_000, maxAmount: 15_000_000 },
      // No refunds through Omise, and seven days to pay in recorded charges (omise-api.md, sections 3, 4 and 10).
      { name: 'promptpay', minAmount: 2_000, maxAmount: 15_000_000, feeBasisPoints: 165, refundable: false, lifetimeMs: 168 * HOUR_MS },
    ],
  },
  SG: { country: 'SG', currency: 'SGD', vatBasisPoints: 0, methods: [{ ...mpm, minAmount: 100, maxAmount: 2_000_000 }] },
  MY: { country: 'MY', currency: 'MYR', vatBasisPoints: 0, methods: [{ ...mpm, minAmount: 100, maxAmount: 3_000_000 }] },
}

export const findMethod = (account: Account, type: unknown): Method | undefined =>
  account.methods.find(({ name }) => name === type)

/** GET /capability. */
export const showCapability = (account: Account) => ({
  object: 'capability',
  location: '/capability',
  banks: [],
  limits: {
    charge_amount: {
      max: Math.max(...account.methods.map(({ maxAmount }) => maxAmount)),
      min: Math.min(...account.methods.map(({ minAmount }) => minAmount)),
    },
    transfer_amount: { max: 100_000_000_000, min: 3_000 },
    installment_amount: { min: 200_000 },
  },
  payment_methods: account.methods.map(({ name }) => ({
    object: 'payment_method',
    name,
    currencies: [account.currency],
    card_brands: null,
    installment_terms: null,
    loan_installment_terms: null,
    banks: [],
    provider: null,
  })),
  country: account.country,
  tokenization_methods: [],
  zero_interest_installments: false,
})

/** GET /account. */
export const showAccount = (account: Account, webhookUri: string | null) => ({
  object: 'account',
  id: 'account_test_5x6600000000000sand',
  team: 'acct_5x6600000000000sand',
  livemode: false,
  location: '/account',
  country: account.country,
  currency: account.currency,
  email: 'merchant@example.com',
  created_at: '2023-09-20T00:00:00Z',
  supported_currencies: [account.currency],
  api_version: API_VERSION,
  auto_activate_recipients: false,
  chain_enabled: false,
  zero_interest_installments: false,
  chain_return_uri: null,
  webhook_uri: webhookUri,
  metadata_export_keys: { charge: [], transfer: [], refund: [], dispute: [] },
  chaining_allowed: false,
  last_updated_api_version: API_VERSION,
})

/** The only shape the sandbox speaks. */
export const API_VERSION = '2019-05-29'
