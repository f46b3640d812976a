/**
 * Every panel, every shop and every screen: what the previews show, and what the golden pictures hold. Data, and the views
 * it leads to by device/view.ts itself.
 */
import type { Currency } from '../device/protocol/money.js'
import type { Country, PaymentMethodName } from '../device/protocol/payment-method.js'
import { NEEDS_ATTENTION } from '../device/protocol/wire.js'
import type { Shop } from '../device/render.js'
import type { Sale, State } from '../device/sale.js'
import { type Health, view, type View } from '../device/view.js'
import type { Language } from '../device/words.js'
import type { PanelSize } from '../drivers/driver.js'
import { uprightSize } from '../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../drivers/panel/uc81xx.js'

/** An LCD has no driver of its own to know its glass: of each size the usual one, as the makers sell it. */
const LCDS: readonly NamedPanel[] = [
  { name: '2.4 inch LCD', size: { widthPx: 320, heightPx: 240, pitchMm: 0.153 } },
  { name: '3.5 inch LCD', size: { widthPx: 480, heightPx: 320, pitchMm: 0.153 } },
  { name: '7 inch LCD', size: { widthPx: 800, heightPx: 480, pitchMm: 0.193 } },
  { name: '7 inch LCD of 1024 dots', size: { widthPx: 1024, heightPx: 600, pitchMm: 0.15 } },
]

export interface NamedPanel {
  readonly name: string
  readonly size: PanelSize
}

/** Every glass once, lying: those of the drivers' tables, then LCDs. Of several with the same dots and pitch, the first. */
export const GLASS: readonly NamedPanel[] = distinct([
  ...[...SSD16XX_MODELS, ...UC81XX_MODELS].map((model) => {
    const size = uprightSize(model, 0)
    return { name: model.title, size: size.widthPx < size.heightPx ? uprightSize(model, 90) : size }
  }),
  ...LCDS,
])

function distinct(panels: readonly NamedPanel[]): readonly NamedPanel[] {
  return [...new Map([...panels].reverse().map((panel) => [nameOf(panel.size), panel])).values()].reverse()
}

export const standing = ({ widthPx, heightPx, pitchMm }: PanelSize): PanelSize => ({ widthPx: heightPx, heightPx: widthPx, pitchMm })

/** Each as it lies and as it stands; the name says the dots, and the pitch in micrometres. */
export const PANELS: ReadonlyMap<string, PanelSize> = new Map(GLASS.flatMap(({ size }) =>
  (size.widthPx === size.heightPx ? [size] : [size, standing(size)]).map((each) => [nameOf(each), each] as const)))

function nameOf({ widthPx, heightPx, pitchMm }: PanelSize): string {
  return `${widthPx}x${heightPx}-${Math.round(1000 * pitchMm)}um`
}

interface Site extends Shop {
  readonly country: Country
  readonly currency: Currency
  readonly method: PaymentMethodName
  /** What its customers are asked for. */
  readonly minor: number
}

export const SITES: Readonly<Record<Language, Site>> = {
  en: { language: 'en', shopName: 'Kopi & Toast, Tiong Bahru Market', country: 'SG', currency: 'SGD', method: 'alipayplus_mpm', minor: 1_280 },
  th: { language: 'th', shopName: 'ร้านกาแฟบ้านสวน สาขาเชียงใหม่', country: 'TH', currency: 'THB', method: 'alipayplus_mpm', minor: 2_500 },
  zh: { language: 'zh', shopName: '大同茶室', country: 'SG', currency: 'SGD', method: 'alipayplus_mpm', minor: 123_456 },
  ms: { language: 'ms', shopName: 'Warung Mak Cik Kiah', country: 'MY', currency: 'MYR', method: 'alipayplus_mpm', minor: 1_590 },
}

export const PAYLOAD = 'https://qr.alipayplus.com/281666040092abcDEF7719XyZ0123456789kQ'
const WELL: Health = { notReady: undefined, codeFault: false }

