/**
 * Draws every screen at three panel sizes in four languages into out/preview, and all of one size on a contact sheet:
 * for the documents, and for the eye. After a build: node dist/scripts/preview.js [directory]
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCanvas, loadImage } from 'canvas'
import type { Currency } from '../device/protocol/money.js'
import type { Country, PaymentMethodName } from '../device/protocol/payment-method.js'
import { NEEDS_ATTENTION } from '../device/protocol/wire.js'
import { createRenderer } from '../device/render.js'
import { type Health, view, type View } from '../device/view.js'
import type { Sale, State } from '../device/sale.js'
import { type Language, LANGUAGES } from '../device/words.js'
import type { PanelSize } from '../drivers/driver.js'
import { encodePng } from '../drivers/panel/png.js'

const SIZES: Readonly<Record<string, PanelSize>> = {
  '400x300': { widthPx: 400, heightPx: 300, pitchMm: 0.212 },
  '800x480': { widthPx: 800, heightPx: 480, pitchMm: 0.204 },
  '296x128': { widthPx: 296, heightPx: 128, pitchMm: 0.226 },
  '480x800': { widthPx: 480, heightPx: 800, pitchMm: 0.204 },
}

interface Site {
  readonly shopName: string
  readonly country: Country
  readonly currency: Currency
  readonly method: PaymentMethodName
  readonly minor: number
}

const SITES: Readonly<Record<Language, Site>> = {
  en: { shopName: 'Kopi & Toast, Tiong Bahru Market', country: 'SG', currency: 'SGD', method: 'alipayplus_mpm', minor: 1_280 },
  th: { shopName: 'ร้านกาแฟบ้านสวน สาขาเชียงใหม่', country: 'TH', currency: 'THB', method: 'alipayplus_mpm', minor: 2_500 },
  zh: { shopName: '大同茶室', country: 'SG', currency: 'SGD', method: 'alipayplus_mpm', minor: 123_456 },
  ms: { shopName: 'Warung Mak Cik Kiah', country: 'MY', currency: 'MYR', method: 'alipayplus_mpm', minor: 1_590 },
}

const PAYLOAD = 'https://qr.alipayplus.com/281666040092abcDEF7719XyZ0123456789kQ'
const WELL: Health = { notReady: undefined, codeFault: false }

function screensOf(site: Site): Readonly<Record<string, View>> {
  const sale: Sale = {
    id: '0193b3c4-5d6e-7f80-9a1b-2c3d4e5f6071', nonce: '0'.repeat(32), askedBy: 'keypad',
    amount: { minor: site.minor, currency: site.currency }, method: site.method,
  }
  const offer = { charge: 'chrg_test', payload: PAYLOAD, counter: 1 }
  const show = (state: State, health: Partial<Health> = {}) => view(state, { ...WELL, ...health }, 0)
  const settled = (ending: Extract<State, { phase: 'settled' }>['verdict']['ending']) =>
    show({ phase: 'settled', sale, verdict: { ending, charge: 'chrg_test' }, told: true, clearAt: 0 })
  const reversal = { sale: sale.id, charge: 'chrg_test', amount: sale.amount }
  const idle = { phase: 'idle', digits: '' } as const
  return {
    'enter-amount': show(idle),
    'enter-amount-typed': show({ phase: 'idle', digits: String(site.minor) }),
    'refused': show({ ...idle, notice: { type: 'refused', refusal: { reason: 'amount too small', text: '' }, clearAt: 0 } }),
    'please-wait': show({ phase: 'opening', sale, retryAt: 0, giveUpAt: 0 }),
    'scan-to-pay': show({ phase: 'presenting', sale, offer, endsAt: 90_000, asks: 0, askAt: 0 }),
    'checking': show({ phase: 'resolving', sale, doubt: 'expired', offer, tries: 1, retryAt: 0 }),
    'paid': settled({ outcome: 'paid', paidAt: '2026-11-23T06:00:00Z' }),
    'not-paid-insufficient': settled({ outcome: 'unpaid', reason: 'insufficient_fund' }),
    'not-paid-cancelled': settled({ outcome: 'unpaid', reason: 'cancelled' }),
    'ask-staff': settled({ outcome: 'unpaid', reason: NEEDS_ATTENTION }),
    'reversed-voided': show({ ...idle, notice: { type: 'reversed', reversal: { ...reversal, voided: true }, clearAt: 0 } }),
    'reversed-refunded': show({ ...idle, notice: { type: 'reversed', reversal: { ...reversal, voided: false }, clearAt: 0 } }),
    'starting': show(idle, { notReady: 'starting' }),
    'offline': show(idle, { notReady: 'link down' }),
    'out-of-service': show(idle, { codeFault: true }),
  }
}

async function main(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  for (const [sizeName, size] of Object.entries(SIZES)) {
    const pictures: Buffer[] = []
    for (const language of LANGUAGES) {
      const renderer = createRenderer({ size, language, ...SITES[language] })
      for (const [name, screen] of Object.entries(screensOf(SITES[language]))) {
        const png = encodePng(renderer.render(screen))
        pictures.push(png)
        await writeFile(join(directory, `${sizeName}-${language}-${name}.png`), png)
      }
    }
    await writeFile(join(directory, `sheet-${sizeName}.png`), await contactSheet(pictures, size, LANGUAGES.length))
  }
}

/** One column a language, one row a screen. */
async function contactSheet(pictures: readonly Buffer[], size: PanelSize, columns: number): Promise<Buffer> {
  const gap = 12
  const rows = pictures.length / columns
  const canvas = createCanvas(columns * (size.widthPx + gap) + gap, rows * (size.heightPx + gap) + gap)
  const context = canvas.getContext('2d')
  context.fillStyle = '#667'
  context.fillRect(0, 0, canvas.width, canvas.height)
  for (const [i, png] of pictures.entries()) {
    context.drawImage(await loadImage(png), gap + Math.floor(i / rows) * (size.widthPx + gap), gap + (i % rows) * (size.heightPx + gap))
  }
  return canvas.toBuffer('image/png')
}

await main(process.argv[2] ?? 'out/preview')
