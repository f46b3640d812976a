import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readBack, verifyFrame } from '../../device/qr.js'
import { blankFrame, createRenderer, type RendererOptions } from '../../device/render.js'
import type { Amount } from '../../device/protocol/money.js'
import { referenceOf } from '../../device/protocol/wire.js'
import { type Fault, FAULT_CODES, type Screen, type View } from '../../device/view.js'
import { LANGUAGES, UNPAID_REASONS, WORDS } from '../../device/words.js'
import { type Frame, type PanelSize, strideBytes } from '../../drivers/driver.js'

const SIZES: readonly PanelSize[] = [
  { widthPx: 400, heightPx: 300, pitchMm: 0.212 },
  { widthPx: 800, heightPx: 480, pitchMm: 0.204 },
  { widthPx: 296, heightPx: 128, pitchMm: 0.226 },
  { widthPx: 264, heightPx: 176, pitchMm: 0.217 },
  { widthPx: 480, heightPx: 800, pitchMm: 0.204 },
  { widthPx: 240, heightPx: 240, pitchMm: 0.18 },
]
const sizeName = ({ widthPx, heightPx }: PanelSize): string => `${widthPx}x${heightPx}`

const PAYLOAD = 'https://qr.alipayplus.com/281666040092abcDEF7719XyZ0123456789kQ'
const PROMPTPAY = '00020101021229370016A000000677010111011300668123456785303764540525.005802TH63041234'
const amount: Amount = { minor: 2_500, currency: 'THB' }
const LARGEST: Amount = { minor: 999_999_999, currency: 'THB' }
const ofSale = { amount, reference: referenceOf('0193b3c4-5d6e-7f80-9a1b-2c3d4e5f6071') }
const scan: View = { screen: 'scan to pay', ...ofSale, payload: PAYLOAD, method: 'alipayplus_mpm', secondsLeft: 90, lamps: 'waiting' }