/** By name, in the order of a sale; each as view.ts makes it of a state that the terminal can be in. */
export function screensOf({ minor, currency, method }: Site): ReadonlyMap<string, View> {
  const sale: Sale = {
    id: '0193b3c4-5d6e-7f80-9a1b-2c3d4e5f6071', nonce: '0'.repeat(32), askedBy: 'keypad', amount: { minor, currency }, method,
  }
  const offer = { charge: 'chrg_test', payload: PAYLOAD, counter: 1 }
  const show = (state: State, health: Partial<Health> = {}, now = 0) => view(state, { ...WELL, ...health }, now)
  const settled = (ending: Extract<State, { phase: 'settled' }>['verdict']['ending']) =>
    show({ phase: 'settled', sale, verdict: { ending, charge: 'chrg_test' }, told: true, clearAt: 0 })
  const unpaid = (reason: string) => settled({ outcome: 'unpaid', reason })
  const idle = { phase: 'idle', digits: '' } as const
  const refused = (reason: 'amount too small' | 'amount too large' | 'busy') =>
    show({ ...idle, notice: { type: 'refused', refusal: { reason, text: '' }, clearAt: 0 } })
  const notInPulses = { reason: 'not in pulses', stepMinor: 1_000, maxMinor: 10_000, text: '' } as const
  const wentBack = (voided: boolean) =>
    show({ ...idle, notice: { type: 'reversed', reversal: { sale: sale.id, charge: 'chrg_test', amount: sale.amount, voided }, clearAt: 0 } })
  const presenting: State = { phase: 'presenting', sale, offer, endsAt: 120_000, asks: 0, askAt: 0 }

  return new Map([
    ['set-up', show(idle, { unpaired: { code: 'K7M4-QP2X', address: 'https://gate.example.com/enrol?c=K7M4QP2X' } })],
    ['starting', show(idle, { notReady: 'starting' })],
    ['enter-amount', show(idle)],
    ['enter-amount-typed', show({ phase: 'idle', digits: String(minor) })],
    ['enter-amount-missing', show(idle, { missing: ['register'] })],
    ['confirm-amount', show({ phase: 'idle', digits: String(minor), confirm: { from: 700, until: 20_000 } })],
    ['refused-too-small', refused('amount too small')],
    ['refused-too-large', refused('amount too large')],
    ['refused-busy', refused('busy')],
    ['refused-not-in-pulses', show({ ...idle, notice: { type: 'refused', refusal: notInPulses, clearAt: 0 } })],
    ['please-wait', show({ phase: 'opening', sale, retryAt: 0, giveUpAt: 0 })],
    ['scan-to-pay', show(presenting, {}, 30_000)],
    ['scan-to-pay-last-step', show(presenting, {}, 110_000)],
    ['checking', show({ phase: 'resolving', sale, doubt: 'expired', offer, tries: 1, retryAt: 0 })],
    ['paid', settled({ outcome: 'paid', paidAt: '2026-11-23T06:00:00Z' })],
    ['undelivered', show({
      phase: 'settled', sale, verdict: { ending: { outcome: 'paid', paidAt: '2026-11-23T06:00:00Z' }, charge: 'chrg_test' }, told: true, clearAt: 0,
      undelivered: { noted: false, tries: 1, retryAt: 0 },
    })],
    ['not-paid-rejected', unpaid('payment_rejected')],
    ['not-paid-insufficient', unpaid('insufficient_fund')],
    ['not-paid-failed', unpaid('failed_processing')],
    ['not-paid-expired', unpaid('payment_expired')],
    ['not-paid-cancelled', unpaid('cancelled')],
    ['not-paid-unknown', unpaid('a_new_failure_code')],
    ['ask-staff', unpaid(NEEDS_ATTENTION)],
    ['reversed-voided', wentBack(true)],
    ['reversed-refunded', wentBack(false)],
    ['offline', show(idle, { notReady: 'link down' })],
    ['updating', show(idle, { updating: { minutesLeft: 2 } })],
    ['out-of-service', show(idle, { notReady: 'journal fault' })],
    ['out-of-service-keypad', show(idle, { notReady: 'keypad fault' })],
  ])
}