const shop = { shopName: 'ร้านกาแฟบ้านสวน', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' } as const
const rendererOf = (size: PanelSize, changes: Partial<RendererOptions> = {}) => createRenderer({ size, ...shop, ...changes })

const OTHER_SCREENS: readonly Screen[] = [
  { screen: 'starting' }, { screen: 'enter amount', digits: '' }, { screen: 'enter amount', digits: '999999999' }, { screen: 'offline' },
  { screen: 'please wait', ...ofSale }, { screen: 'checking', ...ofSale }, { screen: 'paid', ...ofSale },
  ...UNPAID_REASONS.map((reason) => ({ screen: 'not paid', reason, ...ofSale }) as const),
  { screen: 'not paid', reason: 'never heard of', ...ofSale, amount: LARGEST },
  { screen: 'ask staff', ...ofSale }, { screen: 'reversed', ...ofSale, voided: true }, { screen: 'reversed', ...ofSale, voided: false },
  { screen: 'out of service', fault: 'journal fault' }, { screen: 'updating', minutesLeft: 2 },
  { screen: 'refused', refusal: { reason: 'amount too small', text: '' } }, { screen: 'refused', refusal: { reason: 'amount too large', text: '' } },
  { screen: 'refused', refusal: { reason: 'currency not supported', text: '' } }, { screen: 'refused', refusal: { reason: 'not an amount', text: '' } },
  { screen: 'refused', refusal: { reason: 'busy', text: '' } },
  { screen: 'refused', refusal: { reason: 'not ready', because: 'link down', text: '' } },
]
const lit = (screen: Screen): View => ({ ...screen, lamps: 'off' })

/** The screens with the most to say, with the largest amount there can be. */
const CROWDED: readonly View[] = [
  { ...scan, amount: LARGEST }, lit({ screen: 'not paid', ...ofSale, amount: LARGEST, reason: 'insufficient_fund' }),
  lit({ screen: 'ask staff', ...ofSale, amount: LARGEST }), lit({ screen: 'reversed', ...ofSale, amount: LARGEST, voided: false }),
  lit({ screen: 'refused', refusal: { reason: 'amount too large', text: '' } }), lit({ screen: 'enter amount', digits: '999999999' }),
]

const dark = ({ widthPx, bits }: Frame, x: number, y: number): boolean =>
  (((bits[y * strideBytes(widthPx) + (x >> 3)] ?? 0) << (x & 7)) & 0x80) !== 0

/** How many dots the ink stays away from the nearest edge. */
function outermost(frame: Frame): number {
  const { widthPx, heightPx } = frame
  for (let ring = 0; ring < 8; ring++) {
    for (let x = 0; x < widthPx; x++) if (dark(frame, x, ring) || dark(frame, x, heightPx - 1 - ring)) return ring
    for (let y = 0; y < heightPx; y++) if (dark(frame, ring, y) || dark(frame, widthPx - 1 - ring, y)) return ring
  }
  return 8
}

const inkCount = (frame: Frame): number => {
  let count = 0
  for (let y = 0; y < frame.heightPx; y++) for (let x = 0; x < frame.widthPx; x++) if (dark(frame, x, y)) count++
  return count
}

describe.each(SIZES.map((size) => [sizeName(size), size] as const))('on a panel of %s', (_, size) => {
  test('the code reads back from the very bits, in every language', async () => {
    for (const language of LANGUAGES) {
      expect(await verifyFrame(rendererOf(size, { language }).render(scan), PAYLOAD)).toBe('matches')
    }
  })

  test('a PromptPay code is drawn as well as an order code', async () => {
    const frame = rendererOf(size).render({ ...scan, payload: PROMPTPAY, method: 'promptpay' })
    expect(await readBack(frame)).toBe(PROMPTPAY)
  })

  test('the code is whole modules with nothing on them and a quiet zone of four round them', () => {
    const renderer = rendererOf(size, { shopName: 'W'.repeat(40) })
    const plan = renderer.plan(PAYLOAD)
    if (!plan.fits) throw new Error(plan.text)
    const frame = renderer.render({ ...scan, amount: LARGEST })
    const { x, y } = upperLeftFinder(frame, plan.modulePx)
    const quiet = 4 * plan.modulePx
    for (let j = -quiet; j < plan.symbolPx + quiet; j++) {
      for (let i = -quiet; i < plan.symbolPx + quiet; i++) {
        if (x + i < 0 || y + j < 0 || x + i >= size.widthPx || y + j >= size.heightPx) continue
        const module = plan.modules[Math.floor(j / plan.modulePx)]?.[Math.floor(i / plan.modulePx)] ?? false
        if (dark(frame, x + i, y + j) !== module) expect.fail(`dot ${x + i},${y + j} is not as its module`)
      }
    }
    expect(x).toBeGreaterThanOrEqual(plan.quietModules * plan.modulePx)
    expect(y).toBeGreaterThanOrEqual(plan.quietModules * plan.modulePx)
  })

  test('no other screen can be read as a code', async () => {
    const renderer = rendererOf(size)
    for (const screen of OTHER_SCREENS) expect(await readBack(renderer.render(lit(screen))), JSON.stringify(screen)).toBeUndefined()
  })

  test('nothing of an earlier picture stays', () => {
    const renderer = rendererOf(size)
    const first = renderer.render(lit({ screen: 'starting' }))
    renderer.render(scan)
    expect(renderer.render(lit({ screen: 'starting' })).bits).toEqual(first.bits)
  })

  test('every screen says something, and no two say the same', () => {
    const renderer = rendererOf(size)
    const pictures = new Set<string>()
    const said = OTHER_SCREENS.filter((screen) => screen.screen !== 'not paid' || !['expired', 'code unreadable', 'never heard of'].includes(screen.reason))
      .filter((screen) => screen.screen !== 'refused' || screen.refusal.reason !== 'not ready')
    for (const screen of said) {
      const frame = renderer.render(lit(screen))
      expect(inkCount(frame)).toBeGreaterThan(300)
      pictures.add(Buffer.from(frame.bits).toString('base64'))
    }
    expect(pictures.size).toBe(said.length)
  })

  test.each(['W'.repeat(40), 'ร้านก๋วยเตี๋ยวเรือป้าแดงสาขาถนนสุขุมวิท๗', '新加坡中央商业区老字号传统海南鸡饭与咖喱鱼头专卖店有限公司第二分店'])(
    'the longest name and the largest amount stay clear of the edges: %s', (shopName) => {
      for (const language of LANGUAGES) {
        const renderer = rendererOf(size, { language, shopName })
        for (const view of CROWDED) {
          expect(outermost(renderer.render(view)), `${language} ${view.screen}`).toBeGreaterThanOrEqual(2)
        }
      }
    })
})

describe('the foot of a crowded screen', () => {
  // The reference stands last. Cut off, it would have ink in the very last row of its column; whole, it ends above it.
  const reference = 'K7M4WP'
  test.each(SIZES.map((size) => [sizeName(size), size] as const))('is not cut off on %s', (_, size) => {
    const marginPx = Math.max(4, Math.round(Math.min(size.widthPx, size.heightPx) * 0.045))
    for (const language of LANGUAGES) {
      for (const shown of [amount, LARGEST]) {
        const renderer = rendererOf(size, { language, shopName: 'The Very Long Named Kopitiam & Toast Co.' })
        for (const view of [
          { ...scan, amount: shown, reference },
          ...UNPAID_REASONS.map((reason) => lit({ screen: 'not paid', reason, amount: shown, reference })),
        ]) {
          const frame = renderer.render(view)
          const lastRow = Array.from({ length: size.widthPx }, (__, x) => dark(frame, x, size.heightPx - marginPx - 1))
          expect(lastRow.includes(true), `${language} ${JSON.stringify(view)}`).toBe(false)
        }
      }
    }
  })
})

describe('the countdown', () => {
  test.each(SIZES.map((size) => [sizeName(size), size] as const))('moves only outside the code on %s', (_, size) => {
    const renderer = rendererOf(size, { language: 'en' })
    const plan = renderer.plan(PAYLOAD)
    if (!plan.fits) throw new Error(plan.text)
    const [early, late] = [renderer.render({ ...scan, secondsLeft: 120 }), renderer.render({ ...scan, secondsLeft: 15 })]
    const { x, y } = upperLeftFinder(early, plan.modulePx)
    const changed: string[] = []
    for (let j = 0; j < size.heightPx; j++) for (let i = 0; i < size.widthPx; i++) if (dark(late, i, j) !== dark(early, i, j)) changed.push(`${i},${j}`)
    const inCode = changed.filter((dot) => {
      const [i = 0, j = 0] = dot.split(',').map(Number)
      return i >= x && j >= y && i < x + plan.symbolPx && j < y + plan.symbolPx
    })
    expect(changed).not.toEqual([])
    expect(inCode).toEqual([])
  })
})

describe('what the box can do is what its screens ask for', () => {
  const size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
  const textsOf = (view: View, changes: Partial<RendererOptions>): string[] =>
    rendererOf(size, changes).paint(view).parts.flatMap((part) => ('text' in part ? [part.text] : []))
  const idle = lit({ screen: 'enter amount', digits: '' })

  test.each(LANGUAGES)('without a keypad nobody is asked to type, and the ways to pay are named (%s)', (language) => {
    const { parts } = rendererOf(size, { language, keypad: false }).paint(idle)
    expect(textsOf(idle, { language, keypad: false }).slice(1, 2)).toEqual(['Alipay+'])
    expect(textsOf(idle, { language, keypad: false }).join()).toContain('KakaoPay')
    expect(parts.some(({ what }) => what === 'amount')).toBe(false)
    expect(textsOf(idle, { language })).toContain(WORDS[language].enterAmount)
  })

  test.each(LANGUAGES)('with a keypad the key that ends a sale is named beside its code, and only then (%s)', (language) => {
    expect(textsOf(scan, { language })).toContain(WORDS[language].pressCancel)
    expect(textsOf(scan, { language, keypad: false })).not.toContain(WORDS[language].pressCancel)
  })
})

describe('out of service', () => {
  test.each(LANGUAGES)('names its fault by the short code that the README lists (%s)', (language) => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    for (const [fault, code] of Object.entries(FAULT_CODES) as [Fault, string][]) {
      const { parts } = rendererOf({ widthPx: 400, heightPx: 300, pitchMm: 0.212 }, { language }).paint(lit({ screen: 'out of service', fault }))
      const texts = parts.flatMap((part) => ('text' in part ? [part.text] : []))
      expect(texts).toContain(`${WORDS[language].reference} ${code}`)
      expect(texts.join()).not.toContain(fault)
      expect(readme).toMatch(new RegExp(`^\\| .${code}. \\| ${fault} \\|`, 'm'))
    }
    expect(new Set(Object.values(FAULT_CODES)).size).toBe(Object.keys(FAULT_CODES).length)
  })
})

describe('set-up', () => {
  const code = 'K7M4-QP2X'
  const smallest = { widthPx: 200, heightPx: 200, pitchMm: 0.135 } // 1.54 inch
  test.each([...SIZES, smallest].map((size) => [sizeName(size), size] as const))('shows a code that reads back on %s, and the code to type', async (_, size) => {
    const address = 'https://gate.example.com/enrol?c=K7M4QP2X'
    const picture = rendererOf(size).paint(lit({ screen: 'set up', code, address }))
    expect(await readBack(picture.frame)).toBe(address)
    expect(picture.parts.some((part) => 'text' in part && part.text === code)).toBe(true)
  })

  test.each(LANGUAGES)('asks nobody to scan where no code has room, but gives the address (%s)', (language) => {
    const address = `https://gate.example.com/${'enrol/'.repeat(8)}`
    const { parts } = rendererOf({ widthPx: 200, heightPx: 200, pitchMm: 0.1 }, { language }).paint(lit({ screen: 'set up', code, address }))
    const texts = parts.flatMap((part) => ('text' in part ? [part.text] : []))
    expect(parts.some(({ what }) => what === 'code')).toBe(false)
    expect(texts).toContain(address)
    expect(texts).not.toContain(WORDS[language].setUp.headline)
    expect(texts).toContain(code)
  })
})

describe('a payload too dense for its panel', () => {
  test('is not drawn, and the picture does not verify', async () => {
    const renderer = rendererOf({ widthPx: 128, heightPx: 64, pitchMm: 0.1 })
    expect(renderer.plan(PAYLOAD)).toMatchObject({ fits: false, refused: 'too fine for this panel' })
    expect(await verifyFrame(renderer.render(scan), PAYLOAD)).toBe('unreadable')
  })

  test('takes more of the panel before it is refused', () => {
    const size = { widthPx: 264, heightPx: 176, pitchMm: 0.217 }
    const dense = 'https://qr.alipayplus.com/'.padEnd(350, 'aB3')
    expect(rendererOf(size).plan(dense)).toMatchObject({ fits: true })
  })
})

test('a blank picture has no ink at all', () => {
  for (const size of SIZES) {
    expect(inkCount(blankFrame(size))).toBe(0)
    expect(rendererOf(size).blank()).toEqual(blankFrame(size))
  }
})

test('a picture belongs to its receiver: the next one does not change it', () => {
  const renderer = rendererOf(SIZES[0] ?? expect.fail('no size'))
  const first = renderer.render(scan)
  const copy = Uint8Array.from(first.bits)
  renderer.render(lit({ screen: 'offline' }))
  expect(first.bits).toEqual(copy)
})

/** The dot where the upper left finder pattern begins: a ring seven modules wide, with the light ring inside it. */
function upperLeftFinder(frame: Frame, modulePx: number): { readonly x: number; readonly y: number } {
  const ring = 7 * modulePx
  for (let y = 0; y + ring < frame.heightPx; y++) {
    for (let x = 0; x + ring < frame.widthPx; x++) {
      const middle = Math.floor(3.5 * modulePx)
      const across = [0.5, 1.5, 3.5, 5.5, 6.5].map((at) => dark(frame, x + Math.floor(at * modulePx), y + middle))
      const down = [0.5, 1.5, 3.5, 5.5, 6.5].map((at) => dark(frame, x + middle, y + Math.floor(at * modulePx)))
      const pattern = 'true,false,true,false,true'
      const corner = dark(frame, x, y) && (x === 0 || !dark(frame, x - 1, y)) && (y === 0 || !dark(frame, x, y - 1))
      if (corner && across.join() === pattern && down.join() === pattern && dark(frame, x + ring - 1, y + ring - 1)) return { x, y }
    }
  }
  throw new Error('no finder pattern in this picture')
}
